"""API Gateway's payload 2.0 for Mangum, as close to the bytes that were sent as it comes.

What is known of the transport:

- An HTTP API decodes ``rawPath`` (every escape but ``%25``), so that the original spelling of a
  path is lost before this code runs. Only what can never stand in an encoded path is escaped
  again; what still is an escape stays. ``rawQueryString`` comes as it was sent.
- A stage other than ``$default`` stands in front of ``rawPath``.
- Request headers come joined by commas, in no order, cookies apart.
- Answers have one value a header, and a list of cookies.

Mangum's own handler decodes the path once more and gives no raw one, fails on header values
that are not UTF-8 and on odd ``Host`` headers, and invents content types.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from mangum.handlers import HTTPGateway

from fal_serverless.gateway.protocols import PAYLOAD_MAX

if TYPE_CHECKING:
    from mangum.types import LambdaConfig, LambdaContext, LambdaEvent, Response, Scope

# Of RFC 3986's pchar all may stay, and "%", which is either an escape or handled apart.
_PATH_SAFE = "/!$&'()*+,;=:@~%"
# Below this many bytes no body can make an answer too large.
_SURELY_FITS = PAYLOAD_MAX // 8


class PayloadV2(HTTPGateway):
    """A handler for ``Mangum(custom_handlers=[PayloadV2])``."""

    @classmethod
    def infer(
        cls,
        event: LambdaEvent,
        context: LambdaContext,  # noqa: ARG003 - Mangum's protocol
        config: LambdaConfig,  # noqa: ARG003
    ) -> bool:
        """Whether this is an event of an HTTP API."""
        return event.get("version") == "2.0" and "http" in event.get("requestContext", {})

    @property
    def scope(self) -> Scope:
        """The ASGI scope."""
        context = self.event["requestContext"]
        http = context["http"]
        path = without_stage(
            self.event.get("rawPath") or http["path"] or "/", context.get("stage", "$default")
        )
        headers = _pairs(self.event.get("headers") or {})
        cookies = self.event.get("cookies")
        if cookies:
            headers = [pair for pair in headers if pair[0] != b"cookie"]
            headers.append((b"cookie", header_bytes("; ".join(cookies))))
        proto = dict(headers).get(b"x-forwarded-proto")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "http_version": http.get("protocol", "HTTP/1.1").rpartition("/")[2],
            "method": http["method"],
            # API Gateway serves nothing but HTTPS; an emulator says what it does.
            "scheme": "http" if proto == b"http" else "https",
            "path": unquote(path),
            "raw_path": escaped(path),
            "root_path": "",
            "query_string": header_bytes(self.event.get("rawQueryString") or ""),
            "headers": headers,
            "server": (context.get("domainName") or "localhost", 443),
            "client": (http.get("sourceIp") or "", 0),
            "aws.event": self.event,
            "aws.context": self.context,
        }

    def __call__(self, response: Response) -> dict[str, Any]:
        """The answer in API Gateway's format."""
        answer = written(response["status"], response["headers"], response["body"])
        if len(response["body"]) > _SURELY_FITS:
            size = len(json.dumps(answer, ensure_ascii=False).encode())
            if size > PAYLOAD_MAX:
                return _too_large(size, answer["headers"])
        return answer


def written(status: int, headers: Any, body: bytes) -> dict[str, Any]:
    """A payload 2.0 answer."""
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = bytes(raw_name).decode("latin-1"), _text(bytes(raw_value))
        if name == "set-cookie":
            cookies.append(value)
        else:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    answer: dict[str, Any] = {"statusCode": status, "headers": joined}
    if cookies:
        answer["cookies"] = cookies
    try:
        return {**answer, "body": body.decode("utf-8"), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {**answer, "body": base64.b64encode(body).decode("ascii"), "isBase64Encoded": True}


def without_stage(path: str, stage: str) -> str:
    """A path without the stage in front of it."""
    prefix = f"/{stage}"
    if stage == "$default" or not (path == prefix or path.startswith(prefix + "/")):
        return path
    return path[len(prefix) :] or "/"


def escaped(path: str) -> bytes:
    """A path that can stand in a request line: what is one already stays as it is."""
    return quote(path, safe=_PATH_SAFE).encode("ascii")


def _pairs(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    given = headers.items()
    try:
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given]
    except UnicodeEncodeError:
        return [(name.lower().encode("latin-1"), header_bytes(value)) for name, value in given]


def header_bytes(text: str) -> bytes:
    """Text as the bytes it stands for: Latin-1, as HTTP has it, or UTF-8 where that fails."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _too_large(size: int, headers: dict[str, str]) -> dict[str, Any]:
    detail = (
        f"The answer is {size:,} bytes as Lambda carries it, and the limit is "
        f"{PAYLOAD_MAX:,} bytes. Answer with less, or store the data and answer with its address."
    )
    kept = {
        name: value
        for name, value in headers.items()
        if name.startswith(("x-fal-", "access-control-"))
    }
    return {
        "statusCode": 502,
        "headers": {**kept, "content-type": "application/json"},
        "body": json.dumps({"detail": detail}),
        "isBase64Encoded": False,
    }
