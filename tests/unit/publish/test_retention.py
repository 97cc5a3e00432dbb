"""What may be pruned."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone

import pytest

from fal_serverless.publish.retention import dispensable, needed
from fal_serverless.publish.state import Alias, Move
from tests.fakes import OWNER, a_revision

DAY = 86_400
NOW = datetime(2026, 3, 1, tzinfo=timezone.utc).timestamp()


def aged(name, days, function="fal-f"):
    made = datetime.fromtimestamp(NOW - days * DAY, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return dataclasses.replace(a_revision(name, function=function), created_at=made)


def an_alias(revision, *before, split=None):
    history = tuple(Move(revision=item, at="2026-01-01T00:00:00Z") for item in before)
    return Alias(
        name="predict",
        owner=OWNER,
        revision=revision,
        function="fal-f",
        auth="private",
        moved_at="2026-01-02T00:00:00Z",
        token="t",
        split=split,
        history=history,
    )


FIVE = tuple(aged(f"r{days}", days) for days in (1, 5, 10, 20, 40))


@pytest.mark.parametrize(
    ("keep", "days", "gone"),
    [
        (0, 0, ["r40", "r20", "r10", "r5", "r1"]),
        (2, 0, ["r40", "r20", "r10"]),
        (0, 10, ["r40", "r20", "r10"]),
        (4, 10, ["r40"]),
        (1, 30, ["r40"]),
        (5, 0, []),
        (0, 41, []),
    ],
)
def test_both_rules_must_let_a_revision_go(keep, days, gone):
    found = dispensable(FIVE, (), keep=keep, older_than=days * DAY, now=NOW)
    assert [item.id for item in found] == gone


def test_the_newest_are_counted_for_each_function():
    other = (aged("s30", 30, "fal-g"), aged("s50", 50, "fal-g"))
    found = dispensable((*FIVE, *other), (), keep=1, older_than=0, now=NOW)
    assert {item.id for item in found} == {"s50", "r5", "r10", "r20", "r40"}


def test_what_an_alias_a_split_or_a_rollback_needs_stays():
    alias = an_alias("r20", "r10", split=("r5", 10))
    found = dispensable(FIVE, needed(FIVE, (alias,)), keep=0, older_than=0, now=NOW)
    assert [item.id for item in found] == ["r40", "r1"]


def test_an_alias_without_a_past_keeps_its_own_revision_alone():
    found = dispensable(FIVE, needed(FIVE, (an_alias("r40"),)), keep=0, older_than=0, now=NOW)
    assert [item.id for item in found] == ["r20", "r10", "r5", "r1"]
