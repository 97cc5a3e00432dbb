"""The gateway as a FastAPI app: around one bare route that takes every method and path."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.routing import BaseRoute, Match, NoMatchFound

from fal_serverless.gateway.entry import Access, Gateway
from fal_serverless.gateway.invoke import DEADLINE_S, Blocking, Calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from starlette.datastructures import URLPath
    from starlette.types import Receive, Scope, Send

    from fal_serverless.gateway.protocols import Invoker
    from fal_serverless.gateway.queue.front import Front
    from fal_serverless.gateway.registry import CachedRegistry
    from fal_serverless.gateway.uses import KeyUses

__all__ = ["Access", "Everything", "app_around", "create_app"]


def create_app(
    *,
    registry: CachedRegistry,
    invoker: Invoker,
    domain: str = "",
    record: Callable[[Access], None] | None = None,
    executor: Executor | None = None,
    deadline: float = DEADLINE_S,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
    queue: Callable[[], Front] | None = None,
    manager: str = "",
    uses: KeyUses | None = None,
) -> FastAPI:
    """The app.

    Args:
        domain: the stack's, or ``""``.
        record: called once for each request, after its answer.
        executor: for blocking work; None runs it in place (one request at a time).
        deadline: seconds from a request's arrival until its caller must have an answer.
        clock: monotonic seconds.
        now: epoch seconds.
        queue: makes the queue's front when it is first asked for; None where there is no queue.
        manager: name of the Lambda function behind the management API, ``""`` where there is none.
        uses: counts the requests of keys, or None.
    """
    waiting = Blocking(invoker, executor)
    calls = Calls(registry, waiting, executor, deadline, clock, now, queue, manager, uses)
    return app_around(Gateway(calls, domain, record))


def app_around(gateway: Gateway) -> FastAPI:
    """The app whose every request a gateway answers."""
    app = FastAPI(title="fal-serverless", docs_url=None, redoc_url=None, openapi_url=None)
    app.router.routes.append(Everything(gateway))
    return app


class Everything(BaseRoute):
    """A route for every HTTP request: no pattern, since paths are the functions' own."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Always, except for WebSockets."""
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Nothing links to it by name."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._gateway(scope, receive, send)
