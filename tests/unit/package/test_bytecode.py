"""Bytecode of a layer: complete, reproducible, and the same however many interpreters made it."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from fal_serverless.errors import PackagingError
from fal_serverless.package import bytecode


def tree(root, count):
    names = [f"p{number % 7}/m{number}.py" for number in range(count)]
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"'''doc {number}'''\ndef f(a):\n    return '\\d', a, {number}\n")
    return names


def compiled(root, names):
    return [(root / cache_from_source(name)).read_bytes() for name in names]


def test_every_file_is_compiled_for_its_place(tmp_path):
    names = tree(tmp_path / "a", 230)  # more than one interpreter's share
    broken = tmp_path / "a" / "template.py"
    broken.write_text("{% if %}")
    files = [*names, "template.py", "p0/data.json"]
    written = bytecode.compile_all(tmp_path / "a", files, "/opt/python/")
    assert written == [str(Path(cache_from_source(name))) for name in names]
    found = compiled(tmp_path / "a", names)
    assert all(item[4:8] == b"\1\0\0\0" for item in found)  # hashed, and not checked
    assert marshal.loads(found[8][16:]).co_filename == f"/opt/python/{names[8]}"
    assert not Path(cache_from_source(broken)).exists()
    # The same names again, a few at a time, elsewhere: the same bytes.
    assert tree(tmp_path / "b", 230) == names
    for first in range(0, len(names), 90):
        bytecode.compile_all(tmp_path / "b", names[first : first + 90], "/opt/python/")
    assert compiled(tmp_path / "b", names) == found


def test_a_disk_that_cannot_be_written_is_an_error(tmp_path):
    (name,) = tree(tmp_path, 1)
    (tmp_path / "p0" / "__pycache__").write_text("a file where the folder should be")
    with pytest.raises(PackagingError, match="could not be compiled"):
        bytecode.compile_all(tmp_path, [name], "/opt/python/")


def test_whoever_cannot_wait_leaves_no_interpreter_behind(tmp_path):
    names = tree(tmp_path, 1)
    os.mkfifo(tmp_path / "endless.py")  # whoever reads it waits
    with (
        pytest.raises(KeyError),
        bytecode.compiling(tmp_path, ["endless.py", *names], "/opt/python/") as written,
    ):
        raise KeyError
    assert written == []
    assert not Path(cache_from_source(str(tmp_path / names[0]))).exists()


def test_the_bytecode_runs(tmp_path):
    names = tree(tmp_path, 1)
    bytecode.compile_all(tmp_path, names, "/opt/python/")
    (tmp_path / names[0]).write_text("def f(a): return 'compiled again'\n")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import p0.m0 as m; print(m.f(1))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.split() == ["('\\\\d',", "1,", "0)"]
