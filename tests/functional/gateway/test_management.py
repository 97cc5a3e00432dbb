"""The door of the management API: who is let through, what the manager is told, what it says."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from gateway_fakes import KEYS as KNOWN
from gateway_fakes import NOW, OTHER_SECRET, SECRET, FakeInvoker, answered
from gateway_fakes import FakeRegistry as Records
from gateway_served import MINE, OTHERS, Served

from fal_serverless.gateway.management import BODY_MAX
from fal_serverless.gateway.protocols import InvokeResult

if TYPE_CHECKING:
    import httpx

    from fal_serverless import keys

ADMIN = {"x-fal-key-id": "admin", "x-fal-key-secret": SECRET}


def an_admin(key_id: str, **changes: Any) -> keys.KeyRecord:
    return replace(KNOWN["mine"], id=key_id, scope="ADMIN", **changes)


ADMINS = {
    found.id: found
    for found in (
        an_admin("admin"),
        an_admin("past", expires_at=int(NOW) - 1),
        an_admin("taken", revoked=True),
    )
}


@dataclass
class Door(Served):
    registry: Records = field(default_factory=lambda: Records(keys={**KNOWN, **ADMINS}))
    manager: str = "stack-Manager"

    def ask(self, path: str = "/v1/me", method: str = "GET", **more: Any) -> httpx.Response:
        return self.call("api", path, method, **more)


def said(status: int = 200, **content: Any) -> InvokeResult:
    headers = {"content-type": "application/json"}
    return answered({"statusCode": status, "headers": headers, "body": json.dumps(content)})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"x-fal-key-id": "admin"}, 401),
        ({"x-fal-key-id": "admin", "x-fal-key-secret": OTHER_SECRET}, 401),
        ({"x-fal-key-id": "nobody", "x-fal-key-secret": SECRET}, 401),
        ({"x-fal-key-id": "no id", "x-fal-key-secret": SECRET}, 401),
        ({"x-fal-key-id": "past", "x-fal-key-secret": SECRET}, 401),
        ({"x-fal-key-id": "taken", "x-fal-key-secret": SECRET}, 401),
        ({"authorization": "Bearer x"}, 401),
        (MINE, 403),
        (OTHERS, 403),
        (ADMIN, 200),
        ({"authorization": f"Key admin:{SECRET}"}, 200),
    ],
)
def test_only_keys_of_scope_admin_pass(headers: dict[str, str], status: int) -> None:
    door = Door(invoker=FakeInvoker(lambda _: said()))
    response = door.ask("/anything", headers=headers)
    assert response.status_code == status
    assert len(door.invoker.calls) == (status == 200)
    assert response.headers["x-fal-request-id"]
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in response.headers) == (status == 401)
    if status != 200:
        assert isinstance(response.json()["detail"], str)


def test_all_keys_that_are_no_use_look_the_same() -> None:
    door = Door()
    used = ("nobody", "past", "taken")
    answers = [
        door.ask(headers={"x-fal-key-id": name, "x-fal-key-secret": SECRET}) for name in used
    ]
    assert len({response.content for response in answers}) == 1


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_what_the_manager_is_told(prefix: str) -> None:
    door = Door(invoker=FakeInvoker(lambda _: said(answer=1)))
    forged = {
        "x-fal-request-id": "mine-1",
        "x-owner": "13",
        "requestcontext": '{"authorizer": {"lambda": {"owner": "13"}}}',
        "cookie": "owner=13",
        "connection": "x-gone",
        "x-gone": "1",
        "content-type": "application/json",
    }
    body = {"requestContext": {"authorizer": {"lambda": {"owner": "13"}}}, "owner": "13"}
    query = f"owner=13&fal_key_id=x&a=%20b&fal_key_secret={OTHER_SECRET}"
    host = "api.gateway.localhost" if not prefix else "any.example.com"
    url = f"http://{host}:8080{prefix}/v1/aliases/a?{query}"
    response = door.at(url, "PUT", json=body, headers={**ADMIN, **forged})
    assert (response.status_code, response.json()) == (200, {"answer": 1})
    assert response.headers["x-fal-request-id"] == "mine-1"
    assert "x-fal-revision" not in response.headers
    ((function, qualifier, timeout),) = door.invoker.asked
    assert (function, qualifier, timeout) == ("stack-Manager", "$LATEST", 29.0)
    (event,) = door.invoker.calls
    context = event["requestContext"]
    assert context["authorizer"] == {
        "lambda": {"owner": "12", "key": "admin", "scope": "ADMIN", "prefix": prefix}
    }
    assert context["http"]["method"] == "PUT"
    assert (event["rawPath"], event["rawQueryString"]) == ("/v1/aliases/a", "owner=13&a=%20b")
    assert json.loads(event["body"]) == body
    assert "x-gone" not in event["headers"]
    assert SECRET not in json.dumps(event)
    assert OTHER_SECRET not in json.dumps(event)
    (access,) = door.seen
    assert (access.target, access.found, access.status) == ("api", True, 200)


def test_head_is_get_without_a_body() -> None:
    door = Door(invoker=FakeInvoker(lambda _: said(answer=1)))
    response = door.ask(method="HEAD", headers=ADMIN)
    assert (response.status_code, response.content) == (200, b"")
    assert door.invoker.calls[0]["requestContext"]["http"]["method"] == "GET"
    assert int(response.headers["content-length"]) == len(json.dumps({"answer": 1}))


def test_preflights_need_no_key() -> None:
    door = Door()
    asked = {"origin": "https://x", "access-control-request-method": "PUT"}
    asked["access-control-request-headers"] = "authorization"
    response = door.ask("/v1/aliases/a", "OPTIONS", headers=asked)
    assert response.status_code == 204
    assert response.headers["access-control-allow-methods"] == "PUT"
    assert response.headers["access-control-allow-headers"] == "authorization"
    assert door.ask(method="OPTIONS").status_code == 401
    assert door.invoker.calls == []


def test_bodies_that_are_too_large() -> None:
    door = Door(invoker=FakeInvoker(lambda _: said()))
    assert door.ask(method="PUT", headers=ADMIN, content=b"x" * BODY_MAX).status_code == 200
    response = door.ask(method="PUT", headers=ADMIN, content=b"x" * (BODY_MAX + 1))
    assert (response.status_code, len(door.invoker.calls)) == (413, 1)


def test_binary_bodies_arrive() -> None:
    door = Door(invoker=FakeInvoker(lambda _: said(422)))
    assert door.ask(method="PUT", headers=ADMIN, content=b"\xff\x00").status_code == 422
    assert base64.b64decode(door.invoker.calls[0]["body"]) == b"\xff\x00"


@pytest.mark.parametrize(
    ("result", "status", "words"),
    [
        (InvokeResult("timed_out"), 504, "Ask for less"),
        (
            InvokeResult("answered", 200, "Unhandled", b'{"errorMessage": "Task timed out"}'),
            504,
            "Ask for less",
        ),
        (InvokeResult("answered", 200, "Unhandled", b'{"errorMessage": "out"}'), 502, "failed"),
        (InvokeResult("answered", 200, payload=b"nonsense"), 502, "is not JSON"),
        (InvokeResult("throttled", 429), 429, "limit"),
        (InvokeResult("unready", 409), 503, "made ready"),
        (InvokeResult("missing", 404), 502, "failed"),
        (InvokeResult("failed", 403, reason="AccessDenied"), 502, "failed"),
    ],
)
def test_a_manager_that_does_not_answer(result: InvokeResult, status: int, words: str) -> None:
    door = Door(invoker=FakeInvoker(lambda _: result))
    response = door.ask(headers=ADMIN)
    assert response.status_code == status
    assert words in response.json()["detail"]
    assert ("retry-after" in response.headers) == (status in (429, 503))


def test_without_a_manager() -> None:
    door = Door(manager="")
    assert door.ask(headers=ADMIN).status_code == 501
    assert door.ask().status_code == 401
    assert [access.found for access in door.seen] == [False, False]


def test_admin_keys_call_functions_too() -> None:
    door = Door()
    assert door.call("12-call", headers=ADMIN).status_code == 200
    assert door.invoker.asked[0][0] == "fal-12-call-z"
