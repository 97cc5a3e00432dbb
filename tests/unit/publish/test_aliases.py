"""Rolling back and splitting."""

from __future__ import annotations

import pytest

from fal_serverless.errors import ConflictError, NotFoundError, UsageError
from fal_serverless.publish import aliases
from fal_serverless.publish.state import Alias, Move
from tests.fakes import OWNER, Fake, FakeFunctions, FakeRegistry, Fuse, a_revision


def an_alias(**changes):
    alias = Alias(
        name="a",
        owner=OWNER,
        revision="three",
        function="fal-f",
        auth="private",
        moved_at="now",
        token="t",
        history=(Move(revision="two", at="then"), Move(revision="one", at="before")),
    )
    return alias.replace(**changes)


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


@pytest.fixture
def world():
    fuse = Fuse()
    registry, functions = FakeRegistry(fuse), FakeFunctions(fuse)
    functions.live["fal-f"] = Fake(versions={"1": (), "3": ()}, aliases={"a": "3"})
    alias = an_alias()
    assert registry.put_alias(alias, aliases.alias_route(alias, a_revision("three")), expected=None)
    return registry, functions, registry.alias(OWNER, "a")


def test_a_split_begins_and_ends(world):
    registry, functions, alias = world
    after = aliases.split(
        registry, functions, alias, (a_revision("one"), 10), version="3", now="later"
    )
    assert after.split == ("one", 10)
    assert registry.alias(OWNER, "a").split == ("one", 10)
    assert aliases.split(registry, functions, after, None, version="3", now="last").split is None


@pytest.mark.parametrize("percent", [0, 100, -1])
def test_a_percentage_that_cannot_be(world, percent):
    registry, functions, alias = world
    with pytest.raises(UsageError, match="cannot send"):
        aliases.split(registry, functions, alias, (a_revision("one"), percent), version="3", now="")


def test_splits_that_lambda_does_not_have(world):
    registry, functions, alias = world
    for other, error in (
        (a_revision("three"), UsageError),
        (a_revision("one", function="fal-g"), UsageError),
    ):
        with pytest.raises(error):
            aliases.split(registry, functions, alias, (other, 10), version="3", now="")
    kept_warm = alias.replace(min_concurrency=1)
    with pytest.raises(ConflictError, match="cannot be split"):
        aliases.split(registry, functions, kept_warm, (a_revision("one"), 10), version="3", now="")


def test_a_split_of_an_alias_that_moved_meanwhile(world):
    registry, functions, alias = world
    stale = alias.replace(token="stale")
    with pytest.raises(ConflictError, match="somebody else"):
        aliases.split(registry, functions, stale, (a_revision("one"), 10), version="3", now="")
