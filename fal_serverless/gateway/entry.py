"""The gateway as a bare ASGI callable: one request in, one answer out, written down once.

``app`` puts FastAPI around it. On Lambda a request that names a function takes the way without,
because importing FastAPI would be half of the cold start.
"""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from fal_serverless.errors import FalServerlessError
from fal_serverless.gateway import answer, auth, cors
from fal_serverless.gateway.body import Body
from fal_serverless.gateway.event import sane_request_id
from fal_serverless.gateway.invoke import Exchange
from fal_serverless.gateway.protocols import Request, Response
from fal_serverless.gateway.target import resolve, split_absolute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from fal_serverless.gateway.invoke import Calls
    from fal_serverless.gateway.protocols import Headers
    from fal_serverless.gateway.target import Target

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


class Gateway:
    """Answers requests; whatever happens, with a request id, and written down once."""

    def __init__(self, calls: Calls, domain: str, record: Callable[[Access], None] | None) -> None:
        self._calls = calls
        self._domain = domain
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self.serve(scope, receive, send, *self.address(scope))

    def address(self, scope: Scope) -> tuple[Target | None, str]:
        """(what a request's address names, its raw path)."""
        host, path = split_absolute(_raw_path(scope))
        return resolve(host or _host(scope["headers"]), path, self._domain), path

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, target: Target | None, path: str
    ) -> None:
        """ASGI, once the address is known."""
        started = self._calls.clock()
        headers: Headers = tuple(scope["headers"])
        request_id = sane_request_id(headers) or str(uuid.uuid4())
        request = _request(scope, target.path if target else path, headers)
        body = Body(headers, receive)
        found = False
        if target is None:
            response = _elsewhere(request)
        else:
            behind = "aws.event" in scope
            exchange = Exchange(request, target, request_id, body.read, started, behind)
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


class Shortcut:
    """A gateway for addresses of functions, and the app for all others, made when one is asked."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            target, path = self._gateway.address(scope)
            if target is not None:
                await self._gateway.serve(scope, receive, send, target, path)
                return
        if self._app is None:
            from fal_serverless.gateway.app import app_around

            self._app = app_around(self._gateway)
        await self._app(scope, receive, send)


def _elsewhere(request: Request) -> Response:
    """The answer where no function can be."""
    if request.path == HEALTH:
        body = json.dumps({"status": "ok"}).encode()
        return Response(200, ((b"content-type", b"application/json"),), body)
    return cors.readable(answer.denied(auth.UNKNOWN_TARGET))


def _host(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"host":
            return value.decode("latin-1")
    return ""


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
    if not bodiless and b"content-length" not in [name for name, _ in headers]:
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
