"""Serve mode: the function's arguments come as JSON, its return value goes back as JSON."""

from __future__ import annotations

import json
import sys
import types
from typing import TYPE_CHECKING, Any

from fal_serverless.runtime.arguments import Arguments, RefusedError
from fal_serverless.runtime.encode import UnencodableError, encode, simple
from fal_serverless.runtime.events import Answer, to_json

if TYPE_CHECKING:
    from fal_serverless.runtime.events import Request
    from fal_serverless.runtime.loader import Loaded

_OPEN = ("access-control-allow-origin", "*")
_PREFLIGHT = [
    _OPEN,
    ("access-control-allow-methods", "POST, GET, OPTIONS"),
    ("access-control-max-age", "86400"),
]

_ITERABLE_COROUTINE = 0x100  # inspect.CO_ITERABLE_COROUTINE


class Serve:
    """Answers requests by calling the function."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._name = str(loaded.spec.get("name", "function"))
        self._arguments = Arguments(loaded.spec.get("arguments", {}), loaded.function)

    def answer(self, request: Request, remaining: float) -> Answer:  # noqa: ARG002
        """The answer to one request; Lambda itself ends a call that takes too long."""
        answer = self._route(request)
        if not any(name == _OPEN[0] for name, _ in answer.headers):
            answer.headers.append(_OPEN)
        return answer

    def _route(self, request: Request) -> Answer:
        if request.method == "OPTIONS":
            asked = request.header("access-control-request-headers") or "*"
            return Answer(204, b"", [*_PREFLIGHT, ("access-control-allow-headers", asked)])
        if request.path == "/openapi.json" and request.method in ("GET", "HEAD"):
            document = self._loaded.openapi or b"{}"
            return Answer(200, document, [("content-type", "application/json")])
        if request.path == "/docs" and request.method in ("GET", "HEAD"):
            page = docs_page(self._name, json.loads(self._loaded.openapi or b"{}"))
            return Answer(200, page.encode(), [("content-type", "text/html; charset=utf-8")])
        if request.path not in ("/", ""):
            return to_json(404, {"detail": f"'{self._name}' answers at / only"})
        if request.method != "POST":
            return to_json(405, {"detail": "Method Not Allowed"}, [("allow", "POST")])
        return self._call(request)

    def _call(self, request: Request) -> Answer:
        try:
            positional, keywords = self._arguments.bind(request.body, request.query)
        except RefusedError as error:
            return to_json(422, {"detail": [_printable(item) for item in error.details]})
        try:
            value = self._loaded.function(*positional, **keywords)
            if _awaitable(value):
                import asyncio

                value = asyncio.run(_wait(value))
            body, kind = encode(value)
        except UnencodableError as error:
            print(f"{self._name}: {error}", file=sys.stderr)  # noqa: T201 - this is the log
            return to_json(500, {"detail": str(error), "error_type": "UnencodableError"})
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
            import traceback

            traceback.print_exc()
            kind = type(error).__name__
            answer = to_json(500, {"detail": str(error), "error_type": kind})
            answer.error_type = kind
            return answer
        return Answer(200, body, [("content-type", kind)])


def _awaitable(value: Any) -> bool:
    """``inspect.isawaitable``, whose module would be a fifth of a cold start."""
    if isinstance(value, types.GeneratorType):
        return bool(value.gi_code.co_flags & _ITERABLE_COROUTINE)
    return hasattr(type(value), "__await__")


async def _wait(value: Any) -> Any:
    return await value


def _printable(detail: dict[str, Any]) -> dict[str, Any]:
    try:
        return {**detail, "input": simple(detail["input"])}
    except UnencodableError:
        return {**detail, "input": str(detail["input"])}


def docs_page(name: str, document: dict[str, Any]) -> str:
    """A page that describes the function, complete in itself."""
    import html

    operation = document.get("paths", {}).get("/", {}).get("post", {})
    pretty = html.escape(json.dumps(document, indent=2, ensure_ascii=False))
    about = html.escape(str(operation.get("description") or operation.get("summary") or ""))
    title = html.escape(name)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        "<style>body{font:16px system-ui;max-width:50rem;margin:2rem auto;padding:0 1rem}"
        "pre,textarea{width:100%;overflow:auto;background:#f4f4f4;padding:1rem;box-sizing:"
        "border-box;font:14px monospace}</style>"
        f"<h1>{title}</h1><p>{about}</p><h2>Try it</h2><textarea id=b rows=6>{{}}</textarea>"
        "<p><button id=s>POST /</button></p><pre id=o></pre>"
        f"<h2><a href=openapi.json>openapi.json</a></h2><pre>{pretty}</pre>"
        "<script>s.onclick=async()=>{let r=await fetch('./'+location.search,{method:'POST',"
        "body:b.value});o.textContent=r.status+'\\n'+await r.text()}</script></html>"
    )
