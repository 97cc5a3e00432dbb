"""The management API on the embedded stack: two Lambda functions and real HTTP."""

from __future__ import annotations

import dataclasses
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from fal_serverless import keys
from fal_serverless.aws.registry import RegistryTable
from fal_serverless.aws.session import emulator_session
from fal_serverless.publish import aliases
from fal_serverless.publish.state import Alias, route_of
from tests.fakes import a_revision

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TEXT = """
from fal_serverless import isolated

@isolated(serve=True)
def managed(text: str = ""):
    print("said", text)
    return {}
"""
OTHER = "1000001"


def sent(made):
    return {"Authorization": f"Key {made['key_id']}:{made['key_secret']}"}


@pytest.fixture(scope="module")
def admin(stack: Stack):
    return sent(stack.run("key", "generate", "--scope", "ADMIN", "--json").json())


@pytest.fixture(scope="module")
def registry(stack: Stack):
    endpoint = stack.run("local", "status", "--json").json()["endpoint_url"]
    table = stack.run("stack", "status", "--json").json()["table"]
    return RegistryTable(emulator_session(endpoint).client("dynamodb"), table)


@pytest.fixture(scope="module")
def ask(stack: Stack, admin):
    def call(path, method="GET", body=None, headers=admin):
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
        host = f"api.gateway.localhost:{stack.port}"
        return stack.call("", method, path, body, headers, host=host)

    return call


def a_key(registry, owner, **more):
    made = keys.generate()
    record = keys.KeyRecord(made.id, keys.hash_secret(made.secret), owner, "ADMIN", **more)
    registry.add_key(record, "2026-01-01T00:00:00Z")
    return sent({"key_id": made.id, "key_secret": made.secret})


def until(check, seconds=15):
    deadline = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


def test_a_function_is_found_read_and_rolled_back(stack: Stack, ask, admin, tmp_path):
    file = tmp_path / "mine.py"
    revisions = []
    for answer in (1, 2):
        file.write_text(TEXT.format(answer), encoding="utf-8")
        revisions.append(stack.serve(file, "managed", "--alias", "managed")["revision"])
    first, second = revisions

    called = stack.call(
        "managed", body={"text": "aloud"}, headers={**admin, "X-Fal-Request-Id": "managed-1"}
    )
    assert (called.status, called.json()) == (200, 2)
    assert called.header("x-fal-revision") == second

    function = ask("/v1/functions/managed").json()
    assert (function["revision"], function["revisions"]) == (second, 2)
    assert ask("/v1/aliases/managed").json()["revision"] == second
    shown = ask(f"/v1/revisions/{first}").json()
    assert shown["url"] == f"http://{stack.user}-{first}.gateway.localhost:{stack.port}"

    def lines():
        events = ask("/v1/logs?request=managed-1&target=managed").json()["events"]
        found = [event["message"] for event in events][::-1]
        return found if "said aloud" in found else []

    found = until(lines)
    assert found[0].startswith("START RequestId")
    assert found[1].startswith("fal-request managed-1")

    moved = ask("/v1/aliases/managed/rollback", "POST")
    assert (moved.status, moved.json()["revision"]) == (200, first)
    key_id = ask("/v1/me").json()["key_id"]
    assert moved.json()["history"][0]["by"] == f"key {key_id}"
    called = stack.call("managed", body={}, headers=stack.key)
    assert (called.json(), called.header("x-fal-revision")) == (1, first)
    history = stack.run("alias", "history", "managed", "--json").json()["history"]
    assert [row["action"] for row in history] == ["rollback", "serve", "serve"]
    assert history[0]["by"] == f"key {key_id}"

    # By the other form of the address, and the other way.
    moved = stack.call(
        "",
        "PUT",
        "/api/v1/aliases/managed",
        {"revision": second},
        {**admin, "Content-Type": "application/json"},
        host=f"localhost:{stack.port}",
    )
    assert (moved.status, moved.json()["revision"]) == (200, second)
    assert stack.call("managed", body={}, headers=admin).json() == 2
    assert ask("/v1/aliases/managed/rollback", "POST", {"to": second}).status == 409


def test_who_may_not(stack: Stack, ask, registry):
    assert ask("/v1/me", headers={}).status == 401
    assert ask("/v1/me", headers=stack.key).status == 403
    past = int(datetime.now(timezone.utc).timestamp()) - 1
    assert ask("/v1/me", headers=a_key(registry, stack.user, expires_at=past)).status == 401
    taken = a_key(registry, stack.user)
    assert ask("/v1/me", headers=taken).status == 200
    stack.run("key", "revoke", taken["Authorization"].split()[1].partition(":")[0])
    assert until(lambda: ask("/v1/me", headers=taken).status == 401)


def test_lists_in_pages_and_another_user(stack: Stack, ask, registry):
    theirs = a_key(registry, OTHER)
    made = []
    for number in range(60):
        revision = dataclasses.replace(
            a_revision(f"00000000-0000-4000-8000-{number:012}", str(number), "fal-1000001-f-z"),
            owner=OTHER,
            created_at=f"2026-01-01T00:00:{number:02}Z",
        )
        registry.add_revision(revision, route_of(revision))
        made.append(revision)
    for number in range(120):
        alias = Alias(
            name=f"alias-{number}",
            owner=OTHER,
            revision=made[0].id,
            function=made[0].function,
            auth="private",
            moved_at="2026-01-01T00:00:00Z",
            token="t",
        )
        route = aliases.alias_route(alias, made[0])
        assert registry.put_alias(alias, route, expected=None)

    def pages(path, name):
        cursor = ""
        while cursor is not None:
            answer = ask(f"{path}&cursor={cursor}" if cursor else path, headers=theirs).json()
            yield [item.get("name") if name == "aliases" else item["id"] for item in answer[name]]
            cursor = answer["next_cursor"]

    found = list(pages("/v1/revisions?limit=25", "revisions"))
    assert list(map(len, found)) == [25, 25, 10]
    assert [item for page in found for item in page] == [item.id for item in made[::-1]]
    found = list(pages("/v1/aliases?limit=50", "aliases"))
    assert list(map(len, found)) == [50, 50, 20]
    assert [item for page in found for item in page] == sorted(
        f"alias-{number}" for number in range(120)
    )

    # Nothing of the one is there for the other.
    assert ask("/v1/aliases/alias-1", headers=theirs).status == 200
    for path in ("/v1/aliases/alias-1", f"/v1/revisions/{made[0].id}", "/v1/functions/f"):
        assert ask(path).status == 404
    assert ask("/v1/aliases/alias-1/rollback", "POST").status == 404
    assert ask("/v1/aliases/mine", "PUT", {"revision": made[0].id}).status == 404
    assert ask("/v1/logs?target=alias-1").status == 404


def test_requests_that_cannot_be(ask):
    for path, method, body, status in (
        ("/v1/aliases?limit=0", "GET", None, 422),
        ("/v1/aliases?cursor=%FF", "GET", None, 422),
        ("/v1/aliases/a/rollback", "POST", {"to": "yesterday"}, 422),
        ("/v1/aliases/a/rollback", "GET", None, 405),
        ("/v2", "GET", None, 404),
        ("/openapi.json", "GET", None, 200),
    ):
        answer = ask(path, method, body)
        assert answer.status == status
        assert answer.header("x-fal-request-id")
        assert (status == 200) != ("detail" in answer.json())
