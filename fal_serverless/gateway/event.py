"""From a request to the bytes that Lambda is sent: an API Gateway payload 2.0 event. Pure."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from fal_serverless.gateway.protocols import PAYLOAD_MAX

if TYPE_CHECKING:
    from fal_serverless.gateway.protocols import Headers, Request

# RFC 9110, 7.6.1: they speak of one connection, and not of the message.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_FACTS = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class PayloadTooLargeError(Exception):
    """A request does not fit into what Lambda carries; ``size`` in bytes of JSON."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def sane_request_id(headers: Headers) -> str | None:
    """The caller's ``x-fal-request-id``, if it can be logged and sent back as it is."""
    for name, value in headers:
        if name == b"x-fal-request-id":
            return value.decode("ascii") if _REQUEST_ID.fullmatch(value) else None
    return None


def end_to_end(headers: Headers, dropped: frozenset[bytes] = HOP_BY_HOP) -> Headers:
    """Headers without those of the connection, the ones that ``Connection`` names included."""
    if dropped.isdisjoint([name for name, _ in headers]):
        return headers
    named = {
        token.strip().lower()
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    }
    dropped = dropped | named
    return tuple(pair for pair in headers if pair[0] not in dropped)


def forwarded(headers: Headers, *, client: str, scheme: str, behind_api_gateway: bool) -> Headers:
    """Headers with what the function is told of the caller's connection.

    API Gateway has already appended the caller's address to ``X-Forwarded-For``; elsewhere this
    does. Host and scheme are facts of this connection, whatever the caller claims.
    """
    chain: list[bytes] = []
    kept: list[tuple[bytes, bytes]] = []
    host = b""
    for pair in headers:
        name, value = pair
        if name == b"x-forwarded-for":
            chain.append(value)
        elif name not in _FACTS:
            kept.append(pair)
            if name == b"host" and not host:
                host = value
    if client and not behind_api_gateway:
        chain.append(client.encode("latin-1"))
    facts = (b", ".join(chain), scheme.encode("ascii"), host)
    kept += [pair for pair in zip(_FACTS, facts, strict=True) if pair[1]]
    return tuple(kept)


def payload(
    request: Request, *, request_id: str, now: float, target: str = "", answer_by: float = 0
) -> bytes:
    """The invocation's payload.

    Args:
        request: with credentials and headers of the connection removed.
        now: epoch seconds.
        target: ``<userid>-<label>`` that was asked for; the runtime writes it into the log.
        answer_by: epoch seconds until when somebody waits for the answer; 0 when nobody does.

    Raises:
        PayloadTooLargeError: above Lambda's limit, however it is written.
    """
    event = _head(request, request_id, now)
    if target:
        event["fal"]["target"] = target
    if answer_by:
        event["fal"]["answer_by"] = answer_by
    if not request.body:
        return _fitting(_dump(event))
    try:
        event["body"] = request.body.decode("utf-8")
    except UnicodeDecodeError:
        return _fitting(_base64(event, request.body))
    written = _dump(event)
    if len(written) > PAYLOAD_MAX:
        # Text of many control characters and quotes is shorter in base64.
        written = min(written, _base64(event, request.body), key=len)
    return _fitting(written)


def _fitting(written: bytes) -> bytes:
    if len(written) > PAYLOAD_MAX:
        raise PayloadTooLargeError(len(written))
    return written


def _base64(event: dict[str, Any], body: bytes) -> bytes:
    encoded = base64.b64encode(body).decode("ascii")
    return _dump({**event, "body": encoded, "isBase64Encoded": True})


def _dump(event: dict[str, Any]) -> bytes:
    return _JSON.encode(event).encode()


def _head(request: Request, request_id: str, now: float) -> dict[str, Any]:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in pairs:
        if name == "cookie":
            cookies.extend(value.split("; "))
        else:
            joined[name] = f"{joined[name]},{value}" if name in joined else value
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query.decode("latin-1"),
        "headers": joined,
        "requestContext": {
            "domainName": joined.get("host", ""),
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": request.protocol,
                "sourceIp": request.client,
                "userAgent": joined.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
        "fal": {"headers": pairs, "request_id": request_id},
    }
    if cookies:
        event["cookies"] = cookies
    return event
