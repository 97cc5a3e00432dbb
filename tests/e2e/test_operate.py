"""Logs, rollback and splits on the embedded stack."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.e2e.conftest import COMMAND

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
EVENTS = Path(__file__).resolve().parents[1] / "events"

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


def test_a_followed_log_ends_with_a_whole_line_when_it_is_interrupted(stack: Stack, served):
    command = [COMMAND, "function", "logs", "spoken", "--follow", "--json"]
    with subprocess.Popen(
        command,
        env=stack.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background would ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as following:
        try:
            assert following.stdout and following.stderr
            assert stack.call("spoken", body={"text": "followed"}).status == 200
            lines = []
            for line in following.stdout:
                lines.append(line)
                if "said followed" in line:
                    break
            following.send_signal(signal.SIGINT)
            rest, errors = following.stdout.read(), following.stderr.read()
            following.wait(30)
        finally:
            following.kill()
    assert following.returncode == 130
    assert errors == "Interrupted; URLs that worked still do.\n"
    assert (rest or "\n").endswith("\n")
    # Lines of events and nothing else: whoever reads them needs no case for the end.
    events = [json.loads(line) for line in [*lines, *rest.splitlines()]]
    assert all({"time", "message"} <= event.keys() for event in events)


@dataclass(frozen=True)
class Told:
    """One request of the load: when it began and ended, and what came back."""

    begun: float
    ended: float
    status: int
    revision: str | None


WORKERS = 8


@contextmanager
def load(stack: Stack, label: str, *, rate: int = 50, workers: int = WORKERS):
    """So many requests a second until the block ends; fewer where the machine cannot keep up."""
    told: list[Told] = []
    begun: list[Future[None]] = []
    stop = threading.Event()
    free = threading.Semaphore(workers)

    def one() -> None:
        try:
            start = time.monotonic()
            answer = stack.call(label, body={})
            found = (answer.status, answer.header("x-fal-revision"))
            told.append(Told(start, time.monotonic(), *found))
        finally:
            free.release()

    with ThreadPoolExecutor(workers) as pool:

        def pace() -> None:
            due = time.monotonic()
            while not stop.wait(max(0.0, due - time.monotonic())):
                free.acquire()
                begun.append(pool.submit(one))
                due = max(due + 1 / rate, time.monotonic() - 1)

        pacer = threading.Thread(target=pace)
        pacer.start()
        try:
            yield told
        finally:
            stop.set()
            pacer.join()
    for request in begun:
        request.result()


def test_a_rollback_at_fifty_requests_a_second_fails_none(stack: Stack, served):
    # The move is looked at, and not how environments of the revision before start anew.
    with ThreadPoolExecutor(WORKERS) as pool:
        warm = list(pool.map(lambda _: stack.call(served[1], body={}).status, range(2 * WORKERS)))
    assert set(warm) == {200}
    with load(stack, "spoken") as told:
        assert until(lambda: len(told) >= 150, 60)
        before = time.monotonic()
        back = stack.run("alias", "rollback", "spoken", "--json").json()
        after = time.monotonic()
        assert until(lambda: sum(item.begun > after for item in told) >= 100, 60)
    assert back["revision"] == served[1]
    assert {item.status for item in told} == {200}
    assert {item.revision for item in told if item.ended < before} == {served[2]}
    # It is Lambda's alias that moves: whoever asks once the command is done gets the old one.
    assert {item.revision for item in told if item.begun > after} == {served[1]}
    first = min(item.ended for item in told if item.revision == served[1])
    rate = len(told) / (max(item.ended for item in told) - min(item.begun for item in told))
    print(
        f"{len(told)} requests, {rate:.0f} a second; the command took {after - before:.2f} s, the "
        f"first answer of the old revision came {first - after:+.2f} s after its end"
    )


def test_a_rollback_to_a_revision_and_its_history(stack: Stack, served):
    stack.run("alias", "set", "spoken", served[1])
    back = stack.run("alias", "rollback", "spoken", "--to", served[0], "--json").json()
    assert back["revision"] == served[0]
    past = stack.run("alias", "history", "spoken", "--json").json()["history"]
    assert [(item["action"], item["revision"]) for item in past[:2]] == [
        ("rollback", served[0]),
        ("set", served[1]),
    ]
    principal = stack.run("auth", "hello", "--json").json()["principal"]
    assert {item["by"] for item in past} == {principal}
    assert principal in stack.run("alias", "history", "spoken").output
    assert stack.run("alias", "rollback", "spoken", "--to", "nothing", ok=False).status == 3


def test_a_split_begins_is_listed_and_ends(stack: Stack, served):
    stack.run("alias", "set", "spoken", served[2])
    begun = stack.run("alias", "split", "spoken", f"{served[0]}=10", "--json").json()
    assert begun["split"] == {served[0]: 10}
    assert begun["alarm"] is None
    assert listed(stack)["split"] == {served[0]: 10}
    refused = stack.run("function", "delete", served[0], ok=False)
    assert refused.status == 5
    assert stack.run("alias", "split", "spoken", "--stop", "--json").json()["split"] is None
    for wrong in ((), (f"{served[0]}=0",), (f"{served[2]}=5",), ("x=5",)):
        assert stack.run("alias", "split", "spoken", *wrong, ok=False).status == 2
    for limit in ("0", "100%", "some"):
        words = (f"{served[0]}=10", "--abort-on-errors", limit)
        assert stack.run("alias", "split", "spoken", *words, ok=False).status == 2


def listed(stack: Stack) -> dict:
    found = stack.run("alias", "list", "--json").json()["aliases"]
    return next(item for item in found if item["alias"] == "spoken")


@pytest.fixture
def clients(stack: Stack):
    endpoint = stack.run("local", "status", "--json").json()["endpoint_url"]
    session = boto3.Session("test", "test", region_name="us-east-1")
    return lambda service: session.client(service, endpoint_url=endpoint)


def test_an_alarm_ends_a_split(stack: Stack, served, clients):
    """The emulator's CloudWatch calls no Lambda function, so its event is a file."""
    stack.run("alias", "set", "spoken", served[2])
    words = ("alias", "split", "spoken", f"{served[0]}=10", "--abort-on-errors", "5%")
    assert "more than 5% fail" in stack.run(*words).output
    about = listed(stack)
    assert (about["split"], about["abort_on_errors"]) == ({served[0]: 10}, 5)
    cloudwatch, functions = clients("cloudwatch"), clients("lambda")
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[about["alarm"]])["MetricAlarms"]
    (guard,) = alarm["AlarmActions"]
    function = f"fal-{stack.user}-spoken-z"
    live = functions.get_alias(FunctionName=function, Name="spoken")
    assert list(live["RoutingConfig"]["AdditionalVersionWeights"].values()) == [0.1]
    event = json.loads((EVENTS / "split_alarm.json").read_bytes())
    event["alarmData"]["alarmName"] = about["alarm"]
    for said in ("ended the split", "already"):
        invoked = functions.invoke(FunctionName=guard, Payload=json.dumps(event))
        assert said in json.loads(invoked["Payload"].read())
    live = functions.get_alias(FunctionName=function, Name="spoken")
    assert "RoutingConfig" not in live
    assert not cloudwatch.describe_alarms(AlarmNames=[about["alarm"]])["MetricAlarms"]
    about = listed(stack)
    assert (about["split"], about["alarm"], about["revision"]) == (None, None, served[2])
    newest = stack.run("alias", "history", "spoken", "--json").json()["history"][0]
    assert (newest["action"], newest["by"], newest["split"]) == ("abort", "alarm", {served[0]: 10})
    assert stack.call("spoken", body={}).header("x-fal-revision") == served[2]


@pytest.mark.parametrize("then", [("split", "spoken", "--stop"), ("rollback", "spoken")])
def test_no_alarm_outlives_its_split(stack: Stack, served, clients, then):
    stack.run("alias", "set", "spoken", served[2])
    stack.run("alias", "split", "spoken", f"{served[0]}=10", "--abort-on-errors", "5%")
    alarm = listed(stack)["alarm"]
    stack.run("alias", *then)
    assert listed(stack)["alarm"] is None
    assert not clients("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]


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


def test_a_rule_deletes_old_revisions_after_each_publish(stack: Stack, tmp_path):
    file = tmp_path / "mine.py"
    made = []

    def serve(answer: int, *more: str) -> dict:
        file.write_text(TEXT.replace("spoken(", "ruled(").format(answer), encoding="utf-8")
        done = stack.serve(file, "ruled", "--alias", "ruled", "--auth", "public", *more)
        made.append(done["revision"])
        return done

    for answer in (1, 2, 3):
        serve(answer)
    rule = stack.run("function", "retention", "ruled", "--keep", "2", "--json").json()
    assert (rule["name"], rule["keep"], rule["keep_days"]) == ("ruled", 2, None)
    planned = stack.run(
        "function", "serve", str(file), "ruled", "--alias", "ruled", "--dry-run", "--json"
    ).json()["plan"]
    assert planned[-1] == f"delete 2 old revisions of ruled: {made[0]}, {made[1]}"
    told = stack.run("function", "prune", "--dry-run", "--json").json()["pruned"]
    assert [item["revision"] for item in told] == [made[0]]
    steps = [step["step"] for step in serve(4)["steps"]]
    assert steps[-1] == planned[-1]
    assert [stack.call(label, body={}).status for label in made] == [404, 404, 200, 200]
    assert "every revision" in stack.run("function", "retention", "ruled", "--off").output
    assert stack.run("function", "retention", "--json").json()["rules"] == []
    assert serve(5, "--keep", "1")["notes"] == []
    # The alias would go back to the fourth.
    assert [stack.call(label, body={}).status for label in made[2:]] == [404, 200, 200]
    stack.run("alias", "delete", "ruled")
    stack.run("function", "delete", "ruled")
    assert stack.run("function", "retention", "--json").json()["rules"] == []
    for wrong in (("--keep", "3"), ("ruled", "--off", "--keep", "3"), ("ruled", "--keep", "0")):
        assert stack.run("function", "retention", *wrong, ok=False).status == 2
