"""The app: limits, deadlines, moving aliases, failures, and what is written down."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
from gateway_fakes import DOMAIN, NOW, SECRET, FakeInvoker, FakeRegistry, answered, route
from gateway_served import MINE, Served

from fal_serverless.errors import AwsError
from fal_serverless.gateway.protocols import PAYLOAD_MAX, InvokeResult

if TYPE_CHECKING:
    import pytest


def test_requests_above_the_limit_are_not_invoked() -> None:
    gateway = Served()

    async def chunks() -> Any:
        for _ in range(8):
            yield b"x" * 1_000_000

    assert gateway.call("12-open", content=b"x" * PAYLOAD_MAX).status_code == 413
    assert gateway.call("12-open", content=chunks()).status_code == 413
    response = gateway.call("12-open", content=b"x" * (PAYLOAD_MAX + 1))
    assert response.status_code == 413
    assert "6,291,556" in response.json()["detail"]
    assert "x-fal-revision" not in response.headers
    assert gateway.invoker.calls == []


def test_who_may_not_pass_is_answered_before_the_body_is_read() -> None:
    order: list[str] = []

    async def receive() -> Any:
        order.append("receive")
        return {"type": "http.request", "body": b"x" * 1000, "more_body": len(order) < 5}

    async def send(message: Any) -> None:
        order.append(message["type"])
        if message["type"] == "http.response.start":
            assert message["status"] == 401

    headers = [(b"host", f"12-call.{DOMAIN}".encode()), (b"content-length", b"4000")]
    scope = {"type": "http", "method": "POST", "path": "/", "raw_path": b"/"}
    scope |= {"query_string": b"", "headers": headers}
    asyncio.run(Served().app(scope, receive, send))
    start, body = "http.response.start", "http.response.body"
    assert order == [start, body, "receive", "receive", "receive", body]


def test_time_is_counted_from_the_requests_arrival() -> None:
    gateway = Served(ticks=[100.0, 104.0])
    gateway.call("12-open")
    assert gateway.invoker.asked[0][2] == 25.0
    assert gateway.invoker.calls[0]["fal"]["answer_by"] == NOW + 29.0
    late = Served(ticks=[100.0, 128.8])
    response = late.call("12-open")
    assert response.status_code == 504
    assert "/fal/queue/submit/" in response.json()["detail"]
    assert "x-fal-revision" not in response.headers
    assert late.invoker.calls == []


def test_an_alias_that_moved_to_another_function_is_followed_once() -> None:
    registry = FakeRegistry()
    moved = replace(route("open", auth="public"), function="fal-12-new-z", revision="rev-new")

    def behave(event: dict[str, Any]) -> InvokeResult:
        if registry.routes["12-open"] is moved:
            return answered({"statusCode": 200})
        registry.routes["12-open"] = moved
        return InvokeResult("missing", 404)

    gateway = Served(registry=registry, invoker=FakeInvoker(behave))
    response = gateway.call("12-open")
    assert response.status_code == 200
    assert response.headers["x-fal-revision"] == "rev-new"
    assert [name for name, _, _ in gateway.invoker.asked] == ["fal-12-open-z", "fal-12-new-z"]


def test_a_function_that_is_gone() -> None:
    gateway = Served(invoker=FakeInvoker(lambda _: InvokeResult("missing", 404)))
    assert gateway.call("12-open").status_code == 502
    assert len(gateway.invoker.calls) == 1
    registry = FakeRegistry()

    def behave(event: dict[str, Any]) -> InvokeResult:
        del registry.routes["12-open"]
        return InvokeResult("missing", 404)

    assert Served(registry, FakeInvoker(behave)).call("12-open").status_code == 404


def test_an_alias_that_became_private_meanwhile_is_not_called() -> None:
    registry = FakeRegistry()

    def behave(event: dict[str, Any]) -> InvokeResult:
        registry.routes["12-open"] = replace(route("open"), function="fal-12-new-z")
        return InvokeResult("missing", 404)

    gateway = Served(registry, FakeInvoker(behave))
    assert gateway.call("12-open").status_code == 502
    assert len(gateway.invoker.calls) == 1


def test_a_registry_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    fails = AwsError("No table.", reason="the-reason", hint="hint")
    gateway = Served(registry=FakeRegistry(fails=fails))
    response = gateway.call("12-open")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "the-reason" not in response.text
    assert "the-reason" in caplog.text


def test_a_bug_is_json_with_a_request_id(caplog: pytest.LogCaptureFixture) -> None:
    def behave(event: dict[str, Any]) -> InvokeResult:
        raise ZeroDivisionError

    response = Served(invoker=FakeInvoker(behave)).call("12-open")
    assert response.status_code == 500
    assert response.json() == {"detail": "The gateway failed."}
    assert response.headers["x-fal-request-id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_head_keeps_the_length_without_the_body() -> None:
    said = {"statusCode": 200, "fal": {"headers": [["content-length", "12"]]}, "body": ""}
    gateway = Served(invoker=FakeInvoker(lambda _: answered(said)))
    response = gateway.call("12-open", method="HEAD")
    assert response.headers.get_list("content-length") == ["12"]
    assert response.content == b""


def test_what_is_written_down() -> None:
    gateway = Served()
    gateway.call("12-open", "/p?q=1", headers={"x-fal-request-id": "r1"})
    gateway.call("12-none")
    first, second = gateway.seen
    assert (first.request_id, first.method, first.target, first.status) == (
        "r1",
        "POST",
        "12-open",
        200,
    )
    assert (first.found, first.revision) == (True, "rev-open")
    assert (second.found, second.status, second.revision) == (False, 404, None)


def test_secrets_reach_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def fail(event: dict[str, Any]) -> InvokeResult:
        raise RuntimeError("bug")

    gateway = Served(invoker=FakeInvoker(fail))
    gateway.call("12-call", headers=MINE)
    gateway.call("12-call", f"/?fal_key_id=mine&fal_key_secret={SECRET}")
    gateway.call("12-call", headers={"authorization": f"Key wrong:{SECRET}"})
    ours = [record for record in caplog.records if not record.name.startswith("http")]
    assert ours
    text = "\n".join(logging.Formatter().format(record) for record in ours)
    assert SECRET not in text
    assert SECRET not in repr(gateway.seen)


def test_blocking_work_leaves_the_loop_free() -> None:
    with ThreadPoolExecutor(4) as executor:
        both = threading.Barrier(2, timeout=20)

        def behave(event: dict[str, Any]) -> InvokeResult:
            both.wait()
            return answered({"statusCode": 200})

        gateway = Served(invoker=FakeInvoker(behave), executor=executor)

        async def ask() -> list[int]:
            transport = httpx.ASGITransport(gateway.app)
            async with httpx.AsyncClient(transport=transport) as client:
                url = f"http://12-open.{DOMAIN}/"
                answers = await asyncio.gather(client.get(url), client.get(url))
            return [answer.status_code for answer in answers]

        assert asyncio.run(ask()) == [200, 200]
