"""Schedules: what they need, and what is left wherever a command over one dies."""

from __future__ import annotations

import uuid

import pytest

from fal_serverless.errors import ConflictError, NotFoundError, SpecError, UsageError
from fal_serverless.publish import aliases, removal, schedules
from fal_serverless.publish.retention import dispensable, needed
from fal_serverless.publish.state import route_of
from fal_serverless.spec import FunctionSpec
from tests.fakes import (
    OWNER,
    Fake,
    FakeFunctions,
    FakeRegistry,
    FakeScheduler,
    Fuse,
    Killed,
    a_revision,
)

EITHER = "0 0 13 * FRI"


class World:
    def __init__(self) -> None:
        self.fuse = Fuse()
        self.registry = FakeRegistry(self.fuse)
        self.scheduler = FakeScheduler(self.fuse)
        self.functions = FakeFunctions(self.fuse)
        self.functions.live["fal-f"] = Fake()
        self.count = 0

    def publish(self, revision):
        """What publishing does, as far as schedules see it."""
        self.count += 1
        made = a_revision(revision, version=str(self.count))
        self.fuse.step("publish version")
        self.functions.live["fal-f"].versions[made.version] = made.id
        self.registry.add_revision(made, None)
        return made

    def schedule(self, expression=EITHER, name="f"):
        revision = str(uuid.uuid4())
        begun, _ = schedules.begin(self.registry, OWNER, name, expression, revision, "now")
        made = self.publish(revision)
        return schedules.finish(self.registry, self.scheduler, begun, made, "later")

    def cancel(self):
        for item in self.registry.schedules(OWNER):
            schedules.cancel(self.registry, self.scheduler, item)

    def prune(self):
        """Whatever nothing needs goes, as ``function prune --keep 0`` does it."""
        revisions = self.registry.revisions(OWNER)
        kept = needed(revisions, (), self.registry.schedules(OWNER))
        doomed = dispensable(revisions, kept, keep=0, older_than=0, now=2e9)
        removal.delete_revisions(self.registry, self.functions, doomed)

    def check(self):
        """What fires is known to the registry, and calls a version that exists."""
        records = self.registry.schedules(OWNER)
        known = {name for item in records for name in schedules.rule_names(item)}
        assert set(self.scheduler.firing) <= known
        for _, target, event in self.scheduler.firing.values():
            assert target.rpartition(":")[2] in self.functions.live["fal-f"].versions
            assert event["fal"]["cron"]["schedule"] in {item.id for item in records}
        for item in records:
            if item.state == "active":
                assert set(schedules.rule_names(item)) <= set(self.scheduler.firing)


def test_a_schedule_of_either_day_is_two_rules_and_one_record():
    world = World()
    made = world.schedule()
    assert world.registry.schedules(OWNER) == (made,)
    assert made.state == "active"
    by_day, by_weekday = sorted(world.scheduler.firing)
    assert by_day == f"{OWNER}-{made.id}-d"
    assert len(by_weekday) <= 64
    expression, target, event = world.scheduler.firing[by_weekday]
    assert (expression, target) == ("cron(0 0 ? * FRI *)", "arn:fal-f:1")
    assert event["fal"]["cron"] == {
        "schedule": made.id,
        "scheduled_at": "<aws.scheduler.scheduled-time>",
        "execution": "<aws.scheduler.execution-id>",
        "except_days": [13],
    }


def test_the_same_times_move_the_schedule_and_others_make_one_more():
    world = World()
    first = world.schedule("0 9 * * 1-5")
    second = world.schedule("0 9 * * MON-FRI")
    assert second.id == first.id
    assert second.revision != first.revision
    assert [target for _, target, _ in world.scheduler.firing.values()] == ["arn:fal-f:2"]
    third = world.schedule("0 12 * * 0,6")
    assert third.id != first.id
    assert world.schedule("0 9 * * 1-5", name="g").id not in (first.id, third.id)
    world.check()


@pytest.mark.parametrize("moving", [False, True])
def test_killed_anywhere(moving):
    calls = 0
    while True:
        world = World()
        if moving:
            world.schedule()
        world.fuse.left = calls
        try:
            done = world.schedule()
        except Killed:
            done = None
        world.fuse.left = None
        world.check()
        if done is not None:
            break
        world.prune()
        world.check()
        done = world.schedule()
        world.check()
        assert world.registry.schedules(OWNER) == (done,)
        assert done.state == "active"
        world.prune()
        assert [item.id for item in world.registry.revisions(OWNER)] == [done.revision]
        calls += 1
    assert calls == 7


def test_a_cancellation_killed_anywhere_is_finished_by_the_next():
    calls = 0
    while True:
        world = World()
        made = world.schedule()
        world.fuse.left = calls
        try:
            world.cancel()
            over = True
        except Killed:
            over = False
        world.fuse.left = None
        if over:
            break
        (left,) = world.registry.schedules(OWNER)
        assert left.state == ("cancelling" if calls else "active")
        world.cancel()
        assert world.scheduler.firing == {}
        assert world.registry.schedules(OWNER) == ()
        assert world.registry.revision(OWNER, made.revision)
        calls += 1
    assert calls == 4


def test_what_could_not_be_published_leaves_things_as_they_were():
    world = World()
    for _ in range(2):
        before_it = world.registry.schedules(OWNER)
        begun, before = schedules.begin(world.registry, OWNER, "f", EITHER, "never", "now")
        assert begun.state == "unfinished"
        schedules.withdraw(world.registry, begun, before)
        assert world.registry.schedules(OWNER) == before_it
        world.schedule()


def test_a_scheduled_revision_is_neither_deleted_nor_pruned():
    world = World()
    made = world.schedule()
    revision = world.registry.revision(OWNER, made.revision)
    with pytest.raises(ConflictError, match="in use") as caught:
        removal.delete_revisions(world.registry, world.functions, (revision,))
    assert made.id in caught.value.reason
    assert caught.value.hint.endswith(f"fal-serverless cron cancel {made.id}")
    world.prune()
    assert world.registry.revisions(OWNER) == (revision,)
    world.cancel()
    world.prune()
    assert world.registry.revisions(OWNER) == ()


def test_what_only_schedules_run_gets_no_url():
    revision = a_revision("r", mode="call")
    assert route_of(revision) is None
    assert route_of(a_revision("r")).label == "r"
    world = World()
    with pytest.raises(UsageError, match="cannot have a URL"):
        aliases.move(
            world.registry,
            world.functions,
            revision,
            "a",
            auth="private",
            now="now",
            action="set",
            by="me",
        )
    assert world.registry.aliases(OWNER) == ()


def test_an_unknown_schedule_names_the_nearest():
    world = World()
    with pytest.raises(NotFoundError, match="no schedule") as caught:
        schedules.find(world.registry, OWNER, "x")
    assert "function schedule" in caught.value.hint
    made = world.schedule()
    with pytest.raises(NotFoundError) as caught:
        schedules.find(world.registry, OWNER, made.id[:-1] + "x")
    assert made.id in caught.value.hint
    assert schedules.find(world.registry, OWNER, made.id) == made


def plain():
    return 1


def defaults(a=1, *rest, b=2, **more):
    return a, b, rest, more


async def waits(a=1):
    return a


def yields():
    yield 1


async def yields_later():
    yield 1


def takes(a, b=1, *, c):
    return a, b, c


@pytest.mark.parametrize("function", [plain, defaults, waits])
@pytest.mark.parametrize("mode", ["call", "serve"])
def test_what_runs_by_itself_can_be_scheduled(function, mode):
    schedules.check_schedulable(function, FunctionSpec(name="f", mode=mode))


@pytest.mark.parametrize(
    ("function", "options", "reason"),
    [
        (takes, {}, "needs a, c"),
        (yields, {}, "nobody takes"),
        (yields_later, {"mode": "serve"}, "nobody takes"),
        (plain, {"mode": "port"}, "exposed_port"),
        (plain, {"mode": "serve", "min_concurrency": 1}, "ready for an alias"),
    ],
)
def test_what_does_not_is_refused(function, options, reason):
    with pytest.raises(SpecError, match="cannot be scheduled") as caught:
        schedules.check_schedulable(function, FunctionSpec(name="f", **options))
    assert reason in caught.value.reason
