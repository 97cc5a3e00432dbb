"""Schedules on the embedded stack: real EventBridge events into real functions."""

from __future__ import annotations

import json
import time

import pytest

from fal_serverless.aws.cloudformation import Deployer
from fal_serverless.aws.session import emulator_session
from fal_serverless.stack import outputs_of
from tests.e2e.test_operate import until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

EITHER = "0 0 13 * FRI"
JOBS = """
import time
from fal_serverless import isolated

@isolated()
def nightly(n: int = 2):  # {version}
    print("nightly", n)

@isolated(serve=True)
def both(n: int = 3) -> int:
    print("both", n)
    return n

@isolated()
def fails():
    raise KeyError("of-mine")

@isolated(timeout=1)
def sleeps():
    time.sleep(20)
"""


class Aws:
    """What the embedded AWS has of the stack's schedules."""

    def __init__(self, stack):
        status = stack.run("local", "status", "--json").json()
        session = emulator_session(status["endpoint_url"])
        self.outputs = outputs_of(status["stack"], Deployer(session).outputs(status["stack"]))
        self.client = session.client("scheduler")
        self.lambdas = session.client("lambda")
        self.queue = session.client("sqs")

    def rule(self, name):
        return self.client.get_schedule(GroupName=self.outputs.schedules, Name=name)

    def names(self):
        found = self.client.list_schedules(GroupName=self.outputs.schedules)["Schedules"]
        return {item["Name"] for item in found}

    def fire(self, name):
        """Let EventBridge send a rule's event at its next look at the clock, every ten seconds.

        A rule of its own does it: it counts minutes only from when it first saw a rule.
        """
        rule = self.rule(name)
        wanted = {key: rule[key] for key in ("GroupName", "FlexibleTimeWindow", "Target")}
        once = {"ScheduleExpression": "at(2020-01-01T00:00:00)", "ActionAfterCompletion": "DELETE"}
        self.client.create_schedule(**wanted, **once, Name=f"probe-{name}"[:64])

    def send(self, name, **values):
        """Send a rule's event as EventBridge does, its placeholders filled."""
        target = self.rule(name)["Target"]
        text = target["Input"]
        for key, value in values.items():
            text = text.replace(f"<aws.scheduler.{key.replace('_', '-')}>", value)
        answer = self.lambdas.invoke(FunctionName=target["Arn"], Payload=text)
        return json.loads(answer["Payload"].read())


@pytest.fixture(scope="module")
def aws(stack):
    return Aws(stack)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    found = tmp_path_factory.mktemp("jobs") / "jobs.py"
    found.write_text(JOBS.format(version=1), encoding="utf-8")
    return found


def schedule(stack, file, expression, name):
    return stack.run("function", "schedule", expression, str(file), name, "--json").json()


def crons(stack):
    return {item["id"]: item for item in stack.run("cron", "list", "--json").json()["crons"]}


@pytest.fixture(scope="module")
def scheduled(stack, aws, file):
    """One schedule of each function; each is fired while the first tests run."""
    names = ("nightly", "both", "fails", "sleeps")
    made = {name: schedule(stack, file, EITHER, name) for name in names}
    for item in made.values():
        aws.fire(f"{stack.user}-{item['id']}-d")
    return made


def test_a_schedule_is_two_rules_of_a_qualified_version(stack, aws, scheduled):
    made = scheduled["nightly"]
    assert made["rules"] == ["cron(0 0 13 * ? *)", "cron(0 0 ? * FRI *)"]
    listed = crons(stack)[made["id"]]
    assert (listed["expression"], listed["name"]) == (EITHER, "nightly")
    assert (listed["revision"], listed["state"]) == (made["revision"], "active")
    assert listed["next_run"] == made["next_run"] > time.strftime("%Y-%m-%dT%H:%M:%SZ")
    for part, expression in zip("dw", made["rules"], strict=True):
        rule = aws.rule(f"{stack.user}-{made['id']}-{part}")
        target = rule["Target"]
        assert rule["ScheduleExpression"] == expression
        assert target["Arn"].endswith(f":function:{made['function']}:{made['version']}")
        assert target["RoleArn"] == aws.outputs.schedule_role
        assert target["DeadLetterConfig"]["Arn"] == aws.outputs.undelivered_arn
        assert target["RetryPolicy"]["MaximumRetryAttempts"] == 5
    bounds = aws.lambdas.get_function_event_invoke_config(
        FunctionName=made["function"], Qualifier=made["version"]
    )
    assert bounds["MaximumRetryAttempts"] == 0


def test_what_a_schedule_needs_stays_and_what_is_not_served_has_no_url(stack, scheduled):
    made = scheduled["nightly"]
    refused = stack.run("function", "delete", made["revision"], ok=False)
    assert refused.status == 5
    assert f"cron cancel {made['id']}" in refused.errors
    pruned = stack.run("function", "prune", "nightly", "--keep", "0", "--json").json()["pruned"]
    assert pruned == []
    listed = stack.run("function", "list", "--json").json()["functions"]
    urls = {item["revision"]: item["url"] for item in listed}
    assert urls[made["revision"]] is None
    assert f"{stack.user}-{scheduled['both']['revision']}." in urls[scheduled["both"]["revision"]]
    assert stack.call(made["revision"], body={}, headers=stack.key).status == 404
    assert stack.call(scheduled["both"]["revision"], body={}, headers=stack.key).json() == 3
    aliased = stack.run("alias", "set", "nightly", made["revision"], ok=False)
    assert aliased.status == 2
    assert "cannot have a URL" in aliased.errors


def test_runs_are_fired_listed_and_their_lines_shown(stack, aws, scheduled):
    def runs(name):
        found = stack.run("cron", "activations", scheduled[name]["id"], "--json").json()
        return [run for run in found["activations"] if run["outcome"] != "running"]

    expected = {
        "nightly": ("ok", None),
        "both": ("ok", None),
        "fails": ("failed", "KeyError"),
        "sleeps": ("killed", "timeout"),
    }
    for name, (outcome, error) in expected.items():
        (run,) = until(lambda name=name: runs(name), 60)
        assert (name, run["outcome"], run["error"]) == (name, outcome, error)
        assert run["scheduled_at"] <= run["started_at"] <= run["ended_at"]
    (run,) = runs("nightly")
    printed = stack.run("cron", "logs", scheduled["nightly"]["id"], run["id"], "--json").json()
    messages = [event["message"] for event in printed["events"]]
    assert "nightly 2" in messages
    assert not any("of-mine" in message for message in messages)
    plain = stack.run("crons", "activations", scheduled["fails"]["id"]).output
    assert "KeyError" in plain
    unknown = stack.run("cron", "logs", scheduled["nightly"]["id"], "nothing", ok=False)
    assert unknown.status == 3
    assert "cron activations" in unknown.errors


def test_a_day_that_both_fields_name_runs_once(stack, aws, scheduled):
    made = scheduled["both"]
    friday = {"scheduled_time": "2026-03-13T00:00:00Z", "execution_id": "friday-the-13th"}
    by_day = aws.send(f"{stack.user}-{made['id']}-d", **friday)
    by_weekday = aws.send(f"{stack.user}-{made['id']}-w", **friday)
    assert (by_day, by_weekday) == ({"outcome": "ok"}, {"outcome": "skipped"})
    another = {"scheduled_time": "2026-03-20T00:00:00Z", "execution_id": "another-friday"}
    assert aws.send(f"{stack.user}-{made['id']}-w", **another) == {"outcome": "ok"}
    found = stack.run("cron", "activations", made["id"], "--json").json()["activations"]
    times = {run["id"]: run["scheduled_at"] for run in found}
    assert times["friday-the-13th"] == "2026-03-13T00:00:00Z"
    assert times["another-friday"] == "2026-03-20T00:00:00Z"


def test_scheduling_again_moves_it_and_cancelling_ends_it(stack, aws, file, scheduled):
    first = scheduled["nightly"]
    file.write_text(JOBS.format(version=2), encoding="utf-8")
    dry = stack.run("function", "schedule", "0 0 13 * 5", str(file), "nightly", "--dry-run")
    assert "schedule it: cron(0 0 ? * FRI *)" in dry.output
    second = schedule(stack, file, "0 0 13 * 5", "nightly")
    assert (second["id"], second["moved_from"]) == (first["id"], first["revision"])
    rules = {f"{stack.user}-{first['id']}-{part}" for part in "dw"}
    for name in rules:
        assert aws.rule(name)["Target"]["Arn"].endswith(f":{second['version']}")
    other = schedule(stack, file, "@hourly", "nightly")
    assert other["id"] != first["id"]
    assert stack.run("function", "delete", first["revision"]).status == 0
    said = stack.run("cron", "cancel", first["id"]).output
    assert "Cancelled schedule" in said
    assert not rules & aws.names()
    assert first["id"] not in crons(stack)
    assert stack.run("cron", "cancel", first["id"], ok=False).status == 3
    assert stack.run("cron", "cancel", other["id"], "--json").json()["cancelled"] == other["id"]


def test_doctor_finds_what_does_not_fire_and_what_was_not_delivered(stack, aws, scheduled):
    def findings(*words):
        found = stack.run("doctor", *words, "--json", ok=False).json()["findings"]
        return [item for item in found if item["check"] in ("schedules", "scheduled runs")]

    rule = aws.rule(f"{stack.user}-{scheduled['both']['id']}-w")
    wanted = {key: rule[key] for key in ("GroupName", "FlexibleTimeWindow", "Target")}
    stray = f"{stack.user}-stray-d"
    aws.client.create_schedule(**wanted, Name=stray, ScheduleExpression="cron(0 0 1 1 ? *)")
    aws.client.delete_schedule(GroupName=rule["GroupName"], Name=rule["Name"])
    aws.queue.send_message(QueueUrl=aws.outputs.undelivered_url, MessageBody="{}")
    told = " ".join(item["detail"] for item in findings())
    assert stray in told
    assert scheduled["both"]["id"] in told
    assert "1 could not be handed to Lambda" in told
    assert stack.run("cron", "list", "--json").json()["undelivered"] == 1
    aws.queue.purge_queue(QueueUrl=aws.outputs.undelivered_url)
    for made in crons(stack).values():
        stack.run("cron", "cancel", made["id"])
    mended = findings("--fix")
    assert {item["state"] for item in mended} == {"ok"}
    assert any(f"deleted EventBridge's schedule '{stray}'" in item["detail"] for item in mended)
    assert stray not in aws.names()
