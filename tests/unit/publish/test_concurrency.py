"""Reserved and provisioned concurrency, and snapshots, in plans and publishes."""

from __future__ import annotations

import dataclasses

import pytest

from fal_serverless import publish
from fal_serverless.errors import AuthError, ConflictError, SpecError
from fal_serverless.publish.state import Storage
from fal_serverless.publish.steps import MoveAlias, Provision, PublishVersion, Reserve, describe
from tests.fakes import FakeFunctions
from tests.unit.publish.test_publish import TARGET, World, a_package

LAYERS, IMAGE = "fal-1234567-f-z", "fal-1234567-f-i"


@pytest.fixture
def world():
    return World()


def plan(world, alias="web", kind="none", **options):
    wanted = publish.want(a_package(kind=kind, **options), TARGET, revision="r", alias=alias)
    return publish.prepare(wanted, world.publisher, TARGET.owner).plan


def reserved(world):
    return {name: live.reserved for name, live in world.functions.live.items()}


def test_reserved_concurrency_comes_and_goes(world):
    world.serve(max_concurrency=5)
    assert reserved(world) == {LAYERS: 5}
    world.serve()
    assert reserved(world) == {LAYERS: None}


def test_a_limit_holds_for_layers_and_images_alike(world):
    world.serve(code="a", max_concurrency=5)
    world.serve(code="b", kind="image", max_concurrency=7)
    assert reserved(world) == {LAYERS: 7, IMAGE: 7}
    world.serve(code="c")
    assert reserved(world) == {LAYERS: None, IMAGE: None}


def test_what_the_account_has_left_is_not_exceeded(world):
    for few in ({"max_concurrency": 900}, {"min_concurrency": 900}):
        assert plan(world, **few)
    with pytest.raises(SpecError, match="cannot be reserved") as caught:
        plan(world, max_concurrency=901)
    assert "has 1000 left" in caught.value.reason
    assert "100 must stay" in caught.value.reason
    with pytest.raises(SpecError, match="cannot be provisioned") as caught:
        plan(world, min_concurrency=901)
    assert "quota" in caught.value.hint


def test_what_is_reserved_for_the_function_already_counts_as_left(world):
    world.serve(max_concurrency=400)
    world.functions.total = 600
    assert plan(world, max_concurrency=500)
    with pytest.raises(SpecError):
        plan(world, max_concurrency=501)


def test_a_limit_counts_twice_where_there_are_layers_and_images(world):
    world.serve(code="a")
    assert plan(world, kind="image", max_concurrency=450)
    with pytest.raises(SpecError, match="cannot be reserved") as caught:
        plan(world, kind="image", max_concurrency=451)
    assert "as much each" in caught.value.reason


def test_an_account_that_does_not_tell_is_left_to_lambda():
    class Silent(FakeFunctions):
        def unreserved(self):
            raise AuthError("no", reason="not allowed", hint="ask")

    world = World()
    world.publisher.functions = Silent(world.fuse)
    assert Reserve(function=LAYERS, count=901) in plan(world, max_concurrency=901)


def test_provisioned_concurrency_needs_an_alias_and_no_split(world):
    with pytest.raises(SpecError, match="needs an alias"):
        world.serve(alias="", min_concurrency=1)
    with pytest.raises(SpecError, match="above max_concurrency"):
        world.serve(min_concurrency=3, max_concurrency=2)
    world.serve(min_concurrency=2)
    assert world.functions.provisioned[LAYERS, "web"] == 2
    assert world.registry.alias(TARGET.owner, "web").min_concurrency == 2
    world.serve()
    assert world.functions.provisioned[LAYERS, "web"] == 0
    alias = world.registry.alias(TARGET.owner, "web")
    split = alias.replace(split=(alias.history[0].revision, 10))
    assert world.registry.update_alias(split, expected=alias.token)
    with pytest.raises(ConflictError, match="splits its requests"):
        plan(world, min_concurrency=1)


def test_a_snapshot_is_waited_for_and_asked_of_lambda(world):
    steps = plan(world, snap_start=True)
    (frozen,) = (step for step in steps if isinstance(step, PublishVersion))
    assert describe(frozen) == f"publish a version of {LAYERS}, and wait for its snapshot"
    assert world.serve(snap_start=True).snap_start
    assert world.functions.live[LAYERS].snap_start
    assert not world.serve().snap_start
    assert not world.functions.live[LAYERS].snap_start


def test_provisioned_environments_go_before_a_version_with_a_snapshot_comes(world):
    world.serve(min_concurrency=2)
    kinds = [type(step) for step in plan(world, snap_start=True)]
    assert kinds.index(Provision) < kinds.index(MoveAlias)
    kinds = [type(step) for step in plan(world)]
    assert kinds.index(Provision) > kinds.index(MoveAlias)


def test_what_has_to_be_an_image_gets_no_snapshot(world):
    with pytest.raises(SpecError, match="snap_start=True cannot be had") as caught:
        plan(world, kind="image", snap_start=True)
    assert "becomes an image (too large)" in caught.value.reason


def test_what_has_persistent_data_gets_no_snapshot():
    storage = Storage(access_point="arn", subnets=("s",), security_groups=("g",))
    target = dataclasses.replace(TARGET, storage=storage)
    assert publish.want(a_package(), target, revision="r")
    with pytest.raises(SpecError, match="snap_start=True cannot be had") as caught:
        publish.want(a_package(snap_start=True), target, revision="r")
    assert "persistent data" in caught.value.reason
