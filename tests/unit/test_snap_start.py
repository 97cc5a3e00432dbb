"""What SnapStart excludes, each refused with a reason."""

from __future__ import annotations

import sys

import pytest

from fal_serverless.errors import SpecError
from fal_serverless.spec import Environment, FunctionSpec, build_spec, check_snap_start


def a_spec(python="3.12", **changes):
    return FunctionSpec(
        name="f", environment=Environment(python=python), snap_start=True, **changes
    )


@pytest.mark.parametrize("python", ["3.12", "3.13", "3.14"])
def test_pythons_that_lambda_takes_snapshots_of(python):
    check_snap_start(a_spec(python, ephemeral_storage=512))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (a_spec("3.11"), "this is 3.11"),
        (a_spec(min_concurrency=1), "provisioned concurrency"),
        (a_spec(ephemeral_storage=513), "ephemeral_storage is 513"),
        (a_spec(kind="container"), "container images"),
    ],
)
def test_what_excludes_a_snapshot(spec, words):
    with pytest.raises(SpecError, match="snap_start=True cannot be had") as caught:
        check_snap_start(spec)
    assert words in caught.value.reason
    assert caught.value.hint


def test_the_option():
    assert not build_spec("f", {}).snap_start
    with pytest.raises(SpecError, match="snap_start cannot be 'yes'"):
        build_spec("f", {"snap_start": "yes"})
    if sys.version_info >= (3, 12):
        assert build_spec("f", {"snap_start": True, "serve": True}).snap_start
    else:
        with pytest.raises(SpecError, match="cannot be had"):
            build_spec("f", {"snap_start": True, "serve": True})
