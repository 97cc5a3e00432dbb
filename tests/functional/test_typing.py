"""What type checkers make of decorated functions."""

from __future__ import annotations

import subprocess
import sys

TEXT = """
from concurrent.futures import Future
from fal_serverless import cached, isolated

@isolated(requirements=["numpy"])
def scaled(x: int, by: float = 2.0) -> float:
    return x * by

@cached
def loaded(name: str) -> bytes:
    return name.encode()

right: float = scaled(1, by=3)
future: Future[float] = scaled.submit(1)
content: bytes = loaded("a")
wrong: str = scaled(1)
scaled("one")
scaled(1, of=3)
loaded(1)
"""


def test_parameters_and_return_types_are_kept(tmp_path):
    file = tmp_path / "typed.py"
    file.write_text(TEXT, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    lines = [int(line.split(":")[1]) for line in ran.stdout.splitlines() if ": error:" in line]
    assert lines == [16, 17, 18, 19], ran.stdout
