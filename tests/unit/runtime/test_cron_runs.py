"""Scheduled runs inside the runtime, from EventBridge's event to the lines in the log."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from fal_serverless.activations import activations
from fal_serverless.logs import LogEvent
from fal_serverless.publish.schedules import event_of
from fal_serverless.runtime.handler import Runtime
from fal_serverless.runtime.loader import BundleError
from tests.unit.runtime.test_loader import bundle

CONTEXT = SimpleNamespace(aws_request_id="request-1", get_remaining_time_in_millis=lambda: 30_000)


def works(n=2):
    print("worked", n)
    return object()  # what no answer could carry


async def waits(n=3):
    print("waited", n)


def raises():
    print("token-of-mine", end="")
    raise KeyError("secret-of-mine")


def leaves():
    sys.exit(3)


def filled(event, **values):
    """The event as EventBridge Scheduler sends it."""
    text = json.dumps(event)
    for name, value in values.items():
        text = text.replace(f"<aws.scheduler.{name.replace('_', '-')}>", value)
    return json.loads(text)


EVENT = filled(
    event_of("schedule-1"), scheduled_time="2026-03-13T09:00:00Z", execution_id="d32c5kddcf5bb8c3"
)


def runtime(folder, function, **changes):
    content = {"function": function, "setup": None}
    return Runtime(bundle(folder, content, **{"mode": "call", **changes}))


def told(printed):
    """What the command would list of what was printed."""
    lines = ["START RequestId: request-1 Version: 1", *printed.splitlines()]
    events = [LogEvent(str(n), n, "s", line, "request-1") for n, line in enumerate(lines)]
    return activations(events, "schedule-1", now=0)


@pytest.mark.parametrize("mode", ["call", "serve"])
@pytest.mark.parametrize(("function", "line"), [(works, "worked 2"), (waits, "waited 3")])
def test_a_run(tmp_path, capsys, function, line, mode):
    assert runtime(tmp_path, function, mode=mode).handle(EVENT, CONTEXT) == {"outcome": "ok"}
    printed = capsys.readouterr().out
    assert line in printed.splitlines()
    (run,) = told(printed)
    assert (run.id, run.scheduled_at) == ("d32c5kddcf5bb8c3", "2026-03-13T09:00:00Z")
    assert (run.outcome, run.error, run.requests) == ("ok", None, ("request-1",))
    assert run.started_at <= run.ended_at


@pytest.mark.parametrize(("function", "error"), [(raises, "KeyError"), (leaves, "SystemExit")])
def test_a_run_that_raises_is_over_and_its_lines_hold_no_message(tmp_path, capsys, function, error):
    assert runtime(tmp_path, function).handle(EVENT, CONTEXT) == {"outcome": "failed"}
    printed = capsys.readouterr()
    (run,) = told(printed.out)
    assert (run.outcome, run.error) == ("failed", error)
    assert "Traceback" in printed.err
    lines = printed.out.splitlines()
    marks = [line[line.index("fal-cron") :] for line in lines if "fal-cron" in line]
    assert len(marks) == 2
    assert "of-mine" not in "".join(marks)


def test_a_bundle_that_cannot_be_loaded_is_a_failed_run(tmp_path, capsys):
    broken = Runtime(bundle(tmp_path, {}, format=99))
    assert broken.handle(EVENT, CONTEXT) == {"outcome": "failed"}
    printed = capsys.readouterr()
    assert told(printed.out)[0].error == "BundleError"
    assert "bundle format 99" in printed.err


@pytest.mark.parametrize(
    ("moment", "outcome"),
    [
        ("2026-03-13T09:00:00Z", "skipped"),
        ("2026-03-13T23:59:59+00:00", "skipped"),
        ("2026-03-14T00:30:00+01:00", "skipped"),
        ("2026-03-14T00:00:00Z", "ok"),
        ("2026-03-20T09:00:00Z", "ok"),
    ],
)
def test_a_day_that_the_other_rule_has_is_left_to_it(tmp_path, capsys, moment, outcome):
    event = filled(event_of("schedule-1", (1, 13)), scheduled_time=moment, execution_id="e")
    assert runtime(tmp_path, works).handle(event, CONTEXT) == {"outcome": outcome}
    assert ("worked" in capsys.readouterr().out) == (outcome == "ok")


def test_what_nobody_filled_in_has_a_name_and_a_time_all_the_same(tmp_path, capsys):
    assert runtime(tmp_path, works).handle(event_of("schedule-1"), CONTEXT) == {"outcome": "ok"}
    (run,) = told(capsys.readouterr().out)
    assert run.id == "request-1"
    assert run.scheduled_at[:16] == run.started_at[:16]
    assert run.scheduled_at.endswith(":00Z")


def test_what_only_schedules_run_answers_no_request(tmp_path):
    with pytest.raises(BundleError, match="not served"):
        runtime(tmp_path, works).handle({}, CONTEXT)
