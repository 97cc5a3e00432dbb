"""Logs, rollback and splits on the embedded stack."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TEXT = """
from fal_serverless import isolated

@isolated(serve=True)
def spoken(text: str = ""):  # {}
    print("said", text)
    if text == "fail":
        raise KeyError(text)
    return {{}}
"""


def until(check, seconds=15):
    deadline = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


@pytest.fixture(scope="module")
def served(stack: Stack, tmp_path_factory):
    file = tmp_path_factory.mktemp("spoken") / "mine.py"
    revisions = []
    for answer in (1, 2, 3):
        file.write_text(TEXT.format(answer), encoding="utf-8")
        revisions.append(stack.serve(file, "spoken", "--alias", "spoken", "--auth", "public"))
    return [item["revision"] for item in revisions]


def test_logs_of_one_request_of_failures_and_of_a_revision(stack: Stack, served):
    answer = stack.call("spoken", body={"text": "one"}, headers={"X-Fal-Request-Id": "mine-1"})
    assert (answer.status, answer.header("x-fal-request-id")) == (200, "mine-1")
    assert stack.call("spoken", body={"text": "fail"}).status == 500
    assert stack.call(served[0], body={"text": "elder"}).status == 200

    def messages(*words: str) -> list[str]:
        found = stack.run("function", "logs", *words, "--json").json()["events"]
        return [event["message"] for event in found]

    def lines() -> list[str]:
        found = messages("spoken")
        return found if any("KeyError" in line for line in found) else []

    assert any("said one" in line for line in until(lines))
    mine = messages("spoken", "--request", "mine-1")
    assert any("said one" in line for line in mine)
    assert not any("fail" in line for line in mine)
    failed = messages("spoken", "--errors")
    assert any("KeyError" in line for line in failed)
    assert not any("said one" in line for line in failed)
    assert len(messages("spoken", "--lines", "2")) == 2
    assert any("said elder" in line for line in until(lambda: messages(served[0])))
    plain = stack.run("function", "logs", "spoken").output
    assert "said one" in plain
    wrong = stack.run("function", "logs", "spoken", "--since", "soon", ok=False)
    assert wrong.status == 2
    assert "not a duration" in wrong.errors


def test_a_rollback_under_load_fails_no_request(stack: Stack, served):
    answers: list[tuple[int, str | None]] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            answer = stack.call("spoken", body={})
            answers.append((answer.status, answer.header("x-fal-revision")))

    callers = [threading.Thread(target=load) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        back = stack.run("alias", "rollback", "spoken", "--json").json()
        until(lambda: answers and answers[-1][1] == served[1])
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert back["revision"] == served[1]
    assert {status for status, _ in answers} == {200}
    assert answers[-1][1] == served[1]
    assert (
        stack.run("alias", "rollback", "spoken", "--to", served[0], "--json").json()["revision"]
        == served[0]
    )
    past = stack.run("alias", "history", "spoken", "--json").json()["history"]
    assert [item["revision"] for item in past][:3] == [served[0], served[1], served[2]]
    assert stack.run("alias", "rollback", "spoken", "--to", "nothing", ok=False).status == 3


def test_a_split_begins_is_listed_and_ends(stack: Stack, served):
    stack.run("alias", "set", "spoken", served[2])
    begun = stack.run("alias", "split", "spoken", f"{served[0]}=10", "--json").json()
    assert begun["split"] == {served[0]: 10}
    listed = stack.run("alias", "list", "--json").json()["aliases"]
    assert next(i for i in listed if i["alias"] == "spoken")["split"] == {served[0]: 10}
    refused = stack.run("function", "delete", served[0], ok=False)
    assert refused.status == 5
    assert stack.run("alias", "split", "spoken", "--stop", "--json").json()["split"] is None
    for wrong in ((), (f"{served[0]}=0",), (f"{served[2]}=5",), ("x=5",)):
        assert stack.run("alias", "split", "spoken", *wrong, ok=False).status == 2


SECRETIVE = """
import os
from fal_serverless import isolated

@isolated(serve=True, secrets=["PASSWORD_OF_MINE"])
def secretive() -> int:
    return len(os.environ["PASSWORD_OF_MINE"])
"""


def test_a_secret_reaches_the_function_and_nothing_else(stack: Stack, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(SECRETIVE, encoding="utf-8")
    refused = stack.run("function", "serve", str(file), "secretive", ok=False)
    assert refused.status == 3
    assert "secret set PASSWORD_OF_MINE" in refused.errors
    value = "correct-horse-battery"
    told = [
        stack.run("secret", "set", "PASSWORD_OF_MINE", value),
        stack.run("function", "serve", str(file), "secretive", "--dry-run"),
        stack.run(
            "function", "serve", str(file), "secretive", "--alias", "secretive", "--auth", "public"
        ),
        stack.run("secret", "list", "--json"),
        stack.run("function", "show", "secretive"),
    ]
    assert stack.call("secretive", body={}).json() == len(value)
    told.append(stack.run("function", "logs", "secretive"))
    stack.run("secret", "set", "PASSWORD_OF_MINE", "rotated")
    stack.serve(file, "secretive", "--alias", "secretive")
    assert until(lambda: stack.call("secretive", body={}).json() == len("rotated"))
    stack.run("secret", "delete", "PASSWORD_OF_MINE")
    for ran in told:
        assert value not in ran.output + ran.errors
    assert stack.run("secret", "set", "FAL_USER", "x", ok=False).status == 2


def test_prune_keeps_what_is_needed(stack: Stack, tmp_path):
    file = tmp_path / "mine.py"
    made = []
    for answer in (1, 2, 3, 4):
        file.write_text(TEXT.replace("spoken(", "pruned(").format(answer), encoding="utf-8")
        made.append(stack.serve(file, "pruned", "--alias", "pruned", "--auth", "public"))
    first, second, third, fourth = (item["revision"] for item in made)
    stack.run("alias", "set", "pruned", first)

    def gone(*words: str) -> list[str]:
        found = stack.run("function", "prune", "pruned", *words, "--json").json()
        return [item["revision"] for item in found["pruned"]]

    # The alias needs the first, and a rollback would need the fourth.
    assert gone("--keep", "0", "--older-than", "1d", "--dry-run") == []
    assert gone("--keep", "0", "--dry-run") == [second, third]
    assert stack.call(second, body={}).status == 200
    assert gone("--keep", "2") == [second]
    assert stack.call(second, body={}).status == 404
    assert {stack.call(label, body={}).status for label in (first, third, fourth, "pruned")} == {
        200
    }
    assert stack.run("alias", "rollback", "pruned", "--json").status == 0
    refused = stack.run("function", "prune", ok=False)
    assert refused.status == 2
    assert "neither --keep nor --older-than" in refused.errors
