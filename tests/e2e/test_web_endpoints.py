"""What a user is promised about URLs, revisions, aliases and keys."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import EXAMPLES, Stack

pytestmark = pytest.mark.e2e
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def write(folder, text: str):
    file = folder / "mine.py"
    file.write_text("from fal_serverless import isolated\n" + text, encoding="utf-8")
    return file


def test_serve_prints_the_two_lines(stack: Stack):
    ran = stack.run("function", "serve", str(EXAMPLES / "hello.py"), "hello", "--alias", "lines")
    first, second = ran.output.splitlines()[-2:]
    assert re.fullmatch(
        rf"Registered a new revision for function 'lines' \(revision='{UUID}'\)\.", first
    )
    assert second == f"URL: http://{stack.user}-lines.gateway.localhost:{stack.port}"


def test_serve_without_alias_is_anonymous(stack: Stack):
    ran = stack.run("function", "serve", str(EXAMPLES / "hello.py"), "hello")
    first, second = ran.output.splitlines()[-2:]
    found = re.fullmatch(rf"Registered anonymous function '({UUID})'\.", first)
    assert found
    assert second.startswith(f"URL: http://{stack.user}-{found[1]}.gateway.localhost:")
    answer = stack.call(found[1], body={"name": "x"}, headers=stack.key)
    assert (answer.status, answer.json()) == (200, {"hello": "x"})
    assert answer.header("x-fal-revision") == found[1]


def test_a_second_serve_moves_the_alias_and_keeps_the_first_revision(stack: Stack, tmp_path):
    text = "@isolated(serve=True)\ndef call_text(text):\n    return text + '{}'\n"
    first = stack.serve(write(tmp_path, text.format(1)), "call_text", "--alias", "moving")
    second = stack.serve(write(tmp_path, text.format(2)), "call_text", "--alias", "moving")
    assert first["revision"] != second["revision"]
    body = {"text": "t"}
    assert stack.call("moving", body=body, headers=stack.key).json() == "t2"
    assert stack.call(first["revision"], body=body, headers=stack.key).json() == "t1"
    assert stack.call(second["revision"], body=body, headers=stack.key).json() == "t2"
    # Nothing of the first publish's layers was made or sent again.
    steps = " ".join(item["step"] for item in second["steps"])
    assert "layer" not in steps


def test_keys(stack: Stack):
    stack.serve(EXAMPLES / "hello.py", "hello", "--alias", "keyed")
    body = {"name": "k"}
    key_id, secret = stack.key["X-Fal-Key-Id"], stack.key["X-Fal-Key-Secret"]
    assert stack.call("keyed", body=body).status == 401
    assert stack.call("keyed", body=body).header("www-authenticate") == "Key"
    wrong = stack.call("keyed", body=body, headers={**stack.key, "X-Fal-Key-Secret": "no"})
    unknown = stack.call("keyed", body=body, headers={**stack.key, "X-Fal-Key-Id": "nobody"})
    assert wrong.status == unknown.status == 401
    assert wrong.body == unknown.body
    authorization = {"Authorization": f"Key {key_id}:{secret}"}
    assert stack.call("keyed", body=body, headers=authorization).status == 200
    query = f"/?fal_key_id={key_id}&fal_key_secret={secret}"
    assert stack.call("keyed", body=body, path=query).status == 200
    curl = {"Content-Type": "application/json", **stack.key}
    assert stack.call("keyed", body=body, headers=curl).json() == {"hello": "k"}


def test_a_revoked_key_stops_working(stack: Stack):
    import time

    stack.serve(EXAMPLES / "hello.py", "hello", "--alias", "revoked")
    made = stack.run("key", "generate", "--scope", "API", "--json").json()
    key = {"X-Fal-Key-Id": made["key_id"], "X-Fal-Key-Secret": made["key_secret"]}
    assert stack.call("revoked", body={}, headers=key).status == 200
    stack.run("key", "revoke", made["key_id"])
    time.sleep(5)
    assert stack.call("revoked", body={}, headers=key).status == 401
    listed = stack.run("key", "list", "--json").json()["keys"]
    states = {item["key_id"]: item["state"] for item in listed}
    assert states[made["key_id"]] == "revoked"
    assert states[stack.key["X-Fal-Key-Id"]] == "live"
    assert all("key_secret" not in item for item in listed)


def test_public_and_back(stack: Stack):
    stack.serve(EXAMPLES / "hello.py", "hello", "--alias", "open", "--auth", "public")
    assert stack.call("open", body={}).status == 200
    # Without --auth the alias keeps what it has; with it, it changes.
    again = stack.serve(EXAMPLES / "hello.py", "hello", "--alias", "open")
    assert again["auth"] == "public"
    stack.serve(EXAMPLES / "hello.py", "hello", "--alias", "closing", "--auth", "public")
    stack.serve(EXAMPLES / "hello.py", "hello", "--alias", "closing", "--auth", "private")
    import time

    time.sleep(5)
    assert stack.call("closing", body={}).status == 401


def test_addresses(stack: Stack):
    stack.serve(EXAMPLES / "hello.py", "hello", "--alias", "addressed", "--auth", "public")
    name = f"{stack.user}-addressed"
    port = stack.port
    for host, path in (
        (f"{name}.GATEWAY.localhost:{port}", "/"),
        (f"{name}.gateway.localhost.:{port}", "/"),
        ("anything.example", f"/{name}/"),
        ("127.0.0.1", f"/{name}"),
    ):
        answer = stack.call("", body={"name": "a"}, host=host, path=path)
        assert (answer.status, answer.json()) == (200, {"hello": "a"}), host
    unknown = stack.call("nothing-here", body={})
    stranger = stack.call("", body={}, host=f"9999999-addressed.gateway.localhost:{port}")
    assert unknown.status == stranger.status == 404
    assert unknown.body == stranger.body


def test_serve_mode_answers(stack: Stack, tmp_path):
    text = (
        "@isolated(serve=True)\n"
        "async def many(a: int, b: float = 1.5, c: str | None = None) -> dict:\n"
        "    if a < 0:\n"
        "        raise ValueError('negative')\n"
        "    return {'a': a, 'b': b, 'c': c}\n"
    )
    stack.serve(write(tmp_path, text), "many", "--alias", "many", "--auth", "public")
    assert stack.call("many", body={"a": "4"}).json() == {"a": 4, "b": 1.5, "c": None}
    assert stack.call("many", body=b"", path="/?a=7&c=%C3%A9").json()["c"] == "é"
    bad = stack.call("many", body={"a": "x", "d": 1})
    assert bad.status == 422
    assert {item["type"] for item in bad.json()["detail"]} == {"int_parsing", "extra_forbidden"}
    broken = stack.call("many", body=b"{")
    assert broken.status == 422
    assert broken.json()["detail"][0]["type"] == "json_invalid"
    failed = stack.call("many", body={"a": -1})
    assert (failed.status, failed.json()) == (
        500,
        {"detail": "negative", "error_type": "ValueError"},
    )
    wrong = stack.call("many", "PUT", body={})
    assert (wrong.status, wrong.header("allow")) == (405, "POST")
    document = stack.call("many", "GET", "/openapi.json").json()
    schema = document["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["a"]
    assert stack.call("many", "GET", "/docs").status == 200
    preflight = {"Origin": "https://x.example", "Access-Control-Request-Method": "POST"}
    assert stack.call("many", "OPTIONS", headers=preflight).header(
        "access-control-allow-origin"
    ) in ("*", "https://x.example")


def test_delete_refuses_what_an_alias_points_at(stack: Stack):
    first = stack.serve(EXAMPLES / "hello.py", "hello", "--alias", "kept")
    refused = stack.run("function", "delete", first["revision"], ok=False)
    assert refused.status == 5
    assert "alias 'kept'" in refused.errors
    stack.run("alias", "delete", "kept")
    stack.run("function", "delete", first["revision"])
    shown = stack.run("function", "show", first["revision"], ok=False)
    assert shown.status == 3


def test_an_alias_moves_between_functions(stack: Stack, tmp_path):
    text = (
        "@isolated(serve=True)\ndef one():\n    return 1\n"
        "@isolated(serve=True)\ndef two():\n    return 2\n"
    )
    file = write(tmp_path, text)
    one = stack.serve(file, "one", "--alias", "wandering", "--auth", "public")
    assert stack.call("wandering", body={}).json() == 1
    two = stack.serve(file, "two", "--alias", "wandering")
    assert one["function"] != two["function"]
    back = stack.run("alias", "set", "wandering", one["revision"], "--json").json()
    assert back["revision"] == one["revision"]
    import time

    time.sleep(5)
    assert stack.call("wandering", body={}).json() == 1


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("function", "serve", "nowhere.py", "f"), 2, "There is no file 'nowhere.py'."),
        (("function", "serve", str(EXAMPLES / "hello.py"), "helo"), 2, "did you mean 'hello'?"),
        (
            ("function", "serve", str(EXAMPLES / "hello.py"), "hello", "--alias", "my_hello"),
            2,
            "use 'my-hello'",
        ),
        (
            ("function", "serve", str(EXAMPLES / "hello.py"), "hello", "--auth", "pubic"),
            2,
            "did you mean 'public'?",
        ),
        (("function", "show", "nothing"), 3, "There is no function, alias or revision 'nothing'."),
        (("key", "revoke", "nothing"), 3, "There is no key 'nothing'."),
        (("alias", "delete", "nothing"), 3, "There is no alias 'nothing'."),
        (("functoin",), 2, "use: fal-serverless function"),
    ],
)
def test_errors_have_three_lines(stack: Stack, words, status, told):
    ran = stack.run(*words, ok=False)
    assert ran.status == status
    assert told in ran.errors
    lines = [line.strip().partition(":")[0] for line in ran.errors.splitlines()]
    assert lines[-3:] == ["Error", "Why", "Next"]
    as_json = stack.run(*words, "--json", ok=False)
    assert as_json.status == status
    assert set(as_json.json()["error"]) == {"code", "message", "reason", "hint"}


def test_dry_run_changes_nothing(stack: Stack):
    before = stack.run("function", "list", "--json").output
    plan = stack.run(
        "function", "serve", str(EXAMPLES / "hello.py"), "hello", "--alias", "dry", "--dry-run"
    )
    assert "point alias dry at it (private)" in plan.output
    assert stack.run("function", "list", "--json").output == before
