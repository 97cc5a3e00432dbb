"""What the doctor makes of the facts."""

from __future__ import annotations

import pytest

from fal_serverless import doctor
from fal_serverless.errors import AuthError


@pytest.mark.parametrize(
    ("skew", "state"),
    [(None, "ok"), (0.4, "ok"), (-59, "ok"), (61, "warning"), (-299, "warning"), (300, "problem")],
)
def test_clock(skew, state):
    found = doctor.clock(skew)
    assert found.state == state
    assert bool(found.next) == (state != "ok")


def test_a_clock_says_which_way_it_is_off():
    assert "400 s ahead of AWS" in doctor.clock(400).detail
    assert "400 s behind AWS" in doctor.clock(-400).detail


@pytest.mark.parametrize(("version", "state"), [("3.11", "ok"), ("3.9", "problem")])
def test_python(version, state):
    assert doctor.python(version).state == state


@pytest.mark.parametrize(("count", "state"), [(10, "warning"), (49, "warning"), (50, "ok")])
def test_concurrency(count, state):
    assert doctor.concurrency(count).state == state


def test_a_registry_that_agrees_is_one_line():
    found = doctor.drift(["fal-1-a-z"], ["fal-1-a-z"], [("a", "r1")], {"r1"})
    assert [item.state for item in doctor.registry(found)] == ["ok"]


def test_every_disagreement_has_its_line_and_its_next_step():
    found = doctor.drift(
        ["fal-1-left-z", "fal-1-a-z"], ["fal-1-a-z", "fal-1-gone-z"], [("a", "r9")], {"r1"}
    )
    assert found == doctor.Drift(orphans=("fal-1-left-z",), lost=("fal-1-gone-z",), dangling=("a",))
    shown = doctor.registry(found)
    assert [item.state for item in shown] == ["warning", "problem", "problem"]
    assert all(item.next for item in shown)


def test_an_error_keeps_its_reason_and_its_hint():
    found = doctor.failed("credentials", AuthError("No.", reason="because", hint="do this"))
    assert (found.state, found.detail, found.next) == ("problem", "No. because", "do this")


def test_dead_letters_are_a_problem():
    assert doctor.queue(waiting=3, running=1, dead=0).state == "ok"
    found = doctor.queue(waiting=3, running=1, dead=2)
    assert (found.state, "2 could not" in found.detail) == ("problem", True)
    assert "redrive" in found.next
