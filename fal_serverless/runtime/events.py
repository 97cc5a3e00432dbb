"""Events of API Gateway (payload 2.0) in, answers of that form out; the modes see neither."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PAYLOAD_MAX = 6_291_556
"""Bytes of JSON that Lambda carries each way (Lambda quotas, synchronous invocations)."""

Headers = list[tuple[str, str]]


# No dataclasses here and in the loader: making one takes a millisecond of every cold start.
class Request:
    """One HTTP request; nothing changes it.

    Attributes:
        path: percent-encoded, as sent.
        query: percent-encoded, without ``?``.
        headers: in order, names as sent; may repeat.
        answer_by: epoch seconds until when somebody waits for the answer; None for the queue's.
    """

    __slots__ = ("answer_by", "body", "client", "headers", "method", "path", "query")

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: Headers,
        body: bytes,
        client: str = "",
        answer_by: float | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.client = client
        self.answer_by = answer_by

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def with_body(self, body: bytes) -> Request:
        """The same request with another body."""
        return Request(
            self.method,
            self.path,
            self.query,
            self.headers,
            body,
            self.client,
            self.answer_by,
        )


class Answer:
    """One HTTP answer; ``error_type`` names the exception that the function raised."""

    __slots__ = ("body", "error_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Headers | None = None,
        error_type: str = "",
    ) -> None:
        self.status = status
        self.body = body
        self.headers: Headers = [] if headers is None else headers
        self.error_type = error_type


def to_json(status: int, content: Any, headers: Headers | None = None) -> Answer:
    """An answer of JSON."""
    body = json.dumps(content, default=str).encode()
    return Answer(status, body, [("content-type", "application/json"), *(headers or [])])


def request_of(event: Mapping[str, Any]) -> Request:
    """The request that an event carries; ours has the raw headers beside API Gateway's."""
    http = event.get("requestContext", {}).get("http", {})
    raw = event.get("body") or ""
    body = base64.b64decode(raw) if event.get("isBase64Encoded") else raw.encode()
    about = event.get("fal", {})
    listed = about.get("headers")
    if listed is not None:
        headers = [(str(name), str(value)) for name, value in listed]
    else:
        headers = [(str(k), str(v)) for k, v in (event.get("headers") or {}).items()]
        if event.get("cookies") and not any(name.lower() == "cookie" for name, _ in headers):
            headers.append(("cookie", "; ".join(event["cookies"])))
    return Request(
        method=str(http.get("method", "POST")),
        path=str(event.get("rawPath") or "/"),
        query=str(event.get("rawQueryString") or ""),
        headers=headers,
        body=body,
        client=str(http.get("sourceIp", "")),
        answer_by=about.get("answer_by"),
    )


def event_of(answer: Answer, revision: str) -> dict[str, Any]:
    """The answer as Lambda returns it; too large a one becomes a 502 that says so."""
    result = _result(answer, _headers(answer, revision))
    if _surely_fits(answer):
        return result
    size = _size(result)
    if size <= PAYLOAD_MAX:
        return result
    detail = (
        f"The answer is {size:,} bytes as Lambda carries it, and the limit is {PAYLOAD_MAX:,}: "
        "answer with less, or store the data (for example in S3) and answer with its address."
    )
    kept = [("x-fal-revision", revision)] if revision else []
    refused = to_json(502, {"detail": detail}, kept)
    return _result(refused, refused.headers)


def fits(answer: Answer, revision: str) -> bool:
    """Whether Lambda carries an answer."""
    if _surely_fits(answer):
        return True
    return _size(_result(answer, _headers(answer, revision))) <= PAYLOAD_MAX


def _surely_fits(answer: Answer) -> bool:
    """Whether an answer is far below the limit, without writing it as JSON to see."""
    # Six bytes a character is the worst that JSON makes of text, and base64 is far below; a
    # header is written twice, with some signs around it.
    headers = sum(len(name) + len(value) + 20 for name, value in answer.headers)
    return (len(answer.body) + 2 * headers) * 6 + 10_000 <= PAYLOAD_MAX


def _size(result: dict[str, Any]) -> int:
    """Bytes of a result as Lambda carries it."""
    return len(json.dumps(result, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _headers(answer: Answer, revision: str) -> Headers:
    return [*answer.headers, *([("x-fal-revision", revision)] if revision else [])]


def _result(answer: Answer, headers: Headers) -> dict[str, Any]:
    joined: dict[str, str] = {}
    cookies = []
    for name, value in headers:
        key = name.lower()
        if key == "set-cookie":
            cookies.append(value)
        else:
            joined[key] = f"{joined[key]},{value}" if key in joined else value
    try:
        text, encoded = answer.body.decode(), False
    except UnicodeDecodeError:
        text, encoded = base64.b64encode(answer.body).decode(), True
    more: dict[str, Any] = {"headers": [list(pair) for pair in headers]}
    if answer.error_type:
        more["error_type"] = answer.error_type
    return {
        "statusCode": answer.status,
        "headers": joined,
        "cookies": cookies,
        "body": text,
        "isBase64Encoded": encoded,
        "fal": more,
    }
