from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fal_serverless.gateway.answer import denied, of_result, too_large
from fal_serverless.gateway.auth import BAD_KEY, UNKNOWN_TARGET
from fal_serverless.gateway.protocols import PAYLOAD_MAX, InvokeResult, Response, Route

ROUTE = Route("fal-1-f-z", "call", "private", "serve", 30, "1", "rev-1")


def answer_to(result: InvokeResult, method: str = "POST") -> Response:
    return of_result(result, ROUTE, method, waited=29)


def answered(said: Any, method: str = "POST") -> Response:
    payload = said if isinstance(said, bytes) else json.dumps(said).encode()
    return answer_to(InvokeResult("answered", 200, payload=payload), method)


def failed(error: Any) -> Response:
    payload = error if isinstance(error, bytes) else json.dumps(error).encode()
    return answer_to(InvokeResult("answered", 200, function_error="Unhandled", payload=payload))


def detail(response: Response) -> str:
    found: str = json.loads(response.body)["detail"]
    return found


def test_repeated_headers_and_cookies_come_from_the_list() -> None:
    response = answered(
        {
            "statusCode": 201,
            "headers": {"x": "ignored"},
            "cookies": ["ignored=1"],
            "body": "é",
            "fal": {"headers": [["X-A", "1"], ["x-a", "2"], ["Set-Cookie", "a=1"]]},
        }
    )
    assert response.status == 201
    assert response.body == "é".encode()
    assert response.headers == ((b"x-a", b"1"), (b"x-a", b"2"), (b"set-cookie", b"a=1"))
    assert response.revision == "rev-1"


def test_plain_payload_2_answers() -> None:
    response = answered(
        {
            "statusCode": 200,
            "headers": {"X-N": 5, "connection": "close"},
            "cookies": ["a=1", "b=2"],
            "body": "/w==",
            "isBase64Encoded": True,
        }
    )
    assert response.headers == (
        (b"x-n", b"5"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    )
    assert response.body == b"\xff"


def test_the_revision_that_the_runtime_names_wins() -> None:
    said = {"statusCode": 200, "headers": {"X-Fal-Revision": "rev-2", "x-fal-request-id": "no"}}
    response = answered(said)
    assert response.revision == "rev-2"
    assert response.headers == ()


def test_header_values_keep_their_bytes() -> None:
    said = {"statusCode": 200, "fal": {"headers": [["x", " caf\u00e9 "], ["y", "\u2713"]]}}
    assert answered(said).headers == ((b"x", b"caf\xe9"), (b"y", "\u2713".encode()))


def test_lengths_are_counted_anew_except_for_head() -> None:
    said = {"statusCode": 200, "headers": {"content-length": "99"}, "body": "abc"}
    assert answered(said).headers == ()
    assert answered({**said, "body": ""}, "HEAD").headers == ((b"content-length", b"99"),)
    assert answered({"statusCode": 200, "body": "abc"}, "HEAD").headers == (
        (b"content-length", b"3"),
    )
    assert answered(said, "HEAD").body == b""


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    said = {"statusCode": status, "headers": {"content-length": "3", "etag": "e"}, "body": "abc"}
    response = answered(said)
    assert response.body == b""
    assert response.headers == ((b"etag", b"e"),)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"not json",
        b"null",
        {},
        [],
        {"statusCode": "200"},
        {"statusCode": True},
        {"statusCode": 101},
        {"statusCode": 99},
        {"statusCode": 600},
        {"statusCode": 200, "body": 5},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "%%%", "isBase64Encoded": True},
        {"statusCode": 200, "body": "é", "isBase64Encoded": True},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"a b": "1"}},
        {"statusCode": 200, "headers": {"a": "1\r\nset-cookie: x=1"}},
        {"statusCode": 200, "headers": {"a": None}},
        {"statusCode": 200, "headers": {"a": ["1"]}},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "fal": {"headers": [["a"]]}},
        {"statusCode": 200, "fal": {"headers": "a"}},
    ],
)
def test_nonsense_is_a_502(said: Any) -> None:
    response = answered(said)
    assert response.status == 502
    assert detail(response).startswith("The function's answer ")
    assert response.revision == "rev-1"


def test_timeouts_of_the_function_name_the_queue() -> None:
    response = failed({"errorMessage": "2026-01-01T00:00:00Z rid Task timed out after 30.03 s"})
    assert response.status == 504
    assert "30 s" in detail(response)
    assert "/fal/queue/submit/" in detail(response)
    assert response.revision == "rev-1"


@pytest.mark.parametrize(("timeout", "told"), [(2, True), (29, True), (30, False), (900, False)])
def test_a_timeout_below_the_limit_of_api_gateway_can_be_raised(timeout: int, told: bool) -> None:
    payload = json.dumps({"errorMessage": "Task timed out after 2.00 s"}).encode()
    result = InvokeResult("answered", 200, function_error="Unhandled", payload=payload)
    response = of_result(result, replace(ROUTE, timeout=timeout), "POST", waited=29)
    assert ("timeout=" in detail(response)) is told
    assert "/fal/queue/submit/" in detail(response)


def test_deadlines_of_the_gateway_name_the_queue() -> None:
    response = answer_to(InvokeResult("timed_out"))
    assert response.status == 504
    assert "29 s" in detail(response)
    assert "/fal/queue/submit/" in detail(response)
    assert response.revision == "rev-1"


@pytest.mark.parametrize(
    "error",
    [
        {"errorType": "Runtime.ExitError", "errorMessage": "signal: killed password=hunter2"},
        {"errorMessage": "x", "stackTrace": ["hunter2"]},
        b"hunter2",
        [],
    ],
)
def test_functions_that_were_killed_are_a_502_that_keeps_their_messages(error: Any) -> None:
    response = failed(error)
    assert response.status == 502
    assert b"hunter2" not in response.body
    assert response.revision == "rev-1"


def test_answers_above_the_limit_say_so() -> None:
    response = failed(
        {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size (7000123 bytes) exceeded maximum allowed "
            "payload size (6291556 bytes).",
        }
    )
    assert response.status == 502
    assert "6,291,556" in detail(response)
    assert "7,000,123" in detail(response)


def test_requests_above_the_limit_say_so() -> None:
    response = too_large(PAYLOAD_MAX + 1)
    assert response.status == 413
    assert "6,291,557" in detail(response)
    assert "6,291,556" in detail(response)


@pytest.mark.parametrize(("told", "header"), [(None, b"1"), (7, b"7"), (0, b"1"), (9999, b"60")])
def test_throttling_says_when_to_come_back(told: int | None, header: bytes) -> None:
    response = answer_to(InvokeResult("throttled", 429, retry_after=told))
    assert response.status == 429
    assert dict(response.headers)[b"retry-after"] == header
    assert response.revision is None


@pytest.mark.parametrize(
    ("outcome", "status"), [("missing", 502), ("failed", 502), ("unready", 503), ("too_large", 413)]
)
def test_what_did_not_run_names_no_revision(outcome: Any, status: int) -> None:
    response = answer_to(InvokeResult(outcome, reason="secret reason"))
    assert response.status == status
    assert response.revision is None
    assert b"secret reason" not in response.body


def test_denials() -> None:
    challenged = denied(BAD_KEY)
    assert challenged.status == 401
    assert dict(challenged.headers)[b"www-authenticate"] == b"Key"
    assert b"www-authenticate" not in dict(denied(UNKNOWN_TARGET).headers)
