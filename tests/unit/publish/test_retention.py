"""What may be pruned."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone

import pytest

from fal_serverless.publish.retention import dispensable, needed, pointing_at, spared
from fal_serverless.publish.state import Alias, Move, Rule
from tests.fakes import OWNER, a_revision

DAY = 86_400
NOW = datetime(2026, 3, 1, tzinfo=timezone.utc).timestamp()


def aged(name, days, of="f"):
    made = datetime.fromtimestamp(NOW - days * DAY, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    made_of = {"name": of, "created_at": made}
    return dataclasses.replace(a_revision(name, function=f"fal-{of}"), **made_of)


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
    other = (aged("s30", 30, "g"), aged("s50", 50, "g"))
    found = dispensable((*FIVE, *other), (), keep=1, older_than=0, now=NOW)
    assert {item.id for item in found} == {"s50", "r5", "r10", "r20", "r40"}


def test_what_an_alias_a_split_or_a_rollback_needs_stays():
    alias = an_alias("r20", "r10", split=("r5", 10))
    found = dispensable(FIVE, needed(FIVE, (alias,), ()), keep=0, older_than=0, now=NOW)
    assert [item.id for item in found] == ["r40", "r1"]


def test_an_alias_without_a_past_keeps_its_own_revision_alone():
    found = dispensable(FIVE, needed(FIVE, (an_alias("r40"),), ()), keep=0, older_than=0, now=NOW)
    assert [item.id for item in found] == ["r20", "r10", "r5", "r1"]


def test_layers_and_images_of_a_function_are_counted_together():
    images = [dataclasses.replace(item, function="fal-f-i") for item in FIVE[:2]]
    found = dispensable((*images, *FIVE[2:]), (), keep=3, older_than=0, now=NOW)
    assert [item.id for item in found] == ["r40", "r20"]


def test_rules_of_functions():
    others = (aged("s30", 30, "g"), aged("s50", 50, "g"), aged("t99", 99, "h"))
    rules = (
        Rule(owner=OWNER, name="f", keep=1, keep_days=15),
        Rule(owner=OWNER, name="g", keep=1),
        Rule(owner=OWNER, name="gone", keep=1),
    )
    found = spared((*FIVE, *others), {"r20"}, rules, NOW)
    assert [item.id for item in found] == ["s50", "r40"]


def test_what_an_alias_needs_once_it_moved():
    alias = an_alias("r20", "r10", split=("r5", 10))
    found = needed(FIVE, [pointing_at(alias, "r1")], ())
    assert found == {"r1", "r20"}


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"keep": 3}, "the 3 newest"),
        ({"keep_days": 9}, "what is younger than 9 days"),
        ({"keep": 3, "keep_days": 9}, "the 3 newest and what is younger than 9 days"),
    ],
)
def test_a_rule_in_words(rule, text):
    assert str(Rule(owner=OWNER, name="f", **rule)) == text
