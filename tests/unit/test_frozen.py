"""Frozen values behave as frozen dataclasses do, and count as such."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle

import pytest

from fal_serverless import ContainerImage, FalServerlessKeyCredentials, LambdaHost, LocalHost
from fal_serverless.frozen import Frozen
from fal_serverless.spec import Environment, FunctionSpec


class Point(Frozen):
    """Ours."""

    x: int
    y: int = 0


@dataclasses.dataclass(frozen=True)
class Model:
    """What it is to behave like."""

    x: int
    y: int = 0


@pytest.mark.parametrize("arguments", [(1,), (1, 2), (2, 1)])
def test_values_behave_as_those_of_a_dataclass(arguments):
    ours, model = Point(*arguments), Model(*arguments)
    assert repr(ours) == repr(model).replace("Model", "Point")
    assert hash(ours) == hash(model)
    assert dataclasses.asdict(ours) == dataclasses.asdict(model)
    assert dataclasses.astuple(ours) == dataclasses.astuple(model)
    assert ours == Point(*arguments) != Point(9, 9)
    assert ours != model
    assert ours.replace(y=7) == dataclasses.replace(ours, y=7) == Point(ours.x, 7)
    for again in (pickle.loads(pickle.dumps(ours)), copy.copy(ours), copy.deepcopy(ours)):
        assert again == ours
    match ours:
        case Point(x, y):
            assert (x, y) == (ours.x, ours.y)


def test_classes_behave_as_dataclasses():
    assert inspect.signature(Point) == inspect.signature(Model)
    assert dataclasses.is_dataclass(Point)
    shown = [[(f.name, f.type, f.default) for f in dataclasses.fields(c)] for c in (Point, Model)]
    assert shown[0] == shown[1]


@pytest.mark.parametrize("arguments", [{}, {"z": 1}, {"x": 1, "z": 1}])
def test_what_a_dataclass_refuses_is_refused_in_its_words(arguments):
    with pytest.raises(TypeError) as ours:
        Point(**arguments)
    with pytest.raises(TypeError) as model:
        Model(**arguments)
    assert str(ours.value) == str(model.value).replace("Model", "Point")


@pytest.mark.parametrize(
    "value",
    [
        LambdaHost(region="eu-central-1"),
        LocalHost(),
        ContainerImage(base="python:3.12"),
        FalServerlessKeyCredentials(key_id="a", key_secret="b"),
        FunctionSpec(name="f", environment=Environment(requirements=("numpy",))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_is_changed(value):
    name = next(iter(dataclasses.asdict(value)), "url")
    with pytest.raises(AttributeError):
        setattr(value, name, "other")
    with pytest.raises(AttributeError):
        delattr(value, name)
    assert pickle.loads(pickle.dumps(value)) == value == dataclasses.replace(value)


def test_keywords_alone_where_it_says_so():
    with pytest.raises(TypeError, match="positional"):
        Environment(("numpy",))
    assert LambdaHost("https://api.example.org").url == "https://api.example.org"
