"""The gateway as an ASGI app: FastAPI around one bare route that takes every method and path."""

from __future__ import annotations

import json
import logging
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import FastAPI
from starlette.routing import BaseRoute, Match, NoMatchFound

from fal_serverless.errors import FalServerlessError
from fal_serverless.gateway import answer, auth, cors
from fal_serverless.gateway.body import Body
from fal_serverless.gateway.event import sane_request_id
from fal_serverless.gateway.invoke import DEADLINE_S, Calls, Exchange
from fal_serverless.gateway.protocols import Request, Response
from fal_serverless.gateway.target import resolve, split_absolute

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from starlette.datastructures import URLPath
    from starlette.types import Receive, Scope, Send

    from fal_serverless.gateway.protocols import Invoker
    from fal_serverless.gateway.queue.front import Front
    from fal_serverless.gateway.registry import CachedRegistry

HEALTH = "/_fal/health"
_log = logging.getLogger("fal_serverless.gateway")


@dataclass(frozen=True)
class Access:
    """What is written down of a request: nothing that could hold a secret.

    Attributes:
        target: ``<userid>-<label>``, or ``""`` when the address names none.
        found: whether that target exists.
        seconds: from the request's arrival to its answer.
    """

    request_id: str
    method: str
    target: str
    found: bool
    status: int
    seconds: float
    revision: str | None


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
    """
    app = FastAPI(title="fal-serverless", docs_url=None, redoc_url=None, openapi_url=None)
    calls = Calls(registry, invoker, executor, deadline, clock, now, queue, manager)
    app.router.routes.append(Everything(Gateway(calls, domain, record)))
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


class Gateway:
    """Answers requests; whatever happens, with a request id, and written down once."""

    def __init__(self, calls: Calls, domain: str, record: Callable[[Access], None] | None) -> None:
        self._calls = calls
        self._domain = domain
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        started = self._calls.clock()
        headers = tuple((bytes(name).lower(), bytes(value)) for name, value in scope["headers"])
        request_id = sane_request_id(headers) or str(uuid.uuid4())
        host, path = split_absolute(_raw_path(scope))
        request = _request(scope, path, headers)
        target = resolve(host or request.header(b"host") or "", path, self._domain)
        body = Body(headers, receive)
        found = False
        if target is None:
            response = _elsewhere(request)
        else:
            exchange = Exchange(
                replace(request, path=target.path),
                target,
                request_id,
                body.read,
                started,
                "aws.event" in scope,
            )
            response, found = await self._safely(exchange)
        # API Gateway has taken the whole request before this began.
        unread = None if body.ended or "aws.event" in scope else body
        request_id = response.request_id or request_id
        await _send(send, response, request, request_id, unread)
        if self._record:
            seconds = self._calls.clock() - started
            name = target.name if target else ""
            self._record(
                Access(
                    request_id,
                    request.method,
                    name,
                    found,
                    response.status,
                    seconds,
                    response.revision,
                )
            )

    async def _safely(self, exchange: Exchange) -> tuple[Response, bool]:
        try:
            return await self._calls.answer(exchange)
        except FalServerlessError as error:
            _log.error("request %s: %s %s", exchange.request_id, error.message, error.reason)
            failed = answer.error(
                503, "The gateway cannot reach AWS just now.", (b"retry-after", b"1")
            )
        except Exception:  # noqa: BLE001 - the last line: callers get JSON, the log the traceback
            _log.exception("request %s failed", exchange.request_id)
            failed = answer.error(500, "The gateway failed.")
        return cors.readable(failed), False


def _elsewhere(request: Request) -> Response:
    """The answer where no function can be."""
    if request.path == HEALTH:
        body = json.dumps({"status": "ok"}).encode()
        return Response(200, ((b"content-type", b"application/json"),), body)
    return cors.readable(answer.denied(auth.UNKNOWN_TARGET))


def _raw_path(scope: Scope) -> str:
    raw = scope.get("raw_path")
    if raw is None:
        return quote(scope["path"], safe="/!$&'()*+,;=:@~")
    return bytes(raw).decode("latin-1")


def _request(scope: Scope, path: str, headers: tuple[tuple[bytes, bytes], ...]) -> Request:
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=path,
        query=scope["query_string"],
        headers=headers,
        client=str(client[0]) if client and client[0] else "",
        scheme=scope.get("scheme", "http"),
        protocol=f"HTTP/{scope.get('http_version', '1.1')}",
    )


async def _send(
    send: Send, response: Response, request: Request, request_id: str, unread: Body | None
) -> None:
    headers = list(response.headers)
    body = response.body
    bodiless = response.status in (204, 304)
    if not bodiless and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(body)).encode()))
    headers.append((b"x-fal-request-id", request_id.encode("ascii")))
    if response.revision:
        headers.append((b"x-fal-revision", response.revision.encode("latin-1")))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    content = b"" if bodiless or request.method == "HEAD" else body
    await send({"type": "http.response.body", "body": content, "more_body": unread is not None})
    if unread is not None:
        await unread.drain()
        await send({"type": "http.response.body", "body": b""})
