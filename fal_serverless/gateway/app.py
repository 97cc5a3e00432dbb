"""The gateway as a FastAPI app: around one bare route that takes every method and path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.routing import BaseRoute, Match, NoMatchFound

if TYPE_CHECKING:
    from starlette.datastructures import URLPath
    from starlette.types import Receive, Scope, Send

    from fal_serverless.gateway.entry import Gateway


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
