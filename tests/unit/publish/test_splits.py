"""Splits: begun, watched, ended by their alarm, and whole wherever something dies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fal_serverless.errors import AwsError, ConflictError, UsageError
from fal_serverless.publish import aliases, splits
from fal_serverless.publish.guard import Guard
from fal_serverless.publish.state import LEASE_SECONDS
from tests.fakes import OWNER, FakeAlarms, FakeClock, Killed
from tests.unit.publish.test_aliases import REVISIONS, World, an_alias

STACK = "fal-serverless"
EVENT = json.loads((Path(__file__).parents[2] / "events" / "split_alarm.json").read_bytes())


def begin(world, to="one", percent=10, limit=None, alias=None):
    return splits.begin(
        world.registry,
        world.functions,
        world.alarms,
        alias or world.alias,
        REVISIONS[to],
        percent,
        now="later",
        by="arn:me",
        abort_on_errors=limit,
        stack=STACK,
    )


def end(world, **more):
    parts = (world.registry, world.functions, world.alarms, world.alias)
    return splits.end(*parts, now="last", by="arn:me", **more)


@pytest.fixture
def world():
    return World()


def weights(world):
    return world.functions.live["fal-f"].weights


def test_a_split_begins_and_ends(world):
    after = begin(world)
    assert world.alias == after
    assert (after.split, after.alarm, world.alarms.there) == (("one", 10), "", {})
    assert weights(world) == {"a": ("1", 10)}
    assert world.functions.live["fal-f"].aliases == {"a": "3"}
    ended = end(world)
    assert (ended.split, weights(world)) == (None, {})
    told = [(item.action, item.by, item.revision, item.split) for item in world.alias.events]
    assert told == [
        ("stop", "arn:me", "three", ("one", 10)),
        ("split", "arn:me", "three", ("one", 10)),
    ]
    assert end(world).events == ended.events
    assert world.alias.moved_at == "now"


def test_a_split_with_an_alarm(world):
    after = begin(world, limit=5)
    (name,) = world.alarms.there
    watched = world.alarms.there[name]
    assert (after.alarm, after.abort_on_errors) == (name, 5)
    assert (watched.function, watched.alias, watched.version, watched.percent) == (
        "fal-f",
        "a",
        "1",
        5,
    )
    assert splits.watched_alias(STACK, name) == (OWNER, "a")
    again = begin(world, to="two", percent=50, limit=1)
    assert list(world.alarms.there) == [again.alarm] != [name]
    end(world)
    assert world.alarms.there == {}
    assert (world.alias.alarm, world.alias.abort_on_errors) == ("", None)


@pytest.mark.parametrize("percent", [0, 100, -1])
def test_a_percentage_that_cannot_be(world, percent):
    with pytest.raises(UsageError, match="cannot send"):
        begin(world, percent=percent)


@pytest.mark.parametrize(("to", "error"), [("three", UsageError), ("other", UsageError)])
def test_revisions_that_lambda_does_not_split_between(world, to, error):
    with pytest.raises(error):
        begin(world, to=to)


def test_provisioned_concurrency_excludes_a_split(world):
    with pytest.raises(ConflictError, match="cannot be split"):
        begin(world, alias=world.alias.replace(min_concurrency=1))


def test_a_split_of_an_alias_that_was_written_meanwhile(world):
    with pytest.raises(ConflictError, match="somebody else"):
        begin(world, limit=5, alias=world.alias.replace(token="stale"))
    assert (weights(world), world.alarms.there) == ({}, {})


class Moving(FakeAlarms):
    """Somebody rolls back in the middle of a split's begin."""

    def put(self, name, watched):
        super().put(name, watched)
        self.world.move("two", action="rollback", known=self.world.alias)
        self.world.clear()


def test_a_rollback_in_the_middle_of_a_split_wins(world):
    world.alarms = Moving(world.fuse)
    world.alarms.world = world
    with pytest.raises(ConflictError):
        begin(world, limit=5)
    assert world.alias.revision == "two"
    assert (world.alias.split, world.alias.alarm) == (None, "")
    assert (weights(world), world.functions.live["fal-f"].aliases) == ({}, {"a": "2"})
    assert world.alarms.there == {}


class Refused(FakeAlarms):
    def put(self, name, watched):
        raise AwsError("no", reason="not allowed", hint="ask")


def test_a_split_whose_alarm_is_refused_does_not_begin(world):
    world.alarms = Refused(world.fuse)
    with pytest.raises(AwsError):
        begin(world, limit=5)
    assert (world.alias.split, world.alias.alarm, weights(world)) == (None, "", {})


@pytest.mark.parametrize("then", ["stop", "rollback", "delete"])
def test_killed_anywhere_no_alarm_and_no_weight_is_left(then):
    """Whatever dies in the begin or the end of a split, what comes after it cleans up."""
    calls = 0
    while True:
        world = World()
        world.fuse.left = calls
        try:
            begin(world, limit=5)
            end(world)
            whole = True
        except Killed:
            whole = False
        world.fuse.left = None
        if world.alias.split is None and not whole:
            # Nothing is recorded: then nothing may have been done either, beyond what ended.
            assert weights(world) == {}
        if then == "stop":
            end(world)
        elif then == "rollback":
            world.move("two", action="rollback", known=world.alias)
            world.clear()
        else:
            aliases.delete(world.registry, world.functions, world.alarms, OWNER, "a")
        assert (world.alarms.there, weights(world)) == ({}, {})
        if whole:
            break
        calls += 1
    assert calls >= 5


def guard(world):
    return Guard(
        stack=STACK,
        registry=world.registry,
        functions=world.functions,
        alarms=world.alarms,
        clock=FakeClock(),
    )


def alarm_event(name, state="ALARM"):
    data = EVENT["alarmData"]
    return {
        **EVENT,
        "alarmData": {**data, "alarmName": name, "state": {**data["state"], "value": state}},
    }


def test_the_alarm_ends_the_split(world):
    name = begin(world, limit=5).alarm
    said = guard(world)(alarm_event(name))
    assert f"{OWNER}-a" in said
    assert EVENT["alarmData"]["state"]["reason"] in said
    assert (world.alias.split, world.alias.alarm) == (None, "")
    assert (weights(world), world.alarms.there, world.registry.leases) == ({}, {}, {})
    newest = world.alias.events[0]
    assert (newest.action, newest.by, newest.split) == ("abort", "alarm", ("one", 10))
    # CloudWatch may say it twice.
    assert "already" in guard(world)(alarm_event(name))
    assert world.alias.events[0] == newest


def test_a_late_alarm_ends_no_other_split(world):
    late = begin(world, limit=5).alarm
    world.alarms.there["kept"] = None
    begin(world, to="two", limit=5)
    assert "already" in guard(world)(alarm_event(late))
    assert world.alias.split == ("two", 10)
    assert weights(world) == {"a": ("2", 10)}


def test_what_is_no_alarm_of_ours(world):
    begin(world, limit=5)
    for name in ("other-split-1-a-01234567", f"{STACK}-split-x", ""):
        assert "not an alarm" in guard(world)(alarm_event(name))
    assert "not an alarm" in guard(world)(alarm_event(world.alias.alarm, "OK"))
    assert world.alias.split == ("one", 10)


def test_the_guard_killed_anywhere_is_run_again():
    calls = 0
    while True:
        world = World()
        event = alarm_event(begin(world, limit=5).alarm)
        clock = FakeClock()
        watch = Guard(
            stack=STACK,
            registry=world.registry,
            functions=world.functions,
            alarms=world.alarms,
            clock=clock,
        )
        world.fuse.left = calls
        try:
            watch(event)
            whole = True
        except Killed:
            whole = False
        world.fuse.left = None
        clock.time += LEASE_SECONDS + 1
        watch(event)
        assert (world.alias.split, world.alias.alarm) == (None, "")
        assert (weights(world), world.alarms.there) == ({}, {})
        assert [item.action for item in world.alias.events] == ["abort", "split"]
        if whole:
            break
        calls += 1
    assert calls >= 3


def test_an_alias_with_hyphens_is_found_in_its_alarms_name():
    alias = an_alias(name="my-own-alias")
    name = splits.alarm_name("a-stack", alias)
    assert splits.watched_alias("a-stack", name) == (OWNER, "my-own-alias")
    assert splits.watched_alias("stack", name) is None


@pytest.mark.parametrize(("text", "value"), [("5%", 5), ("0.5", 0.5), (" 12.5 % ", 12.5)])
def test_percentages(text, value):
    assert splits.parse_percent(text) == value


@pytest.mark.parametrize("text", ["", "0", "100", "-1%", "five", "1e1", "nan", "5%%"])
def test_no_percentages(text):
    with pytest.raises(UsageError, match="abort-on-errors"):
        splits.parse_percent(text)
