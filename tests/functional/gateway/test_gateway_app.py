"""The app: who may pass, what functions see, what callers get."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from gateway_fakes import DOMAIN, SECRET, FakeInvoker
from gateway_served import MINE, OTHERS, Served

from fal_serverless.gateway.protocols import PAYLOAD_MAX, InvokeResult

if TYPE_CHECKING:
    import httpx

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def same(response: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All of an answer but its request id."""
    headers = [(k, v) for k, v in response.headers.multi_items() if k != "x-fal-request-id"]
    return response.status_code, response.content, headers


def test_a_request_reaches_the_function_without_its_key() -> None:
    gateway = Served()
    query = "?a=%41&fal_key_id=x&b=&b&fal_key_secret=y"
    response = gateway.call("12-call", f"/x%2Fy{query}", content=b'{"text":1}', headers=MINE)
    assert response.status_code == 200
    assert gateway.invoker.asked[0][:2] == ("fal-12-call-z", "call")
    (event,) = gateway.invoker.calls
    assert (event["rawPath"], event["rawQueryString"]) == ("/x%2Fy", "a=%41&b=&b")
    assert event["body"] == '{"text":1}'
    headers = dict(event["fal"]["headers"])
    assert headers["host"] == f"12-call.{DOMAIN}:8080"
    assert headers["x-forwarded-host"] == f"12-call.{DOMAIN}:8080"
    assert headers["x-forwarded-for"] == "203.0.113.9"
    assert headers["x-forwarded-proto"] == "http"
    assert event["requestContext"]["http"]["sourceIp"] == "203.0.113.9"
    assert SECRET not in json.dumps(event)
    assert "connection" not in response.headers
    assert response.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2"]
    assert response.headers.get_list("x-twice") == ["1", "2"]
    assert response.headers["x-fal-revision"] == "rev-call"


@pytest.mark.parametrize(
    ("name", "headers", "status"),
    [
        ("12-call", MINE, 200),
        ("12-call", {"authorization": f"Key mine:{SECRET}"}, 200),
        ("12-call", {}, 401),
        ("12-call", {"x-fal-key-id": "mine"}, 401),
        ("12-call", {"authorization": f"Bearer mine:{SECRET}"}, 401),
        ("12-call", OTHERS, 403),
        ("12-team", OTHERS, 200),
        ("12-team", {}, 401),
        ("12-open", {}, 200),
        ("12-open", {"authorization": "Key none:wrong"}, 200),
        ("12-none", MINE, 404),
        ("99-none", {}, 404),
    ],
)
def test_who_may_pass(name: str, headers: dict[str, str], status: int) -> None:
    gateway = Served()
    response = gateway.call(name, headers=headers)
    assert response.status_code == status
    assert len(gateway.invoker.calls) == (1 if status == 200 else 0)
    assert ("x-fal-revision" in response.headers) == (status == 200)
    assert UUID.fullmatch(response.headers["x-fal-request-id"])


def test_a_key_in_the_query_will_do() -> None:
    response = Served().call("12-call", f"/?fal_key_id=mine&fal_key_secret={SECRET}")
    assert response.status_code == 200


def test_keys_that_do_not_work_all_look_the_same() -> None:
    pairs = [("mine", "wrong"), ("revoked", SECRET), ("expired", SECRET), ("none", SECRET)]
    pairs += [("no id at all", SECRET), ("mine", SECRET.upper()), ("x" * 3000, SECRET)]
    answers = [
        same(Served().call("12-call", headers={"x-fal-key-id": key, "x-fal-key-secret": secret}))
        for key, secret in pairs
    ]
    assert answers == [answers[0]] * len(pairs)
    assert answers[0][0] == 401
    assert dict(answers[0][2])["www-authenticate"] == "Key"


def test_unknown_targets_all_look_the_same() -> None:
    served = [Served() for _ in range(4)]
    answers = [
        same(served[0].call("12-none")),
        same(served[1].call("99-none")),
        same(served[2].call("12-none", headers=MINE)),
        same(served[3].at("http://any.example/99/none/x")),
    ]
    assert answers == [answers[0]] * 4
    assert answers[0][0] == 404
    # One read each: nothing tells users that exist from others.
    assert [len(gateway.registry.reads) for gateway in served] == [1, 1, 1, 1]


def test_one_read_when_cold_and_none_when_warm() -> None:
    gateway = Served()
    gateway.call("12-call", headers=MINE)
    gateway.call("12-call", headers=MINE)
    assert gateway.registry.reads == [("12-call", "mine")]


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080/12-open/a%20b?x=1",
        "http://localhost:8080/12/open/a%20b?x=1",
        "http://localhost:8080/run/12/open/a%20b?x=1",
        f"http://run.{DOMAIN}/12/open/a%20b?x=1",
        f"http://12-OPEN.{DOMAIN.upper()}./a%20b?x=1",
    ],
)
def test_addresses(url: str) -> None:
    gateway = Served()
    assert gateway.at(url, headers={"x-forwarded-host": f"12-web.{DOMAIN}"}).status_code == 200
    assert gateway.invoker.asked[0][1] == "open"
    assert gateway.invoker.calls[0]["rawPath"] == "/a%20b"


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/redoc", "/favicon.ico"])
def test_addresses_that_name_nothing(path: str) -> None:
    gateway = Served()
    response = gateway.at(f"http://localhost:8080{path}", "GET")
    assert response.status_code == 404
    assert response.json() == {"detail": "No function is served at this address."}
    assert gateway.registry.reads == []
    assert gateway.seen[0].target == ""


def test_health() -> None:
    gateway = Served()
    assert gateway.at("http://localhost:8080/_fal/health", "GET").json() == {"status": "ok"}
    gateway.call("12-open", "/_fal/health", "GET")
    assert gateway.invoker.calls[0]["rawPath"] == "/_fal/health"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "BREW", "OPTIONS"])
def test_every_method_passes(method: str) -> None:
    gateway = Served()
    assert gateway.call("12-web", method=method).status_code == 200
    assert gateway.invoker.calls[0]["requestContext"]["http"]["method"] == method


def test_a_sane_request_id_is_kept() -> None:
    gateway = Served()
    response = gateway.call("12-open", headers={"x-fal-request-id": "mine-1"})
    assert response.headers.get_list("x-fal-request-id") == ["mine-1"]
    assert gateway.invoker.calls[0]["fal"]["request_id"] == "mine-1"
    response = gateway.call("12-open", headers={"x-fal-request-id": "mine 1"})
    assert UUID.fullmatch(response.headers["x-fal-request-id"])


PREFLIGHT = {
    "origin": "https://page.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, x-fal-key-id",
}


def test_preflights_of_served_functions_need_no_key() -> None:
    gateway = Served()
    response = gateway.call("12-call", method="OPTIONS", headers=PREFLIGHT)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-methods"] == "POST"
    assert response.headers["access-control-allow-headers"] == "authorization, x-fal-key-id"
    assert "content-length" not in response.headers
    assert gateway.invoker.calls == []


def test_preflights_of_web_servers_are_theirs_and_need_a_key() -> None:
    gateway = Served()
    assert gateway.call("12-web2", method="OPTIONS", headers=PREFLIGHT).status_code == 401
    response = gateway.call("12-web2", method="OPTIONS", headers={**PREFLIGHT, **MINE})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers
    assert len(gateway.invoker.calls) == 1


def test_pages_of_other_origins_can_read_errors() -> None:
    for response in (
        Served().call("12-call"),
        Served().call("12-none"),
        Served().call("12-web", content=b"x" * (PAYLOAD_MAX + 1)),
        Served(invoker=FakeInvoker(lambda _: InvokeResult("throttled", 429))).call("12-web"),
    ):
        assert response.status_code >= 400
        assert response.headers["access-control-allow-origin"] == "*"
        assert "x-fal-request-id" in response.headers["access-control-expose-headers"]


def test_answers_of_served_functions_are_readable_and_of_web_servers_untouched() -> None:
    assert Served().call("12-open").headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in Served().call("12-web").headers
