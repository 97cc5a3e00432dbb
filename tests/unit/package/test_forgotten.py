"""Modules that a function uses and that its requirements do not bring."""

from __future__ import annotations

import itertools

import pytest

from fal_serverless.discover import discover
from fal_serverless.package.forgotten import Used, forgotten
from fal_serverless.package.pickling import dump

FILE = """
from __future__ import annotations

from typing import TYPE_CHECKING

import flask
import helper_of_forgotten
import yaml

from fal_serverless import cached, isolated

if TYPE_CHECKING:
    import moto


@isolated(serve=True)
def plain(text: str) -> moto.Nothing:
    return text


@isolated(serve=True)
def top():
    return flask.jsonify(yaml.dump(1))


@cached
def load():
    return yaml.dump


@isolated(serve=True)
def through():
    return load()(helper_of_forgotten.f())


@isolated(serve=True)
def inside():
    import json

    import boto3
    import httpx.something
    from . import nothing

    def deeper():
        from moto.core import models

        return models

    class Holder:
        import cryptography

    return deeper, Holder


@isolated(serve=True)
def optional():
    import contextlib
    import typing

    try:
        import yaml
    except (ImportError, ValueError):
        import flask as yaml
    with contextlib.suppress(ModuleNotFoundError):
        import httpx
    if typing.TYPE_CHECKING:
        import moto
    else:
        import not_installed_anywhere
    return yaml, httpx


@isolated(serve=True)
def late():
    import later_of_forgotten

    return later_of_forgotten


@isolated(serve=True)
def tried():
    try:
        import trustme
    finally:
        pass


@isolated(serve=True)
def instance(value=yaml.YAMLError()):
    return value
"""
HELPER = """
import httpx

def f():
    return httpx.get("x")
"""
LATER = """
import yaml

def g():
    import flask
"""
COUNT = itertools.count()


@pytest.fixture
def missed(tmp_path):
    # Modules stay loaded from one test to the next.
    tag = f"of_forgotten_{next(COUNT)}"
    for name, text in (("model", FILE), ("helper", HELPER), ("later", LATER)):
        text = text.replace("of_forgotten", tag)
        (tmp_path / f"{name}_{tag}.py").write_text(text)

    def of(name, *locked):
        found = discover(tmp_path / f"model_{tag}.py", name)
        used = Used()
        function = found.function
        dump(function.function, function.setup_function, found.modules, folder=tmp_path, used=used)
        return forgotten(used, found.sources, locked)

    return of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # What stands above a function and is not used by it does not travel with it.
        ("plain", {}),
        ("top", {"flask": "flask", "yaml": "pyyaml"}),
        ("through", {"httpx": "httpx", "yaml": "pyyaml"}),
        ("inside", {"httpx": "httpx", "moto": "moto", "cryptography": "cryptography"}),
        ("optional", {}),
        ("late", {"yaml": "pyyaml"}),
        ("tried", {"trustme": "trustme"}),
        ("instance", {"yaml": "pyyaml"}),
    ],
)
def test_what_is_missing_is_named_by_its_distribution(missed, name, expected):
    found = missed(name)
    assert {module: dist.lower() for module, dist in found.items()} == expected
    assert missed(name, "Flask", "PyYAML", "httpx", "moto", "cryptography", "trustme") == {}


def test_variants_of_a_distribution_bring_the_same():
    used = Used(modules={"yaml.nodes"})
    assert forgotten(used, (), ["pyyaml-headless"]) == {}
    assert set(forgotten(used, (), ["pyyaml-tools"])) == {"yaml"}
    assert forgotten(used, (), ["yaml"]) == {}


def test_code_without_a_file_is_passed_over():
    assert forgotten(Used(codes={("<stdin>", 1), ("\0", 2)}), (), ()) == {}
