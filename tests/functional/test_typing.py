"""What type checkers make of decorated functions: mypy, and pyright as its basedpyright build."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any
from fal_serverless import LocalHost, cached, isolated

@isolated(requirements=["numpy"])
def scaled(x: int, by: float = 2.0) -> float:
    return x * by

@isolated
def bare(text: str) -> int:
    return len(text)

@isolated()
async def later(x: int) -> str:
    return str(x)

@cached
def loaded(name: str) -> bytes:
    return name.encode()

right: float = scaled(1, by=3)
future: Future[float] = scaled.submit(1)
stream: Iterator[float] = scaled.map([1])
length: int = bare.on(host=LocalHost())("a")
plain: float = scaled.local(1)
content: bytes = loaded("a")
# A call waits for a coroutine function; the plain function does not.
text: str = later(1)
coming: Future[str] = later.submit(1)
texts: AsyncIterator[str] = later.map_aio([1])
here: Coroutine[Any, Any, str] = later.local(1)

async def awaiting() -> str:
    number: float = await scaled.aio(1)
    return await later.aio(int(number))

wrong: str = scaled(1)  # wrong
scaled("one")  # wrong
scaled(1, of=3)  # wrong
bare(1)  # wrong
loaded(1)  # wrong
later("one")  # wrong
number: int = later(1)  # wrong
scaled.submit("one")  # wrong
isolated(requirement=["numpy"])  # wrong
"""
WRONG = [number for number, line in enumerate(TEXT.splitlines(), 1) if line.endswith("# wrong")]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "typed.py"
    path.write_text(TEXT, encoding="utf-8")
    return path


def checked(*words: str, cwd: Path) -> str:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True).stdout


def test_mypy_keeps_parameters_and_return_types(file):
    said = checked("mypy", "--strict", "--no-incremental", file.name, cwd=file.parent)
    found = [int(line.split(":")[1]) for line in said.splitlines() if ": error:" in line]
    assert found == WRONG, said


def test_pyright_keeps_parameters_and_return_types(file):
    configuration = {"typeCheckingMode": "standard", "pythonVersion": "3.10"}
    (file.parent / "pyrightconfig.json").write_text(json.dumps(configuration), encoding="utf-8")
    words = ("basedpyright", "--outputjson", "--pythonpath", sys.executable, file.name)
    said = json.loads(checked(*words, cwd=file.parent))
    found = {item["range"]["start"]["line"] + 1: item for item in said["generalDiagnostics"]}
    assert sorted(found) == WRONG, said
