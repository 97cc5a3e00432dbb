"""Environments of called functions that become images: made once, and what they are made of."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fal_serverless.errors import SpecError
from fal_serverless.package import environment
from fal_serverless.package.layer import Layer
from fal_serverless.publish import Target
from fal_serverless.publish.apply import Publisher, Silent
from fal_serverless.remote.environment import HANDLER, ensure, function_name
from fal_serverless.spec import FunctionSpec
from tests.fakes import (
    OWNER,
    FakeAlarms,
    FakeArtifacts,
    FakeClock,
    FakeFunctions,
    FakeImages,
    FakeRegistry,
    Fuse,
)
from tests.support.base import layout, tar_of


class Images(FakeImages):
    def repository(self, place):
        raise AssertionError(f"{place} is asked for nothing")

    def push(self, built, tell):
        super().push(built, tell)
        self.config = built.image.config


@pytest.fixture
def space():
    fuse = Fuse()
    publisher = Publisher(
        artifacts=FakeArtifacts(fuse),
        functions=FakeFunctions(fuse),
        registry=FakeRegistry(fuse),
        clock=FakeClock(),
        alarms=FakeAlarms(fuse),
    )
    return SimpleNamespace(
        fuse=fuse,
        publisher=publisher,
        target=Target(owner=OWNER, stack="s", role="r", images="host/fal"),
        user=OWNER,
        local=False,
        secrets=SimpleNamespace(require=lambda names: None),
        logs=SimpleNamespace(keep=lambda name, days: None),
        outputs=SimpleNamespace(log_days=1),
        images=Images(fuse),
    )


@pytest.mark.network
def test_a_container_is_pushed_once_and_called_by_its_own_handler(space, tmp_path):
    base = layout(tmp_path / "base", tar_of({"etc/base": b"b"}))
    spec = FunctionSpec(name="f", kind="container", base=base)
    name = ensure(spec, space, tmp_path / "cache", folder=tmp_path)
    assert ensure(replace(spec, name="g"), space, tmp_path / "cache", folder=tmp_path) == name
    assert [step.partition(" ")[0] for step in space.fuse.told].count("push") == 1
    (digest,) = space.images.there
    assert f"host/fal@{digest}" in repr(space.publisher.functions.live[name].code)
    assert f'"Cmd":["{HANDLER}"]'.encode() in space.images.config
    # Another base, another environment; the default of the configuration counts as well.
    assert (
        ensure(replace(spec, base=""), space, tmp_path / "cache", folder=tmp_path, base=base)
        == name
    )


def test_the_embedded_stack_refuses_images_before_anything_is_made(space, tmp_path):
    space.local = True
    with pytest.raises(SpecError, match="embedded stack") as caught:
        ensure(FunctionSpec(name="f", kind="container"), space, tmp_path, folder=tmp_path)
    assert "kind='container' asks for one" in caught.value.reason
    assert "LocalHost" in caught.value.hint
    assert space.fuse.told == []


def test_what_is_too_large_for_layers_needs_an_image(tmp_path):
    spec = FunctionSpec(name="f")
    small = environment.needs(spec, cache=tmp_path, progress=Silent())
    assert small.why == ""
    assert len(small.names("a")) == 1
    large = Layer(digest="d", path=tmp_path, size=1, parts={"torch": 300_000_000}, native=True)
    needs = replace(small, layers=(large, *small.layers), why="it is large")
    target = Target(owner=OWNER, stack="s", role="r")
    names = {function_name(spec, target, needs.names(base)) for base in ("", "a", "b")}
    assert len(names) == 3
    assert function_name(spec, target, small.names("a")) == function_name(
        spec, target, small.names("b")
    )
