"""Packaging without a package index."""

from __future__ import annotations

import functools
import json
import sys
import threading
import zipfile

import flask
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel

from fal_serverless import isolated
from fal_serverless.discover import discover
from fal_serverless.errors import (
    DiscoveryError,
    PackageTooLargeError,
    RequirementsError,
    SerializationError,
    SpecError,
)
from fal_serverless.package import bundle, pickling, requirements, sizes
from fal_serverless.package.archive import Entry, write_zip
from fal_serverless.package.describe import describe
from fal_serverless.spec import FunctionSpec

lock = threading.Lock()
app = flask.Flask("app")


@settings(deadline=None)
@given(st.dictionaries(st.text("abc/", min_size=1, max_size=8), st.binary(max_size=200)))
def test_zips_hold_what_went_in(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("zip")
    entries = {name: Entry(raw) for name, raw in content.items()}
    for name in ("a.zip", "b.zip"):
        write_zip(folder / name, dict(reversed(list(entries.items()))))
    assert (folder / "a.zip").read_bytes() == (folder / "b.zip").read_bytes()
    with zipfile.ZipFile(folder / "a.zip") as found:
        assert found.testzip() is None
        assert {name: found.read(name) for name in found.namelist()} == content


def test_requirements(tmp_path):
    (tmp_path / "r.txt").write_text("# a comment\nflask>=3  # why\n\npandas\n")
    assert requirements.read("r.txt", tmp_path) == ("flask>=3", "pandas")
    assert requirements.names(["Foo_Bar>1", "baz[x]"]) == {"foo-bar", "baz"}
    with pytest.raises(RequirementsError) as caught:
        requirements.read("flask", tmp_path)
    assert 'requirements=["flask"]' in caught.value.hint
    with pytest.raises(RequirementsError) as caught:
        requirements.read("other.txt", tmp_path)
    assert "[" not in caught.value.hint


@given(
    st.one_of(
        st.from_regex(requirements.PLAIN, fullmatch=True),
        st.text(alphabet="aZ09._-[], <>=!~*@;", max_size=12),
    )
)
def test_plain_requirements_are_what_packaging_takes(entry):
    plain = requirements.PLAIN.fullmatch(entry)
    if plain is not None:
        read = Requirement(entry)
        assert read.url is read.marker is None
        assert requirements.names([entry]) == {canonicalize_name(read.name)}


@pytest.mark.parametrize("entry", ["numpy", "a==1.0", "a[b,c]>=1,<2", "Foo.Bar_baz != 3"])
def test_most_requirements_are_plain(entry):
    assert requirements.PLAIN.fullmatch(entry)


@pytest.mark.parametrize("entry", ["a~=1.0", 'a; python_version > "3"', "a==1.*", "a>=1rc1"])
def test_what_is_not_plain_is_read_by_packaging(entry, tmp_path):
    assert not requirements.PLAIN.fullmatch(entry)
    assert requirements.read([entry], tmp_path) == (entry,)
    assert requirements.names([entry]) == {"a"}


@pytest.mark.parametrize("entry", ["a>>1", "./x", "-e .", "git+https://x/y", "a @ https://x/a.whl"])
def test_refused_requirements(entry, tmp_path):
    with pytest.raises(RequirementsError) as caught:
        requirements.read([entry], tmp_path)
    assert entry in caught.value.message
    (tmp_path / "r.txt").write_text(f"flask\n{entry}\n")
    with pytest.raises(RequirementsError):
        requirements.read("r.txt", tmp_path)


def test_too_large_names_the_largest():
    with pytest.raises(PackageTooLargeError, match="too large") as caught:
        sizes.check("f", {"small": 1, "torch": 300_000_000})
    assert "torch 300.0 MB" in caught.value.reason


def test_pickling_names_the_variable():
    def locked():
        return lock

    def outer():
        return locked()

    for function in (locked, outer):
        with pytest.raises(SerializationError, match="'lock'"):
            pickling.dump(function, None, ())


def test_the_variable_is_one_of_the_users_own():
    def serves():
        return app

    with pytest.raises(SerializationError, match="'app'") as caught:
        pickling.dump(serves, None, ())
    assert caught.value.reason == "it is a flask.app.Flask, which cannot travel"
    kept = {"deep": lock}

    def keeps():
        return kept

    with pytest.raises(SerializationError, match="'deep'"):
        pickling.dump(keeps, None, ())


class Item(BaseModel):
    name: str


class Odd:
    pass


def test_descriptions():
    def plain(a, b=1): ...

    def typed(a: int, b: str | None = None): ...

    def one(item: Item): ...

    def mixed(a: list[int]): ...

    assert describe(plain, "f").arguments["validated"] is False
    assert describe(typed, "f").arguments["validated"] == "builtin"
    assert describe(one, "f").arguments["style"] == "model"
    assert describe(mixed, "f").needs_pydantic
    document = describe(one, "f").openapi
    assert document["paths"]["/"]["post"]["operationId"] == "f"
    schema = describe(typed, "f").openapi["paths"]["/"]["post"]["requestBody"]["content"]
    assert schema["application/json"]["schema"]["required"] == ["a"]


def test_signatures_that_cannot_be_served():
    def star(*a): ...

    def yields():
        yield 1

    def odd(a: Odd): ...

    for function in (star, yields, odd):
        with pytest.raises(SpecError):
            describe(function, "f")


def test_files_of_the_bundle(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    found = bundle.user_files(["data"], tmp_path)
    assert [name for name, _ in found] == ["data/a.txt"]
    with pytest.raises(SpecError, match="no file"):
        bundle.user_files(["nothing"], tmp_path)
    with pytest.raises(SpecError, match="cannot travel"):
        bundle.user_files([".."], tmp_path)
    (tmp_path / "spec.json").write_text("{}")
    with pytest.raises(SpecError, match=r"spec\.json"):
        bundle.entries(
            FunctionSpec(name="f"),
            b"",
            arguments=None,
            openapi=None,
            native=False,
            extra=[("spec.json", tmp_path / "spec.json")],
        )


def test_what_a_decorator_refuses_is_said_once_with_its_line(tmp_path):
    file = tmp_path / "model.py"
    file.write_text(
        "from fal_serverless import isolated\n\n@isolated(requirments=[])\ndef f(): ...\n"
    )
    with pytest.raises(SpecError, match="no option 'requirments'") as caught:
        discover(file, "f")
    # 3.10 counts the call of a decorator to the line of what it decorates.
    line = 4 if sys.version_info < (3, 11) else 3
    assert caught.value.reason == f"'f' is decorated with it (model.py, line {line})"
    assert caught.value.hint == "did you mean 'requirements'?"


@pytest.mark.parametrize("target", [int, functools.partial(print, 1)])
def test_only_functions_are_decorated(target):
    for decorate in (isolated, isolated(serve=True)):
        with pytest.raises(SpecError, match="cannot decorate") as caught:
            decorate(target)
        assert "a function" in caught.value.hint


def test_discovery(tmp_path):
    (tmp_path / "pkg_inner.py").write_text("value = 1\n")
    file = tmp_path / "found_here.py"
    file.write_text(
        "from fal_serverless import isolated\n"
        "@isolated(serve=True)\ndef good():\n    import pkg_inner\n    return pkg_inner.value\n"
        "def bare(): ...\n"
    )
    found = discover(file, "good")
    assert [name for name, _ in found.sources] == ["pkg_inner.py"]
    with pytest.raises(DiscoveryError, match="not decorated"):
        discover(file, "bare")
    with pytest.raises(DiscoveryError, match="no decorated function") as caught:
        discover(file, "goood")
    assert caught.value.hint == "did you mean 'good'?"
    with pytest.raises(DiscoveryError) as caught:
        discover(file, "other")
    assert (caught.value.reason, caught.value.hint) == ("it has good", "name one of them")
    broken = tmp_path / "broken_here.py"
    broken.write_text("1/0\n")
    with pytest.raises(DiscoveryError) as caught:
        discover(broken, "f")
    assert "ZeroDivisionError" in caught.value.reason


def test_plain_types_are_described_as_pydantic_describes_them():
    from pydantic import TypeAdapter

    from fal_serverless.package.describe import _SCHEMAS

    for hint, known in _SCHEMAS.items():
        for mode in ("validation", "serialization"):
            assert json.dumps(TypeAdapter(hint).json_schema(mode=mode)) == json.dumps(known)
