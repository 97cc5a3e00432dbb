"""Exposed-port mode: requests are carried to the web server that the user's function runs.

The function runs in a thread beside the handler. One that returns a WSGI or ASGI app, instead of
running a server, is served as well.
"""

from __future__ import annotations

import http.client
import inspect
import os
import socket
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from fal_serverless.runtime.apps import AsgiApp, WsgiApp, app_of
from fal_serverless.runtime.events import Answer, Headers, Request, to_json
from fal_serverless.runtime.ports import divert

if TYPE_CHECKING:
    from collections.abc import Callable

    from fal_serverless.runtime.loader import Loaded

# RFC 9110, 7.6.1: of one connection, not of the message.
HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
MARGIN_S = 0.5
"""Kept back of the time left, to answer before Lambda ends the call."""
DIRECT_MARGIN_S = 2.0
"""Kept back of the time that a caller waits: the reason shall reach it before the gateway, which
knows none, gives up. The gateway's clock is another machine's."""
_POLL_S = 0.01


class Server:
    """The user's function, running in a thread of its own until it returns or dies."""

    def __init__(self, function: Callable[[], Any], port: int, named: int) -> None:
        """The function is begun.

        Args:
            named: the port as its author knows it.
        """
        self._function = function
        self._port = port
        self._named = named
        self.app: WsgiApp | AsgiApp | None = None
        self.ended = ""
        threading.Thread(target=self._run, name="server", daemon=True).start()

    def _run(self) -> None:
        try:
            value = self._function()
            if inspect.iscoroutine(value):
                import asyncio

                value = asyncio.run(_wait(value))
            self.app = app_of(value, self._port) if value is not None else None
            if self.app is None:
                self.ended = "the function returned without running a server or returning an app"
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code
            traceback.print_exc()
            self.ended = f"the function ended with {type(error).__name__}: {error}"

    def wait(self, seconds: float) -> str:
        """Wait until requests can be answered; why they cannot be, or ``""``."""
        deadline = time.monotonic() + seconds
        while True:
            if self.app is not None or _accepts(self._port):
                return ""
            if self.ended:
                return self.ended
            if time.monotonic() >= deadline:
                return (
                    f"nothing listens on port {self._named} after {seconds:.1f} s, "
                    "where the function is to run its server"
                )
            time.sleep(_POLL_S)


async def _wait(value: Any) -> Any:
    return await value


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Port:
    """Carries requests to the function's server, over a connection that is kept open."""

    def __init__(self, loaded: Loaded) -> None:
        self._name = str(loaded.spec.get("name", "function"))
        self._port = self._named = int(loaded.spec["port"])
        if os.environ.get("FAL_LOCAL"):
            self._port = divert(self._port)
        self._function = loaded.function
        self._server = Server(loaded.function, self._port, self._named)
        self._connection: http.client.HTTPConnection | None = None
        self._ready = False

    def answer(self, request: Request, remaining: float) -> Answer:
        """The server's answer to one request; ``remaining`` in seconds."""
        allowed = max(remaining - MARGIN_S, 0.1)
        started = time.monotonic()
        if not self._ready:
            problem = self._server.wait(_patience(request, allowed))
            if problem:
                return self._unreachable(problem)
            self._ready = True
        if self._server.app is not None:
            try:
                answer = self._server.app.exchange(forwarded(request))
            except Exception:  # noqa: BLE001 - the user's app; servers answer 500 as well
                traceback.print_exc()
                return to_json(500, {"detail": "Internal Server Error"})
            answer.headers = end_to_end(answer.headers)
            return answer
        try:
            return self._exchange(request, allowed - (time.monotonic() - started))
        except TimeoutError:
            self._drop()
            return to_json(504, {"detail": f"'{self._name}' did not answer in time."})
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            self._ready = False
            reason = self._server.ended or f"{type(error).__name__}: {error}"
            return self._unreachable(f"the server did not answer: {reason}")

    def _unreachable(self, problem: str) -> Answer:
        print(f"{self._name}: {problem}", file=sys.stderr, flush=True)  # noqa: T201 - the log
        if self._server.ended:
            # The next request gets a server that has just been started.
            self._server = Server(self._function, self._port, self._named)
        self._ready = False
        return to_json(502, {"detail": f"'{self._name}' cannot answer: {problem}."})

    def _exchange(self, request: Request, allowed: float) -> Answer:
        reused = self._connection is not None
        try:
            return self._send(request, allowed)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A server may close a connection that it kept while the environment was frozen; then
            # it has read nothing of this request. On a fresh connection that is not so.
            self._drop()
            if not reused:
                raise
        return self._send(request, allowed)

    def _send(self, request: Request, allowed: float) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port)
            self._connection.connect()
        connection = self._connection
        if connection.sock is not None:
            connection.sock.settimeout(max(allowed, 0.1))
        target = request.path + (f"?{request.query}" if request.query else "")
        connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in forwarded(request).headers:
            connection.putheader(name, value.encode("latin-1", "replace"))
        connection.endheaders(request.body or None)
        _acknowledge(connection.sock)
        response = connection.getresponse()
        body = response.read()
        headers = [(name, value) for name, value in response.msg.items()]
        answer = Answer(response.status, body, end_to_end(headers))
        if response.will_close:
            self._drop()
        return answer

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _patience(request: Request, allowed: float) -> float:
    """Seconds to wait for the server: less than ``allowed`` if somebody waits for the answer."""
    if request.answer_by is None:
        return allowed
    return min(allowed, max(request.answer_by - DIRECT_MARGIN_S - time.time(), 0.1))


def _acknowledge(sock: socket.socket | None) -> None:
    """Let what comes next be acknowledged at once, for servers that wait for it.

    Many write headers and body apart, and without TCP_NODELAY the second waits for the first
    one's acknowledgement, which Linux otherwise delays by 40 ms. It has to be asked for each time.
    """
    option = getattr(socket, "TCP_QUICKACK", None)
    if option is not None and sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, option, 1)


def forwarded(request: Request) -> Request:
    """The request as the server shall see it: one connection's headers gone, length right."""
    headers = [
        (name, value)
        for name, value in end_to_end(request.headers)
        if name.lower() not in ("content-length", "expect")
    ]
    names = {name.lower() for name, _ in headers}
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        headers.append(("content-length", str(len(request.body))))
    if "host" not in names:
        headers.append(("host", "localhost"))
    extra = {
        "x-forwarded-for": request.client,
        "x-forwarded-proto": "https",
        "x-forwarded-host": request.header("host") or "",
    }
    headers += [(name, value) for name, value in extra.items() if value and name not in names]
    return Request(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=headers,
        body=request.body,
        client=request.client,
    )


def end_to_end(headers: Headers) -> Headers:
    """Headers without those of one connection, the ones that ``Connection`` names included."""
    named = {
        token.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for token in value.split(",")
    }
    return [pair for pair in headers if pair[0].lower() not in HOP_BY_HOP | named]
