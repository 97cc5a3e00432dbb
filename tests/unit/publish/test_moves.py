"""Setting and rolling back an alias under the leases, and what a name stands for."""

from __future__ import annotations

import pytest

from fal_serverless.errors import ConflictError, NotFoundError, UsageError
from fal_serverless.publish import lookup, moves
from fal_serverless.publish.state import route_of
from tests.fakes import (
    OWNER,
    Fake,
    FakeAlarms,
    FakeClock,
    FakeFunctions,
    FakeRegistry,
    Fuse,
    a_revision,
)

ONE, TWO, THREE = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2, 3))


@pytest.fixture
def world():
    registry, functions = FakeRegistry(Fuse()), FakeFunctions(Fuse())
    for number, revision in enumerate((ONE, TWO, THREE), 1):
        made = a_revision(revision, str(number), function="fal-g" if revision == THREE else "fal-f")
        registry.add_revision(made, route_of(made))
    functions.live["fal-f"] = Fake(versions={"1": ONE, "2": TWO})
    functions.live["fal-g"] = Fake(versions={"3": THREE})
    return registry, functions, FakeAlarms(Fuse()), FakeClock()


def point(world, revision, **more):
    return moves.point(*world, world[0].revision(OWNER, revision), "a", **{"by": "arn:me", **more})


def test_an_alias_is_made_moved_and_moved_back(world):
    registry, functions, alarms, clock = world
    assert point(world, ONE).auth == "private"
    assert point(world, THREE, auth="public").retiring == "fal-f"
    assert (functions.aliases("fal-f"), functions.aliases("fal-g")) == ({}, {"a": "3"})
    back = moves.roll_back(registry, functions, alarms, clock, OWNER, "a", by="key k")
    assert (back.revision, back.auth) == (ONE, "public")
    assert [(move.revision, move.by) for move in back.history] == [
        (THREE, "rollback"),
        (ONE, "set"),
    ]
    assert [(event.action, event.by, event.revision) for event in back.events] == [
        ("rollback", "key k", ONE),
        ("set", "arn:me", THREE),
        ("set", "arn:me", ONE),
    ]
    assert (functions.aliases("fal-f"), functions.aliases("fal-g")) == ({"a": "1"}, {})
    assert registry.routes[f"{OWNER}-a"].function == "fal-f"
    again = moves.roll_back(registry, functions, alarms, clock, OWNER, "a", by="k", to=TWO)
    assert again.revision == TWO
    assert not registry.leases


def test_what_cannot_be_rolled_back(world):
    with pytest.raises(NotFoundError, match="no alias"):
        moves.roll_back(*world, OWNER, "a", by="k")
    point(world, ONE)
    with pytest.raises(NotFoundError, match="cannot go back"):
        moves.roll_back(*world, OWNER, "a", by="k")
    with pytest.raises(UsageError, match="already"):
        moves.roll_back(*world, OWNER, "a", by="k", to=ONE)
    with pytest.raises(NotFoundError):
        moves.roll_back(*world, "7654321", "a", by="k")


def test_somebody_else_holds_the_function(world):
    registry, _, _, clock = world
    registry.take_lease("fal-f", "another", clock.now() + 1000)
    began = clock.now()
    with pytest.raises(ConflictError, match="somebody else") as caught:
        point(world, ONE, patience=5)
    assert "within 5 s" in caught.value.reason
    assert clock.now() - began < 10
    assert registry.alias(OWNER, "a") is None


def test_going_back_within_a_function_waits_for_nobodys_publish(world):
    registry, functions, _, clock = world
    point(world, ONE)
    point(world, TWO)
    for held in ("fal-f", f"{OWNER}-a"):
        registry.take_lease(held, "a publisher", clock.now() + 1000)
    assert moves.roll_back(*world, OWNER, "a", by="k", patience=0).revision == ONE
    assert functions.aliases("fal-f") == {"a": "1"}


def test_a_move_to_another_function_waits_for_its_publisher(world):
    registry, _, _, clock = world
    point(world, THREE)
    point(world, TWO)
    registry.take_lease("fal-g", "a publisher", clock.now() + 1000)
    with pytest.raises(ConflictError, match="somebody else"):
        moves.roll_back(*world, OWNER, "a", by="k", patience=0)
    assert registry.alias(OWNER, "a").revision == TWO


def test_what_cannot_be_cleared_is_told_and_tried_again(world):
    registry, functions, _alarms, clock = world
    point(world, ONE)
    alias = point(world, TWO)
    registry.update_alias(alias.replace(alarm="x"), expected=alias.token)

    class Refused(FakeAlarms):
        def delete(self, name):
            raise ConflictError("no", reason="not now", hint="wait")

    told = []
    broken = (registry, functions, Refused(Fuse()), clock)
    moved = moves.roll_back(*broken, OWNER, "a", by="k", left=told.append)
    assert (moved.revision, [error.reason for error in told]) == (ONE, ["not now"])
    assert registry.alias(OWNER, "a").alarm == "x"
    moves.roll_back(*world, OWNER, "a", by="k")
    assert registry.alias(OWNER, "a").alarm == ""


def test_what_a_name_stands_for(world):
    registry, _, _, _ = world
    point(world, TWO)
    ids = [item.id for item in lookup.find(registry, OWNER, "f")]
    assert ids == [THREE, TWO, ONE]
    assert [item.id for item in lookup.find(registry, OWNER, "a")] == [TWO]
    assert [item.id for item in lookup.find(registry, OWNER, ONE)] == [ONE]
    for unknown in ("b", "00000000-0000-0000-0000-000000000009"):
        with pytest.raises(NotFoundError):
            lookup.find(registry, OWNER, unknown)
    with pytest.raises(NotFoundError):
        lookup.find_revision(registry, "7654321", ONE)


def test_whose_logs_a_name_stands_for(world):
    registry, _, _, _ = world
    point(world, TWO)
    assert lookup.logged(registry, OWNER, "") == {"fal-f": "", "fal-g": ""}
    assert lookup.logged(registry, OWNER, "f") == {"fal-f": "", "fal-g": ""}
    assert lookup.logged(registry, OWNER, "a") == {"fal-f": "2"}
    assert lookup.logged(registry, OWNER, THREE) == {"fal-g": "3"}
    assert lookup.logged(registry, "7654321", "") == {}
