"""What the doctor makes of schedules."""

from __future__ import annotations

import pytest

from fal_serverless.checks import schedules as checks
from fal_serverless.publish.schedules import Schedule


def a_schedule(**changes):
    about = {"id": "i", "owner": "1", "name": "f", "expression": "0 0 13 * FRI"}
    return Schedule(**about, created_at="", changed_at="").replace(revision="r", **changes)


def test_schedules_that_fire_are_one_line():
    (found,) = checks.schedules(["1-i-d", "1-i-w"], [a_schedule()])
    assert (found.state, found.detail) == ("ok", "1 schedules fire")


@pytest.mark.parametrize(
    ("changes", "rules", "state", "following"),
    [
        ({}, ["1-i-d"], "problem", "function schedule '0 0 13 * FRI' FILE f"),
        ({"pending": ("p",)}, ["1-i-d", "1-i-w"], "warning", "cron cancel i"),
        ({"cancelling": True}, [], "warning", "cron cancel i"),
    ],
)
def test_schedules_that_do_not(changes, rules, state, following):
    (found,) = checks.schedules(rules, [a_schedule(**changes)])
    assert found.state == state
    assert following in found.next


def test_rules_of_nothing():
    (found,) = checks.schedules(["1-x-d"], [])
    assert (found.state, "--fix" in found.next) == ("warning", True)
    assert checks.strays(["1-x-d", "1-i-w", "1-i-d"], [a_schedule()]) == ("1-x-d",)


def test_undelivered_runs_are_a_problem():
    assert checks.undelivered(0).state == "ok"
    found = checks.undelivered(3)
    assert (found.state, found.detail[:1], "ScheduleDeadLetters" in found.next) == (
        "problem",
        "3",
        True,
    )
