"""Rolling back: where to, by how many calls, and against whoever else moves the alias."""

from __future__ import annotations

import pytest

from fal_serverless.errors import ConflictError, NotFoundError, UsageError
from fal_serverless.publish import aliases, removal
from fal_serverless.publish.state import EVENTS_MAX, Alias, Event, Move, route_of
from tests.fakes import OWNER, Fake, FakeAlarms, FakeFunctions, FakeRegistry, Fuse, a_revision


def an_alias(**changes):
    alias = Alias(
        name="a",
        owner=OWNER,
        revision="three",
        function="fal-f",
        auth="public",
        moved_at="now",
        token="t",
        history=(Move(revision="two", at="then"), Move(revision="one", at="before")),
    )
    return alias.replace(**changes)


REVISIONS = {name: a_revision(name, number) for name, number in (("one", "1"), ("two", "2"))}
REVISIONS["three"] = a_revision("three", "3")
REVISIONS["other"] = a_revision("other", "1", function="fal-g")


class World:
    def __init__(self, alias=None):
        self.fuse = Fuse()
        self.registry, self.functions = FakeRegistry(self.fuse), FakeFunctions(self.fuse)
        self.alarms = FakeAlarms(self.fuse)
        versions = {"1": "one", "2": "two", "3": "three"}
        self.functions.live["fal-f"] = Fake(versions=versions, aliases={"a": "3"})
        self.functions.live["fal-g"] = Fake(versions={"1": "other"})
        for item in REVISIONS.values():
            self.registry.add_revision(item, aliases.alias_route(an_alias(), item))
        first = alias or an_alias()
        route = aliases.alias_route(first, REVISIONS["three"])
        assert self.registry.put_alias(first, route, expected=None)
        self.fuse.told.clear()

    @property
    def alias(self):
        return self.registry.alias(OWNER, "a")

    def move(self, to, *, action="set", known=None, **more):
        arguments = {"auth": None, "now": "later", "by": "arn:me", **more}
        return aliases.move(
            self.registry,
            self.functions,
            REVISIONS[to],
            "a",
            action=action,
            known=known,
            **arguments,
        )

    def clear(self):
        aliases.clear(self.registry, self.functions, self.alarms, self.alias)


@pytest.fixture
def world():
    return World()


def test_a_rollback_leads_to_the_last_one_that_still_exists():
    assert aliases.former(an_alias(), frozenset({"one", "two", "three"})) == "two"
    assert aliases.former(an_alias(), frozenset({"one", "three"})) == "one"
    assert aliases.former(an_alias(), frozenset({"one", "two", "four"}), "four") == "four"


@pytest.mark.parametrize(
    ("kept", "to", "error"),
    [
        ({"three"}, "", NotFoundError),
        ({"three"}, "two", NotFoundError),
        ({"three"}, "three", UsageError),
    ],
)
def test_a_rollback_that_cannot_be(kept, to, error):
    with pytest.raises(error):
        aliases.former(an_alias(), frozenset(kept), to)


def test_a_rollback_reads_on_where_a_former_revision_is_gone(world):
    assert aliases.rollback_target(world.registry, world.alias).id == "two"
    world.registry.delete_revision(OWNER, "two")
    assert aliases.rollback_target(world.registry, world.alias).id == "one"
    assert aliases.rollback_target(world.registry, world.alias, "other").id == "other"
    with pytest.raises(NotFoundError, match="cannot go back"):
        aliases.rollback_target(world.registry, world.alias, "two")


def test_a_move_is_remembered_with_who_made_it(world):
    moved = world.move("two", action="rollback", known=world.alias)
    assert moved.events == (Event(at="later", action="rollback", by="arn:me", revision="two"),)
    assert [item.revision for item in moved.history] == ["three", "two", "one"]
    assert (moved.auth, world.functions.live["fal-f"].aliases["a"]) == ("public", "2")
    assert world.fuse.told == ["put alias", "record alias"]


def test_an_alias_forgets_its_oldest_events(world):
    for _ in range(EVENTS_MAX + 5):
        world.move("two", known=world.alias)
    assert len(world.alias.events) == EVENTS_MAX


def test_a_move_that_loses_the_record_moves_again(world):
    stale = world.alias
    world.registry.touch(OWNER, "a")
    world.move("two", known=stale)
    assert (world.alias.revision, world.functions.live["fal-f"].aliases["a"]) == ("two", "2")
    assert world.fuse.told.count("put alias") == 2


def test_a_rollback_makes_no_alias_that_was_deleted_meanwhile(world):
    known = world.alias
    aliases.delete(world.registry, world.functions, world.alarms, OWNER, "a")
    with pytest.raises(NotFoundError, match="There is no alias"):
        world.move("two", known=known)
    assert world.functions.live["fal-f"].aliases == {}


@pytest.mark.parametrize("split", [None, ("one", 10)])
def test_a_move_to_a_revision_that_is_deleted_meanwhile_is_undone(split):
    world = World(an_alias(split=split))
    world.registry.delete_revision(OWNER, "two")
    with pytest.raises(NotFoundError, match="was not moved"):
        world.move("two", known=world.alias)
    live = world.functions.live["fal-f"]
    assert (world.alias.revision, live.aliases["a"]) == ("three", "3")
    assert live.weights == ({"a": ("1", 10)} if split else {})


def test_what_a_move_leaves_is_named_until_it_is_gone():
    world = World(an_alias(split=("one", 10), alarm="s-split-1-a-0", abort_on_errors=5))
    world.alarms.there["s-split-1-a-0"] = None
    moved = world.move("other", known=world.alias)
    assert (moved.split, moved.abort_on_errors) == (None, None)
    assert (moved.alarm, moved.retiring) == ("s-split-1-a-0", "fal-f")
    world.clear()
    assert (world.alias.alarm, world.alias.retiring) == ("", "")
    assert (world.alarms.there, world.functions.live["fal-f"].aliases) == ({}, {})
    world.fuse.told.clear()
    world.clear()
    assert world.fuse.told == []


def test_provisioned_environments_stay_with_the_lambda_alias():
    world = World(an_alias(min_concurrency=2))
    assert world.move("two", known=world.alias).min_concurrency == 2
    assert world.move("one", min_concurrency=3).min_concurrency == 3
    assert world.move("other").min_concurrency == 0


def test_an_alias_goes_with_its_alarm():
    world = World(an_alias(split=("one", 10), alarm="x", abort_on_errors=5))
    world.alarms.there["x"] = None
    aliases.delete(world.registry, world.functions, world.alarms, OWNER, "a")
    assert (world.alias, world.alarms.there) == (None, {})


def test_an_alias_that_never_settles_is_an_error(world):
    put = world.registry.put_alias

    class Restless(FakeRegistry):
        def put_alias(self, alias, route, *, expected):
            self.touch(OWNER, "a")
            return put(alias, route, expected=expected)

    restless = Restless(world.fuse)
    restless.__dict__.update(world.registry.__dict__)
    world.registry = restless
    with pytest.raises(ConflictError, match="could not be moved"):
        world.move("two", known=world.alias)


def test_revisions_in_use_are_refused_with_every_alias(world):
    again = an_alias(name="b", revision="one", split=("two", 10))
    assert world.registry.put_alias(
        again, aliases.alias_route(again, REVISIONS["one"]), expected=None
    )
    doomed = (REVISIONS["two"], REVISIONS["three"])
    with pytest.raises(ConflictError) as refused:
        removal.delete_revisions(world.registry, world.functions, doomed)
    assert refused.value.reason == "alias 'a' points at 'three', alias 'b' points at 'two'"


def test_a_rollback_between_looking_and_deleting_keeps_its_revision(world):
    class Rolling(FakeRegistry):
        def delete_revision(self, owner, revision):
            if revision == "one":
                world.registry = self
                world.move("two", action="rollback")
            super().delete_revision(owner, revision)

    rolling = Rolling(world.fuse)
    rolling.__dict__.update(world.registry.__dict__)
    with pytest.raises(ConflictError, match="'two' is in use"):
        removal.delete_revisions(rolling, world.functions, (REVISIONS["one"], REVISIONS["two"]))
    assert rolling.revision(OWNER, "two") == REVISIONS["two"]
    assert rolling.routes[f"{OWNER}-two"] == route_of(REVISIONS["two"])
    assert rolling.revision(OWNER, "one") is None
    assert set(world.functions.live["fal-f"].versions) == {"2", "3"}
