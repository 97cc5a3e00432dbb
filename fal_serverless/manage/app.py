"""The management API as an ASGI app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from fal_serverless._version import __version__
from fal_serverless.manage import aliases, errors, keys, served
from fal_serverless.manage.space import Here

if TYPE_CHECKING:
    from fal_serverless.manage.space import Stack

_DESCRIPTION = """What you have served, and where your aliases point.

Every request needs a key of scope ADMIN. Lists come in pages: `next_cursor` of one is the `cursor`
of the next, and null at the end.
"""
_SCHEMES = {
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Key <id>:<secret>`; or the headers `X-Fal-Key-Id` and `X-Fal-Key-Secret`.",
    }
}


def create_app(stack: Stack) -> FastAPI:
    """The app; requests come by way of Mangum, as ``gateway.management`` writes them."""
    app = FastAPI(
        title="fal-serverless management",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        responses=errors.EVERYWHERE,
        # A client made of the document gets methods of these names.
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.stack = stack
    errors.install(app)
    for router in (served.router, aliases.router, keys.router):
        app.include_router(router)

    @app.get("/openapi.json", include_in_schema=False)
    def get_document(here: Here) -> dict[str, Any]:
        """The OpenAPI document."""
        return document_of(app, here.prefix)

    return app


def document_of(app: FastAPI, prefix: str) -> dict[str, Any]:
    """The OpenAPI document of the API where ``prefix`` stands before its paths."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        servers=[{"url": prefix or "/"}],
    )
    document["components"]["securitySchemes"] = _SCHEMES
    document["security"] = [{"key": []}]
    return document
