"""Plans, and what a publish leaves behind wherever it dies."""

from __future__ import annotations

import base64
import dataclasses
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from fal_serverless import publish
from fal_serverless.errors import ConflictError, SpecError
from fal_serverless.publish import aliases, removal
from fal_serverless.publish.apply import Publisher
from fal_serverless.publish.plan import Existing, layer_name, make_plan
from fal_serverless.publish.retention import needed
from fal_serverless.publish.state import LEASE_SECONDS, LiveFunction, Rule
from fal_serverless.publish.steps import describe
from fal_serverless.spec import FunctionSpec
from tests.fakes import (
    FakeAlarms,
    FakeArtifacts,
    FakeClock,
    FakeFunctions,
    FakeImages,
    FakeLogs,
    FakeRegistry,
    Fuse,
    Killed,
)

TARGET = publish.Target(owner="1234567", stack="s", role="arn:role", images="repo", by="arn:me")


class Holding(FakeFunctions):
    """Every function has code of this digest."""

    def __init__(self, fuse, sha256):
        super().__init__(fuse)
        self.sha256 = sha256

    def get(self, function):
        return LiveFunction(name=function, code_sha256=self.sha256, token="t")


class World:
    def __init__(self) -> None:
        self.fuse = Fuse()
        self.registry = FakeRegistry(self.fuse)
        self.functions = FakeFunctions(self.fuse)
        self.alarms = FakeAlarms(self.fuse)
        self.logs = FakeLogs(self.fuse)
        self.clock = FakeClock()
        self.publisher = Publisher(
            artifacts=FakeArtifacts(self.fuse),
            functions=self.functions,
            registry=self.registry,
            alarms=self.alarms,
            clock=self.clock,
            images=FakeImages(self.fuse),
            logs=self.logs,
        )

    def serve(self, name="f", code="a", alias="web", auth=None, rule=None, **options):
        package = a_package(name, code, **options)
        wanted = publish.want(
            package, TARGET, revision=str(uuid.uuid4()), alias=alias, auth=auth, rule=rule
        )
        prepared = publish.prepare(wanted, self.publisher, TARGET.owner)
        return publish.publish(prepared, package, self.publisher, TARGET).revision

    def answer(self, label):
        """The revision that a URL leads to, as the gateway and Lambda would find it."""
        route = self.registry.routes[f"{TARGET.owner}-{label}"]
        live = self.functions.live[route.function]
        version = live.aliases.get(route.qualifier, route.qualifier)
        return live.versions[version]

    def check(self):
        """Every URL leads to a version that exists; revisions lead to themselves."""
        for revision in self.registry.revisions(TARGET.owner):
            assert self.answer(revision.id) == revision.id
        for alias in self.registry.aliases(TARGET.owner):
            self.answer(alias.name)

    def orphans(self):
        kept = {(r.function, r.version) for r in self.registry.revisions(TARGET.owner)}
        named = {(a.function, a.name) for a in self.registry.aliases(TARGET.owner)}
        versions = {(n, v) for n, f in self.functions.live.items() for v in f.versions}
        pointing = {(n, a) for n, f in self.functions.live.items() for a in f.aliases}
        return (versions - kept) | (pointing - named)


def a_package(name="f", code="a", kind="none", **options):
    def artifact(digest):
        return SimpleNamespace(digest=digest, sha256=digest, path=Path(digest), size=10)

    digest = "sha256:" + code * 64
    return SimpleNamespace(
        spec=FunctionSpec(name=name, mode="serve", **options),
        kind=kind,
        image=SimpleNamespace(digest=digest, size=7, base="h/b@sha256:1")
        if kind == "image"
        else None,
        bundle=artifact(code * 64),
        layers=(artifact("e" * 64),),
        lock=None,
        unzipped=100,
        why="too large" if kind == "image" else "",
    )


def kinds(steps):
    return [type(step).__name__ for step in steps]


def test_a_first_plan_and_a_second():
    world = World()
    package = a_package()
    wanted = publish.want(package, TARGET, revision="r", alias="web")
    first = publish.prepare(wanted, world.publisher, TARGET.owner)
    assert kinds(first.plan) == [
        "Upload",
        "PublishLayer",
        "Upload",
        "PutFunction",
        "PublishVersion",
        "RecordRevision",
        "MoveAlias",
    ]
    world.serve()
    second = publish.prepare(
        publish.want(a_package(code="b"), TARGET, revision="r2", alias="web"),
        world.publisher,
        TARGET.owner,
    )
    assert kinds(second.plan) == [
        "Upload",
        "PutFunction",
        "PublishVersion",
        "RecordRevision",
        "MoveAlias",
    ]
    assert all(describe(step) for step in (*first.plan, *second.plan))


def test_code_that_lambda_has_is_not_sent_again():
    package = a_package()
    wanted = publish.want(package, TARGET, revision="r", alias="web")
    assert wanted.bundle is not None
    there = Existing(
        keys=frozenset(),
        layers={layer_name("e" * 64): "arn"},
        function=LiveFunction(
            name=wanted.function, code_sha256=wanted.bundle.code_sha256, token="t"
        ),
        alias=None,
    )
    # Lambda tells digests in base64.
    assert wanted.bundle.code_sha256 == base64.b64encode(b"\xaa" * 32).decode()
    sent = ["Upload", "PutFunction", "PublishVersion", "RecordRevision", "MoveAlias"]
    assert kinds(make_plan(wanted, there)) == sent
    assert kinds(make_plan(wanted, there.replace(current=True))) == sent[1:]


def test_what_is_looked_at_tells_that_lambda_has_the_code():
    world = World()
    world.serve()
    wanted = publish.want(a_package(), TARGET, revision="r", alias="web")
    assert wanted.bundle is not None
    for sha256, current in (("other", False), (wanted.bundle.code_sha256, True)):
        publisher = dataclasses.replace(world.publisher, functions=Holding(world.fuse, sha256))
        assert publish.look(wanted, publisher, TARGET.owner).current is current


def test_revisions_stay_and_the_alias_moves():
    world = World()
    first = world.serve(code="a")
    second = world.serve(code="b")
    assert world.answer("web") == second.id
    assert world.answer(first.id) == first.id
    alias = world.registry.alias(TARGET.owner, "web")
    assert [move.revision for move in alias.history] == [first.id]
    assert world.orphans() == set()


def test_the_same_code_again_is_another_revision():
    world = World()
    assert world.serve().version != world.serve().version


def test_auth_is_kept_unless_it_is_given():
    world = World()
    assert world.serve().auth == "private"
    assert world.serve(auth="public").auth == "public"
    assert world.serve().auth == "public"
    assert world.serve(auth="private").auth == "private"
    assert world.serve(alias="").auth == "private"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_killed_anywhere(elsewhere):
    calls = 0
    while True:
        world = World()
        before = world.serve(name="f", code="a")
        world.fuse.left = calls
        name = "g" if elsewhere else "f"
        try:
            after = world.serve(name=name, code="b")
        except Killed:
            after = None
        world.fuse.left = None
        world.check()
        assert world.answer(before.id) == before.id
        if after is not None:
            break
        world.clock.time += LEASE_SECONDS + 1
        done = world.serve(name=name, code="b")
        world.check()
        assert world.answer("web") == done.id
        assert world.orphans() == set()
        calls += 1
    assert calls >= 8


def test_a_dead_publishers_lease_is_waited_for():
    world = World()
    world.registry.leases["fal-1234567-f-z"] = ("dead", world.clock.time + LEASE_SECONDS)
    began = world.clock.time
    world.serve()
    assert world.clock.time - began >= LEASE_SECONDS


def test_a_lease_that_never_ends_is_an_error():
    world = World()
    world.registry.leases["fal-1234567-f-z"] = ("other", world.clock.time + 1e6)
    with pytest.raises(ConflictError, match="somebody else"):
        world.serve()


def test_an_alias_that_moves_between_functions_leaves_nothing():
    world = World()
    world.serve(name="f", code="a")
    second = world.serve(name="g", code="b")
    assert world.answer("web") == second.id
    assert world.functions.aliases("fal-1234567-f-z") == {}
    assert world.registry.alias(TARGET.owner, "web").retiring == ""


def test_a_package_that_becomes_an_image_keeps_its_urls():
    world = World()
    first = world.serve(code="a")
    second = world.serve(code="b", kind="image")
    assert (first.function, second.function) == ("fal-1234567-f-z", "fal-1234567-f-i")
    assert second.image == "sha256:" + "b" * 64
    assert second.base == "h/b@sha256:1"
    assert world.publisher.images.there == {second.image}
    assert world.answer("web") == second.id
    assert world.answer(first.id) == first.id
    code = world.functions.live[second.function].code
    assert "repo@sha256:" + "b" * 64 in code
    third = world.serve(code="a")
    assert world.answer("web") == third.id
    world.check()
    assert world.orphans() == set()


def test_an_image_that_is_there_is_not_pushed_again():
    world = World()
    world.serve(code="a", kind="image")
    package = a_package("f", "a", "image")
    wanted = publish.want(package, TARGET, revision=str(uuid.uuid4()), alias="web")
    steps = publish.prepare(wanted, world.publisher, TARGET.owner).plan
    assert describe(steps[0]) == "update Lambda function fal-1234567-f-i"
    wanted = publish.want(a_package("f", "b", "image"), TARGET, revision="r", alias="web")
    steps = publish.prepare(wanted, world.publisher, TARGET.owner).plan
    assert describe(steps[0]).startswith("push image sha256:bbbbbbbbbbbb")


def test_a_used_revision_is_not_deleted():
    world = World()
    first = world.serve(code="a")
    second = world.serve(code="b")
    with pytest.raises(ConflictError, match="in use"):
        removal.delete_revisions(world.registry, world.functions, (first, second))
    assert len(world.registry.revisions(TARGET.owner)) == 2
    removal.delete_revisions(world.registry, world.functions, (first,))
    assert world.functions.versions(first.function) == (second.version,)
    aliases.delete(world.registry, world.functions, world.alarms, TARGET.owner, "web")
    removal.delete_revisions(world.registry, world.functions, (second,))
    assert world.functions.live == {}
    assert world.registry.routes == {}


RULE = Rule(owner=TARGET.owner, name="f", keep=2)


def test_old_revisions_go_after_a_publish():
    world = World()
    made = [world.serve(code=code) for code in "abcd"]
    assert len(world.registry.revisions(TARGET.owner)) == 4
    last = world.serve(code="e", rule=RULE)
    left = {item.id for item in world.registry.revisions(TARGET.owner)}
    # The two newest; the alias would go back to the fourth, which is one of them.
    assert left == {made[3].id, last.id}
    assert world.registry.rule(TARGET.owner, "f") == RULE
    again = world.serve(code="a")
    assert {item.id for item in world.registry.revisions(TARGET.owner)} == {last.id, again.id}
    world.check()
    assert world.orphans() == set()


def test_the_plan_names_what_will_go():
    world = World()
    made = [world.serve(code=code) for code in "abc"]
    world.registry.put_rule(RULE)
    wanted = publish.want(a_package("f", "d"), TARGET, revision="new", alias="web")
    step = publish.prepare(wanted, world.publisher, TARGET.owner).plan[-1]
    assert step.revisions == (made[0].id, made[1].id)
    assert describe(step) == f"delete 2 old revisions of f: {made[0].id}, {made[1].id}"
    elsewhere = publish.want(a_package("f", "d"), TARGET, revision="new", alias="other")
    step = publish.prepare(elsewhere, world.publisher, TARGET.owner).plan[-1]
    # The alias "web" stays at the third, and would go back to the second.
    assert step.revisions == (made[0].id,)
    assert len(world.registry.revisions(TARGET.owner)) == 3
    nothing = publish.want(a_package("g", "d"), TARGET, revision="new", alias="web")
    assert "Prune" not in kinds(publish.prepare(nothing, world.publisher, TARGET.owner).plan)


def test_old_revisions_of_both_lambda_functions_go_and_the_empty_one_with_them():
    world = World()
    first = world.serve(code="a")
    for code in "bcd":
        last = world.serve(code=code, kind="image", rule=RULE)
    assert first.function not in world.functions.live
    assert world.logs.deleted == [first.function]
    assert len(world.publisher.images.there) == 2
    assert world.answer("web") == last.id
    world.check()


def test_a_publish_whose_pruning_fails_is_live_and_says_so():
    world = World()
    for code in "abc":
        world.serve(code=code)
    package = a_package("f", "d")
    revision = str(uuid.uuid4())
    wanted = publish.want(package, TARGET, revision=revision, alias="web", rule=RULE)
    prepared = publish.prepare(wanted, world.publisher, TARGET.owner)
    world.functions.undeletable = True
    outcome = publish.publish(prepared, package, world.publisher, TARGET)
    assert world.answer("web") == revision
    (note,) = outcome.notes
    assert "in use by another" in note
    world.functions.undeletable = False
    world.serve(code="e")
    assert len(world.registry.revisions(TARGET.owner)) == 2
    assert world.orphans() == set()


def test_killed_while_old_revisions_go():
    calls = 0
    while True:
        world = World()
        for code in "abc":
            world.serve(code=code)
        world.fuse.left = calls
        try:
            world.serve(code="d", rule=RULE)
            whole = True
        except Killed:
            whole = False
        world.fuse.left = None
        world.check()
        world.clock.time += LEASE_SECONDS + 1
        world.serve(code="e", rule=RULE)
        world.check()
        left = world.registry.revisions(TARGET.owner)
        newest = {item.id for item in left[:2]}
        # One that was published and that the alias never reached lies between two that are needed.
        assert {i.id for i in left} == newest | needed(
            left, world.registry.aliases(TARGET.owner), ()
        )
        assert len(left) <= 3
        assert world.orphans() == set()
        if whole:
            break
        calls += 1
    assert calls >= 10


def test_a_large_environment_is_refused():
    world = World()
    with pytest.raises(SpecError, match="too large"):
        world.serve(environment_variables=(("A", "x" * 5000),))
