"""Reserved and provisioned concurrency and snapshots, on the embedded stack."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TEXT = """
import random
from fal_serverless import isolated

LOADED = random.random()

@isolated(serve=True, {})
def bounded() -> float:
    return LOADED
"""


@pytest.fixture
def write(tmp_path):
    def written(options: str) -> str:
        file = tmp_path / "mine.py"
        file.write_text(TEXT.format(options), encoding="utf-8")
        return str(file)

    return written


def test_concurrency_is_set_shown_and_refused(stack: Stack, write):
    words = ("bounded", "--alias", "bounded", "--auth", "public")
    first = stack.serve(write("max_concurrency=3, min_concurrency=1"), *words)
    listed = stack.run("alias", "list", "--json").json()["aliases"]
    (mine,) = (item for item in listed if item["alias"] == "bounded")
    assert (mine["max_concurrency"], mine["min_concurrency"]) == (3, 1)
    assert stack.call("bounded", body={}).status == 200
    second = stack.serve(write("max_concurrency=3, min_concurrency=1"), *words)
    split = stack.run("alias", "split", "bounded", f"{first['revision']}=10", ok=False)
    assert (split.status, split.errors.count("\n")) == (5, 3)
    assert "provisioned concurrency" in split.errors
    for option in ("max_concurrency=100000", "min_concurrency=100000"):
        refused = stack.run("function", "serve", write(option), *words, ok=False)
        *_, what, why, next_step = refused.errors.splitlines()
        assert refused.status == 2
        assert option in what
        assert "100 must stay unreserved" in why
        assert "quota" in next_step
    assert stack.call("bounded", body={}).header("x-fal-revision") == second["revision"]
    stack.run("alias", "rollback", "bounded")
    listed = stack.run("alias", "list", "--json").json()["aliases"]
    (mine,) = (item for item in listed if item["alias"] == "bounded")
    assert (mine["revision"], mine["min_concurrency"]) == (first["revision"], 1)


def test_a_snapshot_is_waited_for_or_refused(stack: Stack, write):
    words = ("bounded", "--alias", "snapped", "--auth", "public")
    if sys.version_info < (3, 12):
        refused = stack.run("function", "serve", write("snap_start=True"), *words, ok=False)
        assert refused.status == 2
        assert "snap_start=True cannot be had" in refused.errors
        assert "Python 3.12" in refused.errors
        return
    served = stack.serve(write("snap_start=True"), *words)
    assert any("wait for its snapshot" in step["step"] for step in served["steps"])
    answer = stack.call("snapped", body={})
    assert (answer.status, answer.header("x-fal-revision")) == (200, served["revision"])
    assert stack.run("function", "show", "snapped", "--json").json()["snap_start"]
    refused = stack.run(
        "function", "serve", write("snap_start=True, min_concurrency=1"), *words, ok=False
    )
    assert "min_concurrency" in refused.errors
    plain = stack.serve(write("max_concurrency=2"), *words)
    assert not any("snapshot" in step["step"] for step in plain["steps"])
    assert stack.call("snapped", body={}).header("x-fal-revision") == plain["revision"]
