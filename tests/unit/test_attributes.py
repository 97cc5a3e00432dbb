"""Attribute values as boto3's own classes write and read them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from fal_serverless.aws.attributes import attribute, plain

VALUES = (
    None,
    True,
    False,
    "",
    "é",
    0,
    -(10**20),
    Decimal("1.5"),
    Decimal("1E+3"),
    [],
    ["a", ["b", {"c": None}], 1],
    {"m": {"n": [False]}, "": 2},
)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_both_ways_as_boto3(value):
    written = TypeSerializer().serialize(value)
    assert attribute(value) == written
    found = plain(written)
    assert found == TypeDeserializer().deserialize(written) == value
    assert type(found) is type(TypeDeserializer().deserialize(written))


@pytest.mark.parametrize("value", [1.5, {1, 2}, b"x", object()], ids=lambda v: type(v).__name__)
def test_what_is_not_stored(value):
    with pytest.raises(TypeError):
        attribute(value)


def test_what_is_not_read():
    with pytest.raises(TypeError, match="SS"):
        plain({"SS": ["a"]})
