from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fal_serverless.gateway.event import (
    PayloadTooLargeError,
    end_to_end,
    forwarded,
    payload,
    sane_request_id,
)
from fal_serverless.gateway.protocols import PAYLOAD_MAX, Request


def request(**changes: Any) -> Request:
    values = {"method": "POST", "path": "/a%20b", "query": b"x=%41&x=&y", "headers": ()}
    return Request(**{**values, **changes})


def event_of(made: Request) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(payload(made, request_id="rid", now=12.5))
    return found


def test_an_event_of_payload_format_2() -> None:
    headers = (
        (b"host", b"1-call.example.com"),
        (b"accept", b"a"),
        (b"accept", b"b"),
        (b"cookie", b"c=1; d=2"),
        (b"user-agent", b"agent/1 \xe9"),
    )
    event = event_of(request(headers=headers, body="é".encode(), client="10.0.0.1"))
    assert event["version"] == "2.0"
    assert event["rawPath"] == "/a%20b"
    assert event["rawQueryString"] == "x=%41&x=&y"
    assert event["headers"]["accept"] == "a,b"
    assert event["cookies"] == ["c=1", "d=2"]
    assert "cookie" not in event["headers"]
    assert event["requestContext"]["http"] == {
        "method": "POST",
        "path": "/a%20b",
        "protocol": "HTTP/1.1",
        "sourceIp": "10.0.0.1",
        "userAgent": "agent/1 é",
    }
    assert event["requestContext"]["requestId"] == "rid"
    assert event["requestContext"]["timeEpoch"] == 12500
    assert (event["body"], event["isBase64Encoded"]) == ("é", False)
    assert event["fal"]["request_id"] == "rid"
    assert event["fal"]["headers"][1:3] == [["accept", "a"], ["accept", "b"]]
    assert event["fal"]["headers"][3] == ["cookie", "c=1; d=2"]


def test_bodies_that_are_not_text_travel_as_base64() -> None:
    event = event_of(request(body=b"\xff\x00"))
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"\xff\x00"


def test_only_what_somebody_waits_for_says_until_when() -> None:
    assert "answer_by" not in event_of(request())["fal"]
    written = payload(request(), request_id="rid", now=12.5, answer_by=41.5)
    assert json.loads(written)["fal"]["answer_by"] == 41.5


def test_no_body_is_no_body() -> None:
    assert "body" not in event_of(request())


def test_what_just_fits_is_sent_and_one_byte_more_is_not() -> None:
    room = PAYLOAD_MAX - len(payload(request(body=b"x"), request_id="rid", now=1)) + 1
    assert len(payload(request(body=b"x" * room), request_id="rid", now=1)) == PAYLOAD_MAX
    with pytest.raises(PayloadTooLargeError) as caught:
        payload(request(body=b"x" * (room + 1)), request_id="rid", now=1)
    # Not one byte more: it is the shorter of both spellings that is reported.
    assert caught.value.size == PAYLOAD_MAX + 1


def test_text_that_would_grow_too_much_travels_as_base64() -> None:
    body = b"\x00" * 2_000_000
    event = event_of(request(body=body))
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == body


def test_bytes_that_grow_above_the_limit_are_refused() -> None:
    with pytest.raises(PayloadTooLargeError):
        payload(request(body=b"\xff" * 4_800_000), request_id="rid", now=1)


def test_headers_of_the_connection_are_dropped() -> None:
    headers = (
        (b"connection", b"close, X-Mine"),
        (b"x-mine", b"1"),
        (b"te", b"trailers"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"accept", b"a"),
        (b"keep-alive", b"5"),
    )
    assert end_to_end(headers) == ((b"accept", b"a"),)


def test_facts_of_the_connection_replace_claims() -> None:
    headers = (
        (b"host", b"Real.example"),
        (b"x-forwarded-host", b"claimed"),
        (b"x-forwarded-proto", b"claimed"),
        (b"x-forwarded-for", b"1.1.1.1"),
    )
    told = dict(forwarded(headers, client="2.2.2.2", scheme="http", behind_api_gateway=False))
    assert told[b"x-forwarded-host"] == b"Real.example"
    assert told[b"x-forwarded-proto"] == b"http"
    assert told[b"x-forwarded-for"] == b"1.1.1.1, 2.2.2.2"
    told = dict(forwarded(headers, client="2.2.2.2", scheme="http", behind_api_gateway=True))
    assert told[b"x-forwarded-for"] == b"1.1.1.1"


@pytest.mark.parametrize("value", [b"", b"a b", b"a" * 129, b"a\n", b"\xe9", b'"'])
def test_odd_request_ids_are_not_taken_over(value: bytes) -> None:
    assert sane_request_id(((b"x-fal-request-id", value),)) is None


def test_sane_request_ids_are() -> None:
    assert sane_request_id(((b"x-fal-request-id", b"A.b-C_1"),)) == "A.b-C_1"
    assert sane_request_id(()) is None
