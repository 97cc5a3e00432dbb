"""From what came of an invocation to the answer for the caller. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from fal_serverless.gateway.event import end_to_end
from fal_serverless.gateway.protocols import PAYLOAD_MAX, Response

if TYPE_CHECKING:
    from fal_serverless.gateway.auth import Denial
    from fal_serverless.gateway.protocols import Headers, InvokeResult, Route

QUEUE = (
    "for work that takes longer, send the request to the queue: "
    "POST /fal/queue/submit/ on the same address"
)
# API Gateway's limit of an HTTP API's integration: no longer timeout helps a direct request.
_DIRECT_MAX_S = 30
LIMIT = f"{PAYLOAD_MAX:,} bytes"
# RFC 9110, 5.6.2 and 5.5: what uvicorn and API Gateway can send.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Made anew by the gateway from the body, its own ids and the transport's limits.
_OURS = frozenset({b"content-length", b"x-fal-request-id", b"x-fal-revision"})


class NonsenseError(Exception):
    """A function's answer cannot be read; the message is for the caller."""


def error(status: int, detail: str, *headers: tuple[bytes, bytes], **more: str) -> Response:
    """An error as JSON."""
    body = json.dumps({"detail": detail, **more}).encode()
    return Response(status, ((b"content-type", b"application/json"), *headers), body)


def denied(denial: Denial) -> Response:
    """The answer for a request that may not pass."""
    if denial.challenge:
        return error(denial.status, denial.detail, (b"www-authenticate", b"Key"))
    return error(denial.status, denial.detail)


def too_large(size: int) -> Response:
    """413 for a request above Lambda's limit; ``size`` in bytes."""
    return error(
        413,
        f"The request is {size:,} bytes as Lambda carries it, and the limit is {LIMIT}. "
        "Send less (bytes that are not text grow by a third), or store the data, "
        "for example in S3, and send its address.",
    )


def too_late(seconds: float) -> Response:
    """504 for a request that the time left is not enough for."""
    return error(504, f"The function did not answer within {seconds:g} s; {QUEUE}.")


def of_result(result: InvokeResult, route: Route, method: str, *, waited: float) -> Response:
    """The caller's answer.

    Args:
        waited: seconds that were allowed for the invocation.
    """
    match result.outcome:
        case "answered" if result.function_error:
            return _revised(_of_failure(result.payload, route), route)
        case "answered":
            try:
                return _revised(_of_payload(result.payload, method), route)
            except NonsenseError as nonsense:
                return _revised(error(502, f"The function's answer {nonsense}."), route)
        case "timed_out":
            return _revised(too_late(waited), route)
        case "throttled":
            wait = str(min(max(result.retry_after or 1, 1), 60)).encode()
            return error(
                429,
                "The function is at its limit of concurrent requests; try again shortly.",
                (b"retry-after", wait),
            )
        case "too_large":
            return error(413, f"Lambda refused the request as too large; the limit is {LIMIT}.")
        case "unready":
            return error(
                503, "The function is being made ready; try again.", (b"retry-after", b"2")
            )
        case "missing":
            return error(502, "The function behind this address no longer exists.")
    return error(502, "The function could not be reached.")


def _revised(response: Response, route: Route) -> Response:
    if response.revision:
        return response
    return Response(response.status, response.headers, response.body, route.revision)


def _of_failure(payload: bytes, route: Route) -> Response:
    """The function was stopped before it could answer: Lambda says how."""
    try:
        said = json.loads(payload)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    message, kind = str(said.get("errorMessage", "")), str(said.get("errorType", ""))
    if "Task timed out" in message or kind == "Sandbox.Timedout":
        return error(504, f"The function exceeded its timeout of {route.timeout} s; {_way(route)}.")
    if kind == "Function.ResponseSizeTooLarge" or "maximum allowed payload size" in message:
        return error(
            502,
            f"The function's answer is larger than Lambda carries, and the limit is {LIMIT}"
            f"{_size_in(message)}. Answer with less, or store the data and answer with its "
            "address.",
        )
    more = {"error_type": kind} if kind else {}
    return error(
        502,
        "The function stopped before it answered: it was killed, ran out of memory, or could "
        "not start. Its log says more.",
        **more,
    )


def _way(route: Route) -> str:
    """The way out of the function's own timeout: a longer one where that helps, and the queue."""
    if route.timeout >= _DIRECT_MAX_S:
        return QUEUE
    longer = f"raise it with @isolated(timeout=...), up to {_DIRECT_MAX_S} for a direct request"
    return f"{longer}; {QUEUE}"


def _size_in(message: str) -> str:
    """ " (it is n bytes)", when Lambda says how large an answer was."""
    sizes = [int(n) for n in re.findall(r"\d{7,}", message) if int(n) > PAYLOAD_MAX]
    return f" (it is {sizes[0]:,} bytes)" if sizes else ""


def _of_payload(payload: bytes, method: str) -> Response:
    try:
        said = json.loads(payload)
    except ValueError:
        raise NonsenseError("is not JSON") from None
    status = said.get("statusCode") if isinstance(said, dict) else None
    if type(status) is not int or not 200 <= status <= 599:
        raise NonsenseError("has no statusCode from 200 to 599")
    pairs = end_to_end(_headers(said))
    body = _body(said)
    # The first of each counts; they are made anew.
    said_of_us = {name: value for name, value in reversed(pairs) if name in _OURS}
    length = said_of_us.get(b"content-length")
    revision = said_of_us.get(b"x-fal-revision", b"")
    kept = tuple([pair for pair in pairs if pair[0] not in _OURS])
    if method == "HEAD" and status not in (204, 304):
        # The length of the body that is not sent.
        told = length if length and length.isdigit() else str(len(body)).encode()
        kept = (*kept, (b"content-length", told))
    if method == "HEAD" or status in (204, 205, 304):
        body = b""
    return Response(status, kept, body, revision.decode("latin-1") or None)


def _body(said: dict[str, Any]) -> bytes:
    body = said.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise NonsenseError("has a body that is not a string")
    if not said.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise NonsenseError("has a body that is not base64") from None


def _headers(said: dict[str, Any]) -> Headers:
    more = said.get("fal")
    listed = more.get("headers") if isinstance(more, dict) else None
    if listed is not None:
        return tuple([_pair(pair) for pair in _list(listed)])
    headers = said.get("headers") or {}
    if not isinstance(headers, dict):
        raise NonsenseError("has headers that are not an object")
    cookies = [["set-cookie", cookie] for cookie in _list(said.get("cookies") or [])]
    return tuple(_pair(pair) for pair in (*headers.items(), *cookies))


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise NonsenseError("has headers or cookies that are not a list")
    return value


def _pair(pair: object) -> tuple[bytes, bytes]:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise NonsenseError("has a header that is not a pair")
    name, value = pair
    text = str(value).strip(" \t") if isinstance(value, (str, int, float)) else "\n"
    if not isinstance(name, str) or not _NAME.fullmatch(name) or _CONTROL.search(text):
        raise NonsenseError("has a header that cannot be sent")
    return name.lower().encode("ascii"), _bytes(text)


def _bytes(text: str) -> bytes:
    """A header's value on the wire: bytes as they came, text beyond Latin-1 as UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
