"""The management API by way of a gateway, with doubles of AWS: what it shows, moves and refuses."""

from __future__ import annotations

import json

import pytest

from fal_serverless.errors import AwsError
from fal_serverless.manage.models import ALIAS_MAX
from tests.fakes import OWNER
from tests.support.managed import ADMIN, API, OTHER, SECRET, STRANGER, Managed, calling

FUNCTION = f"fal-{OWNER}-f-z"
UNKNOWN = "00000000-0000-4000-8000-999999999999"


@pytest.fixture
def managed():
    return Managed()


@pytest.fixture
def api(managed):
    with calling(managed) as caller:
        yield caller


def test_sixty_revisions_and_a_hundred_and_twenty_aliases(managed, api):
    ids = [managed.serve(number, name=f"f{number % 3}") for number in range(60)]
    for number in range(120):
        managed.serve(100 + number, name="many", alias=f"alias-{number:03}")
    managed.serve(300, name="theirs", owner=OTHER, alias="theirs")

    found, sizes = api.everything("/v1/aliases", "aliases")
    assert [item["name"] for item in found] == [f"alias-{number:03}" for number in range(120)]
    assert sizes == [50, 50, 20]
    found, sizes = api.everything("/v1/revisions", "revisions", limit=25)
    assert [item["version"] for item in found] == [
        *(str(number) for number in range(219, 99, -1)),
        *(str(number) for number in range(59, -1, -1)),
    ]
    assert sizes == [25] * 7 + [5]
    found, sizes = api.everything("/v1/revisions", "revisions", limit=7, function="f1")
    assert [item["id"] for item in found] == ids[::-1][1::3]
    found, _ = api.everything("/v1/functions", "functions", limit=1)
    assert [(item["name"], item["revisions"]) for item in found] == [
        ("f0", 20),
        ("f1", 20),
        ("f2", 20),
        ("many", 120),
    ]
    assert found[3]["aliases"] == [f"alias-{number:03}" for number in range(120)]
    assert found[0]["revision"] == ids[57]


@pytest.mark.parametrize(
    "query",
    [
        "/v1/aliases?limit=0",
        "/v1/aliases?limit=101",
        "/v1/aliases?limit=x",
        "/v1/aliases?limit=",
        "/v1/aliases?cursor=Not_one",
        "/v1/aliases?lmit=1",
        "/v1/revisions?cursor=yesterday",
        "/v1/revisions?function=",
        "/v1/keys?cursor=%00",
        "/v1/functions?cursor=",
        "/v1/logs?since=0m",
        "/v1/logs?since=-1d",
        "/v1/logs?limit=1001",
        "/v1/logs?errors=perhaps",
        "/v1/logs?cursor=12",
        "/v1/logs?request=a%20b",
        "/v1/aliases/Not_one",
        f"/v1/aliases/{'a' * (ALIAS_MAX + 1)}",
        "/v1/revisions/1",
    ],
)
def test_what_is_not_as_described(api, query):
    answer = api.get(query)
    assert answer.status_code == 422
    (mistake,) = answer.json()["detail"]
    assert set(mistake) == {"type", "loc", "msg"}


def test_a_function_a_revision_and_an_alias(managed, api):
    first, second = (managed.serve(number, alias="predict") for number in (1, 2))
    assert api.get("/v1/functions/f").json() == {
        "name": "f",
        "revision": second,
        "created_at": managed.registry.revision(OWNER, second).created_at,
        "revisions": 2,
        "aliases": ["predict"],
    }
    shown = api.get(f"/v1/revisions/{first}").json()
    assert (shown["name"], shown["function"], shown["version"]) == ("f", FUNCTION, "1")
    assert shown["url"] == f"http://{OWNER}-{first}.gateway.localhost:8080"
    assert (shown["aliases"], api.get(f"/v1/revisions/{second}").json()["aliases"]) == (
        [],
        ["predict"],
    )
    alias = api.get("/v1/aliases/predict").json()
    assert (alias["revision"], alias["auth"], alias["split"]) == (second, "private", None)
    assert [(item["revision"], item["action"], item["by"]) for item in alias["history"]] == [
        (second, "set", "arn:me"),
        (first, "set", "arn:me"),
    ]
    assert alias["url"] == f"http://{OWNER}-predict.gateway.localhost:8080"
    (listed,) = api.get("/v1/aliases").json()["aliases"]
    assert listed == {key: value for key, value in alias.items() if key != "history"}


def test_addresses_of_a_stack_without_a_domain(managed):
    first = managed.serve(1, alias="predict")
    with calling(managed, base="https://x.example.com") as api:
        url = api.get("/api/v1/aliases/predict").json()["url"]
        assert url == f"https://x.example.com/{OWNER}-predict"
        assert api.get("/api/openapi.json").json()["servers"] == [{"url": "/api"}]
        assert api.ask("PUT", "/api/v1/aliases/b", {"revision": first}).status_code == 200


def test_rolling_back_and_setting(managed, api):
    first, second, third = (managed.serve(number, alias="a") for number in (1, 2, 3))
    moved = api.ask("POST", "/v1/aliases/a/rollback")
    assert (moved.status_code, moved.json()["revision"]) == (200, second)
    change = moved.json()["history"][0]
    assert (change["action"], change["by"], change["revision"]) == ("rollback", "key admin", second)
    assert managed.functions.aliases(FUNCTION) == {"a": "2"}
    moved = api.ask("POST", "/v1/aliases/a/rollback", {"to": first})
    assert (moved.status_code, moved.json()["revision"]) == (200, first)
    moved = api.ask("POST", "/v1/aliases/a/rollback", {"to": None})
    assert moved.json()["revision"] == second
    moved = api.ask("PUT", "/v1/aliases/a", {"revision": third})
    assert (moved.status_code, moved.json()["revision"]) == (200, third)
    assert api.ask("PUT", "/v1/aliases/a", {"revision": third}).status_code == 200
    made = api.ask("PUT", "/v1/aliases/b", {"revision": first})
    assert (made.status_code, made.json()["auth"], len(made.json()["history"])) == (
        200,
        "private",
        1,
    )
    assert managed.functions.aliases(FUNCTION) == {"a": "3", "b": "1"}
    assert managed.registry.routes[f"{OWNER}-b"].revision == first
    assert not managed.registry.leases


def test_a_split_is_shown_and_ends_with_a_move(managed, api):
    first, second = (managed.serve(number, alias="a") for number in (1, 2))
    alias = managed.registry.alias(OWNER, "a")
    managed.registry.update_alias(alias.replace(split=(first, 10), token="t"), expected=alias.token)
    split = api.get("/v1/aliases/a").json()["split"]
    assert split == {"revision": first, "percent": 10}
    moved = api.ask("PUT", "/v1/aliases/a", {"revision": second}).json()
    assert moved["split"] is None


def test_an_alias_keeps_who_may_call_it(managed, api):
    first = managed.serve(1, alias="a")
    managed.serve(2, alias="a")
    alias = managed.registry.alias(OWNER, "a")
    managed.registry.update_alias(alias.replace(auth="public"), expected=alias.token)
    assert api.ask("PUT", "/v1/aliases/a", {"revision": first}).json()["auth"] == "public"
    assert managed.registry.routes[f"{OWNER}-a"].auth == "public"


def test_what_cannot_be_moved(managed, api):
    first = managed.serve(1, alias="a")
    theirs = managed.serve(2, owner=OTHER, alias="theirs")

    def status(method, path, body=None):
        answer = api.ask(method, path, body)
        assert "detail" in answer.json()
        return answer.status_code

    assert status("POST", "/v1/aliases/a/rollback") == 409
    assert status("POST", "/v1/aliases/a/rollback", {"to": first}) == 409
    assert status("POST", "/v1/aliases/a/rollback", {"to": UNKNOWN}) == 404
    assert status("POST", "/v1/aliases/a/rollback", {"to": theirs}) == 404
    assert status("POST", "/v1/aliases/b/rollback") == 404
    assert status("POST", "/v1/aliases/theirs/rollback") == 404
    assert status("PUT", "/v1/aliases/a", {"revision": UNKNOWN}) == 404
    assert status("PUT", "/v1/aliases/a", {"revision": theirs}) == 404
    assert status("PUT", f"/v1/aliases/{UNKNOWN}", {"revision": first}) == 422
    assert status("PUT", "/v1/aliases/a", {}) == 422
    assert status("PUT", "/v1/aliases/a", {"revision": first, "auth": "public"}) == 422
    assert status("POST", "/v1/aliases/a/rollback", {"two": first}) == 422
    managed.registry.take_lease(FUNCTION, "a publisher", managed.clock.now() + 1000)
    assert status("PUT", "/v1/aliases/a", {"revision": first}) == 409
    assert len(managed.registry.alias(OWNER, "a").events) == 1
    assert managed.registry.alias(OWNER, "b") is None


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"revision": "1"', "application/json"),
        (b"\xff", "application/json"),
        (b'{"revision": NaN}', "application/json"),
        (b'{"revision": "\\ud800"}', "application/json"),
        (b"[]", "application/json"),
        (b"", "application/json"),
        (b'{"revision": "1"}', "text/plain"),
        (b'{"revision": "1"}', "application/x-www-form-urlencoded"),
    ],
)
def test_bodies_that_say_nothing(api, content, kind):
    answer = api.ask(
        "PUT", "/v1/aliases/a", content=content, headers={**ADMIN, "content-type": kind}
    )
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"
    if not kind.endswith("json"):
        assert "application/json" in answer.json()["detail"][0]["msg"]


def test_nothing_of_others_is_shown(managed):
    mine = managed.serve(1, alias="mine")
    managed.say(FUNCTION, "of mine")
    with calling(managed, STRANGER) as api:
        assert api.get("/v1/me").json()["user_id"] == OTHER
        for path, name in (
            ("/v1/functions", "functions"),
            ("/v1/revisions", "revisions"),
            ("/v1/aliases", "aliases"),
            ("/v1/logs", "events"),
        ):
            assert api.get(path).json() == {name: [], "next_cursor": None}
        absent = ("functions/f", f"revisions/{mine}", "aliases/mine", f"logs?target={mine}")
        for path in (*absent, "logs?target=mine", "logs?target=f"):
            assert api.get(f"/v1/{path}").status_code == 404
        assert api.ask("PUT", "/v1/aliases/a", {"revision": mine}).status_code == 404
        assert [item["key_id"] for item in api.get("/v1/keys").json()["keys"]] == ["stranger"]


def test_keys_without_their_secrets(managed, api):
    managed.add_key("until", "API", expires_at=2_000_000_000)
    managed.registry.shown_keys[OWNER][-1]["expires_at"] = 2_000_000_000
    answer = api.get("/v1/keys")
    found = {item["key_id"]: item for item in answer.json()["keys"]}
    assert set(found) == {"admin", "api", "until"}
    assert found["until"] == {
        "key_id": "until",
        "scope": "API",
        "alias": "",
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2033-05-18T03:33:20Z",
    }
    assert SECRET not in answer.text
    assert managed.keys["admin"].secret_sha256 not in answer.text
    assert api.get("/v1/me").json() == {"user_id": OWNER, "key_id": "admin", "scope": "ADMIN"}


def test_what_is_not_there(api):
    for path in ("/", "/v1", "/v1/", "/v1/aliases/", "/v1/aliases/a/b", "/docs", "/v2/me"):
        answer = api.get(path)
        assert (answer.status_code, "openapi.json" in answer.json()["detail"]) == (404, True)
    for method, path, allowed in (
        ("DELETE", "/v1/aliases/a", "GET, HEAD, PUT"),
        ("GET", "/v1/aliases/a/rollback", "POST"),
        ("POST", "/v1/me", "GET, HEAD"),
        ("OPTIONS", "/v1/me", "GET, HEAD"),
    ):
        answer = api.ask(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.json() == {"detail": "Method Not Allowed"}
    head = api.ask("HEAD", "/v1/me")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(api.get("/v1/me").content))


def test_who_may_not(managed, api):
    managed.add_key("past", "ADMIN", expires_at=1)
    managed.add_key("taken", "ADMIN", revoked=True)
    for key in ("past", "taken"):
        assert api.get("/v1/me", headers={**ADMIN, "X-Fal-Key-Id": key}).status_code == 401
    assert api.get("/v1/me", headers={}).status_code == 401
    assert api.get("/openapi.json", headers={}).status_code == 401
    assert api.get("/v1/me", headers=API).status_code == 403


def test_answers_have_the_gateways_headers(api):
    answer = api.get("/v1/aliases/none", headers={**ADMIN, "x-fal-request-id": "mine-1"})
    assert answer.headers["x-fal-request-id"] == "mine-1"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


def test_when_aws_refuses(managed, api):
    def refuse(owner):
        raise AwsError("Reading failed.", reason="arn:aws:secret", hint="none")

    managed.registry.aliases = refuse
    answer = api.get("/v1/aliases")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "arn" not in answer.text

    def fail(owner):
        raise RuntimeError("a defect")

    managed.registry.aliases = fail
    answer = api.get("/v1/aliases")
    assert (answer.status_code, answer.json()) == (500, {"detail": "The management API failed."})


def test_the_document(api):
    document = api.get("/openapi.json").json()
    assert document["servers"] == [{"url": "/"}]
    assert document["security"] == [{"key": []}]
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }
    assert set(operations) == {
        "list_functions",
        "get_function",
        "list_revisions",
        "get_revision",
        "list_aliases",
        "get_alias",
        "put_alias",
        "roll_back_alias",
        "list_keys",
        "get_me",
        "list_events",
    }
    for operation in operations.values():
        assert {"200", "401", "403", "422"} <= set(operation["responses"])
    text = json.dumps(document)
    assert "sha256" not in text
    assert "HTTPValidationError" not in text
