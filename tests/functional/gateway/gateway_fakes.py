"""Stand-ins for what the gateway talks to: a registry, an invoker, and AWS on a loopback port."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from fal_serverless import keys
from fal_serverless.gateway.protocols import InvokeResult, Route

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

DOMAIN = "gateway.localhost"
SECRET = "s3cret-" + "ab" * 28
OTHER_SECRET = "0ther-" + "cd" * 28
NOW = 1_800_000_000.0


def route(name: str, auth: str = "private", mode: str = "serve", owner: str = "12") -> Route:
    return Route(f"fal-{owner}-{name}-z", name, auth, mode, 30, owner, f"rev-{name}")


def key(key_id: str, secret: str, owner: str = "12", **changes: Any) -> keys.KeyRecord:
    return keys.KeyRecord(key_id, keys.hash_secret(secret), owner, "API", **changes)


ROUTES = {
    f"{found.owner}-{found.qualifier}": found
    for found in (
        route("call"),
        route("open", auth="public"),
        route("team", auth="shared"),
        route("web", auth="public", mode="port"),
        route("web2", mode="port"),
    )
}
KEYS = {
    found.id: found
    for found in (
        key("mine", SECRET),
        key("other", OTHER_SECRET, owner="13"),
        key("revoked", SECRET, revoked=True),
        key("expired", SECRET, expires_at=int(NOW) - 1),
    )
}


@dataclass
class FakeRegistry:
    routes: dict[str, Route] = field(default_factory=lambda: dict(ROUTES))
    keys: dict[str, keys.KeyRecord] = field(default_factory=lambda: dict(KEYS))
    reads: list[tuple[str | None, str | None]] = field(default_factory=list)
    fails: Exception | None = None

    def read(
        self, target: str | None, key_id: str | None
    ) -> tuple[Route | None, keys.KeyRecord | None]:
        self.reads.append((target, key_id))
        if self.fails:
            raise self.fails
        return self.routes.get(target or ""), self.keys.get(key_id or "")


def echo(event: dict[str, Any]) -> dict[str, Any]:
    """An answer that repeats the event, and says what HTTP makes difficult."""
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(event),
        "fal": {
            "headers": [
                ["content-type", "application/json"],
                ["set-cookie", "a=1; Path=/"],
                ["set-cookie", "b=2"],
                ["x-twice", "1"],
                ["x-twice", "2"],
                ["connection", "close"],
            ]
        },
    }


def answered(said: Any) -> InvokeResult:
    return InvokeResult("answered", 200, payload=json.dumps(said).encode(), executed_version="3")


@dataclass
class FakeInvoker:
    behave: Callable[[dict[str, Any]], InvokeResult] = lambda event: answered(echo(event))
    calls: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str, float]] = field(default_factory=list)

    def invoke(
        self, function: str, qualifier: str, payload: bytes, *, timeout: float
    ) -> InvokeResult:
        self.asked.append((function, qualifier, timeout))
        self.calls.append(json.loads(payload))
        return self.behave(self.calls[-1])


class OnLoop:
    """Something of coroutines, used as if it blocked; its connections live on from call to call."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self._loop = asyncio.new_event_loop()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.made, name)
        if not asyncio.iscoroutinefunction(found):
            return found
        return lambda *given, **named: self.run(found(*given, **named))

    def run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        self.made.close()
        # What closes a connection runs a moment later.
        self.run(asyncio.sleep(0))
        self._loop.close()


class AwsStandIn:
    """Lambda's Invoke, DynamoDB's BatchGetItem and UpdateItem, on a free port of this machine.

    What Lambda answers goes by the function's name: ``answers`` maps it to (status, headers,
    body), or to a callable of the handler that does as it likes.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Any] = {}
        self.items: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.connections: set[Any] = set()
        stand_in = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Callers who leave early are part of the tests."""

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                stand_in.connections.add(self.client_address)
                if self.headers.get("X-Amz-Target", "").endswith(".UpdateItem"):
                    stand_in.updates.append(json.loads(body))
                    self.reply(200, {}, b"{}")
                elif "X-Amz-Target" in self.headers:
                    self.reply(200, {}, stand_in.batch(json.loads(body)))
                else:
                    stand_in.invoked(self, body)

            def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def batch(self, asked: dict[str, Any]) -> bytes:
        table, wanted = next(iter(asked["RequestItems"].items()))
        names = [key["pk"]["S"] for key in wanted["Keys"]]
        found = [self.items[name] for name in names if name in self.items]
        return json.dumps({"Responses": {table: found}, "UnprocessedKeys": {}}).encode()

    def invoked(self, handler: Any, body: bytes) -> None:
        url = urlsplit(handler.path)
        name = url.path.split("/")[3]
        self.requests.append(
            {
                "path": handler.path,
                "function": name,
                "qualifier": parse_qs(url.query).get("Qualifier", [""])[0],
                "headers": dict(handler.headers.items()),
                "body": body,
            }
        )
        answer = self.answers.get(name)
        if callable(answer):
            answer(handler)
        elif answer is not None:
            handler.reply(*answer)
        else:
            said = json.dumps(echo(json.loads(body))).encode()
            handler.reply(200, {"X-Amz-Executed-Version": "7"}, said)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
