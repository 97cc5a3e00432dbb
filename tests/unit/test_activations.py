"""What a log tells of scheduled runs."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from fal_serverless import logs
from fal_serverless.activations import LONGEST_S, activations

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=timezone.utc).timestamp()
BEGUN = "2026-03-01T12:00:05.000Z"


def told(execution="e1", schedule="s1", **more):
    about = {"schedule": schedule, "execution": execution, "scheduled_at": "2026-03-01T12:00:00Z"}
    return "fal-cron " + json.dumps({**about, "at": BEGUN, **more})


def ended(execution="e1", outcome="ok", error=None):
    times = {"at": "2026-03-01T12:00:07.000Z", "seconds": 1.5}
    return told(execution, **times, outcome=outcome, error=error)


def a_log(*lines, stream="2026/03/01/[3]a"):
    events = [logs.LogEvent(str(n), int(NOW * 1000) + n, stream, x) for n, x in enumerate(lines)]
    return list(logs.attributed(events))


def runs(*lines, schedule="s1", now=NOW):
    return activations(a_log(*lines), schedule, now=now)


def framed(request, *lines, report=""):
    over = [f"END RequestId: {request}", f"REPORT RequestId: {request}\tDuration: 9 ms {report}"]
    return (f"START RequestId: {request} Version: 3", *lines, *over)


def test_a_run_that_went_well():
    (run,) = runs(*framed("r1", told(), "worked", ended()))
    assert (run.id, run.outcome, run.error, run.seconds) == ("e1", "ok", None, 1.5)
    assert (run.scheduled_at, run.started_at) == ("2026-03-01T12:00:00Z", BEGUN)
    assert (run.ended_at, run.requests) == ("2026-03-01T12:00:07.000Z", ("r1",))


@pytest.mark.parametrize(
    "more",
    [
        {"at": []},
        {"at": "never"},
        {"at": "2026-03-01T12:00:05"},
        {"scheduled_at": None},
        {"execution": 5},
        {"outcome": "failed", "error": {"a": 1}},
        {"outcome": "ok", "seconds": "long"},
        {"outcome": "ok", "seconds": True},
    ],
)
def test_what_a_function_prints_in_this_form_is_none_of_its_runs(more):
    about = {"schedule": "s1", "execution": "e2", "scheduled_at": BEGUN, "at": BEGUN, **more}
    (run,) = runs(*framed("r1", told(), "fal-cron " + json.dumps(about), ended()))
    assert (run.id, run.outcome, run.seconds) == ("e1", "ok", 1.5)


def test_a_run_that_raised():
    (run,) = runs(*framed("r1", told(), "Traceback", ended(outcome="failed", error="KeyError")))
    assert (run.outcome, run.error) == ("failed", "KeyError")


@pytest.mark.parametrize(
    ("lines", "report", "error"),
    [
        (("Task timed out after 2.00 seconds",), "", "timeout"),
        ((), "Status: timeout", "timeout"),
        (("RequestId: r1 Error: Runtime exited with error: exit status 3",), "", "crash"),
        ((), "Status: error Error Type: Runtime.ExitError", "crash"),
    ],
)
def test_a_run_that_was_killed(lines, report, error):
    (run,) = runs(*framed("r1", told(), *lines, report=report))
    assert (run.outcome, run.error, run.seconds) == ("killed", error, None)
    assert run.ended_at.startswith("2026-03-01T12:00:30")


def test_a_run_that_goes_on_and_one_of_which_nothing_is_heard():
    lines = ("START RequestId: r1 Version: 3", told(), "working")
    assert runs(*lines)[0].outcome == "running"
    assert runs(*lines, now=NOW + LONGEST_S)[0].outcome == "killed"


def test_a_run_that_lambda_began_again_is_one():
    (run,) = runs(*framed("r1", told()), *framed("r2", told(), ended()))
    assert (run.outcome, run.requests) == ("ok", ("r1", "r2"))


def test_the_latest_comes_first_and_others_schedules_are_left_out():
    found = runs(
        *framed("r1", told(), ended()),
        *framed("r2", told("e9", "s2")),
        *framed("r3", told("e2", at="2026-03-01T12:01:05.000Z"), ended("e2")),
        *framed("r4", "an HTTP request that timed out: Task timed out"),
    )
    assert [run.id for run in found] == ["e2", "e1"]


def test_an_end_on_a_line_that_the_function_left_open():
    (run,) = runs(*framed("r1", told(), "no line end " + ended()))
    assert run.outcome == "ok"


@pytest.mark.parametrize(
    "line", ["fal-cron {broken}", "fal-cron []", 'fal-cron {"schedule": "s1"}', "fal-cron"]
)
def test_what_only_looks_like_it_is_passed_over(line):
    assert runs(*framed("r1", line)) == ()
