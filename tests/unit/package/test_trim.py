"""What trimming leaves out, and what it must not."""

from __future__ import annotations

import pytest

from fal_serverless.errors import SpecError
from fal_serverless.package import trim
from fal_serverless.package.layer import keep
from fal_serverless.spec import TRIMS, build_spec


def installed(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def left_out(folder, files, *kinds):
    root = installed(folder, files)
    return trim.find(root, keep(root), kinds or TRIMS)


def test_each_kind_is_found_and_summed_up(tmp_path):
    files = {
        "a/__init__.py": "",
        "a/tests/helpers.py": "x = 1",
        "a/tests/test_one.py": "",
        "a/lib/liba.a": b"!<arch>",
        "a/a.so.debug": b"\x7fELF....",
        "a/docs/index.rst": "words",
        "share/man/man1/a.1": "manual",
    }
    found = left_out(tmp_path, files)
    assert found == {
        "a/tests/helpers.py": "tests",
        "a/lib/liba.a": "static-libraries",
        "a/a.so.debug": "debug-symbols",
        "a/docs/index.rst": "documentation",
        "share/man/man1/a.1": "documentation",
    }
    assert trim.freed(tmp_path, found) == {
        "tests": 5,
        "static-libraries": 7,
        "debug-symbols": 8,
        "documentation": 11,
    }
    assert set(left_out(tmp_path, files, "tests").values()) == {"tests"}
    assert trim.find(tmp_path, keep(tmp_path), ()) == {}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a/__init__.py", "from a.tests import helpers"),
        ("a/__init__.py", "import a.tests.helpers"),
        ("a/__init__.py", "from .tests.helpers import x"),
        ("a/__init__.py", "from . import tests"),
        ("a/deep/b.py", "def f():\n    from ..tests import helpers"),
        ("b.py", "import importlib\nimportlib.import_module('a.tests.helpers')"),
        ("a/__init__.py", "import importlib\nimportlib.import_module('.tests', __package__)"),
        ("b-1.dist-info/entry_points.txt", "[x]\ny = a.tests.helpers:z"),
        # By way of another folder of tests that is needed itself.
        ("b/__init__.py", "import c.tests.d"),
    ],
)
def test_tests_that_something_needs_stay(tmp_path, name, code):
    files = {
        "a/tests/helpers.py": "",
        "a/tests/test_one.py": "",
        "c/tests/d.py": "import a.tests.helpers",
        "c/tests/test_two.py": "",
        name: code,
    }
    assert "a/tests/helpers.py" not in left_out(tmp_path, files, "tests")


def test_what_is_only_called_so_stays(tmp_path):
    files = {
        # A client for one's own tests, as django.test is.
        "a/test/client.py": "",
        # A molecule.
        "a/1abc.pdb": "HEADER    OXYGEN TRANSPORT",
        # Templates that are shown.
        "a/templates/docs/index.html": "",
        "b/__init__.py": "import pkgutil\npkgutil.get_data(__name__, 'docs/help.html')",
        "b/docs/help.html": "",
        # A module.
        "c/doc/__init__.py": "",
        "c/doc/words.txt": "",
        "a/broken.py": "this is no {{ python }} of tests",
        "a-1.dist-info/METADATA": "",
        "a-1.dist-info/licenses/LICENSE.txt": "",
    }
    assert left_out(tmp_path, files) == {}


def test_the_option():
    def of(value):
        return build_spec("f", {"trim": value}).environment.trim

    assert of(None) == of(False) == of([]) == ()
    assert of(True) == TRIMS
    assert of(["documentation", "tests", "tests"]) == ("tests", "documentation")
    with pytest.raises(SpecError, match="'docs'") as caught:
        of(["docs"])
    assert "documentation" in caught.value.reason
    with pytest.raises(SpecError, match="trim cannot be 'tests'"):
        of("tests")
