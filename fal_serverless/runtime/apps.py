"""Calls a WSGI or ASGI app that the user's function returned, without a socket in between."""

from __future__ import annotations

import asyncio
import inspect
import io
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from fal_serverless.runtime.events import Answer, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from fal_serverless.runtime.events import Request


def app_of(value: object, port: int) -> WsgiApp | AsgiApp | None:
    """What can answer requests by ``value``, or None when it is no app."""
    if not callable(value):
        return None
    if is_asgi(value):
        return AsgiApp(value, port)
    return WsgiApp(value, port)


def is_asgi(app: Any) -> bool:
    """Whether ``app`` is called as ``await app(scope, receive, send)``."""
    call = app if inspect.isfunction(app) or inspect.ismethod(app) else type(app).__call__
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call):
        return True
    try:
        count = len(inspect.signature(app).parameters)
    except (TypeError, ValueError):
        return False
    return count == 3


class WsgiApp:
    """A WSGI app (PEP 3333)."""

    def __init__(self, app: Callable[..., Any], port: int) -> None:
        self._app = app
        self._port = port

    def exchange(self, request: Request) -> Answer:
        """Its answer to one request."""
        started: list[Any] = []
        early = io.BytesIO()

        def start_response(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:  # noqa: ARG001
            started[:] = [status, headers]
            return early.write

        result = self._app(self._environ(request), start_response)
        try:
            body = early.getvalue() + b"".join(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        if not started:
            return to_json(502, {"detail": "The app did not call start_response."})
        return Answer(int(started[0].split()[0]), body, list(started[1]))

    def _environ(self, request: Request) -> dict[str, Any]:
        host = request.header("host") or f"localhost:{self._port}"
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
            "RAW_URI": request.path,
            "REQUEST_URI": request.path + (f"?{request.query}" if request.query else ""),
            "QUERY_STRING": request.query,
            "SERVER_NAME": host.partition(":")[0],
            "SERVER_PORT": str(self._port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": request.client,
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": request.header("x-forwarded-proto") or "https",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in request.headers:
            key = name.upper().replace("-", "_")
            if key == "CONTENT_LENGTH":
                continue
            key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
            joint = "; " if key == "HTTP_COOKIE" else ","
            environ[key] = f"{environ[key]}{joint}{value}" if key in environ else value
        return environ


class AsgiApp:
    """An ASGI 3 app with its lifespan, in an event loop of its own thread."""

    def __init__(self, app: Callable[..., Any], port: int) -> None:
        self._app = app
        self._port = port
        self._state: dict[str, Any] = {}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="asgi", daemon=True).start()
        self._run(self._start())

    def exchange(self, request: Request) -> Answer:
        """Its answer to one request."""
        answer: Answer = self._run(self._exchange(request))
        return answer

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self) -> None:
        """Run the lifespan's startup; apps without one raise or return, which is allowed."""
        inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self._state,
        }

        async def run() -> None:
            try:
                await self._app(scope, inbox.get, outbox.put)
            except Exception:  # noqa: BLE001 - "not supported", by the specification
                await outbox.put({"type": "unsupported"})

        self._lifespan = asyncio.ensure_future(run())
        await inbox.put({"type": "lifespan.startup"})
        said = asyncio.ensure_future(outbox.get())
        await asyncio.wait({said, self._lifespan}, return_when=asyncio.FIRST_COMPLETED)
        if said.done() and said.result()["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"the app's startup failed: {said.result().get('message', '')}")
        if not said.done():
            said.cancel()

    async def _exchange(self, request: Request) -> Answer:
        sent = False
        answer = Answer(0)
        chunks: list[bytes] = []
        done = asyncio.Event()

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                await done.wait()
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = [
                    (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
                    for name, value in message.get("headers", ())
                ]
            elif message["type"] == "http.response.body":
                chunks.append(bytes(message.get("body", b"")))
                if not message.get("more_body"):
                    done.set()

        try:
            await self._app(self._scope(request), receive, send)
        except Exception:  # noqa: BLE001 - the user's app; servers answer 500 as well
            traceback.print_exc()
            if not answer.status:
                return to_json(500, {"detail": "Internal Server Error"})
        finally:
            done.set()
        if not answer.status:
            return to_json(502, {"detail": "The app did not answer."})
        answer.body = b"".join(chunks)
        return answer

    def _scope(self, request: Request) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.header("x-forwarded-proto") or "https",
            "path": unquote_to_bytes(request.path).decode("utf-8", "surrogateescape"),
            "raw_path": request.path.encode("latin-1", "replace"),
            "query_string": request.query.encode("latin-1", "replace"),
            "root_path": "",
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
                for name, value in request.headers
            ],
            "client": (request.client, 0),
            "server": ("127.0.0.1", self._port),
            "state": dict(self._state),
        }
