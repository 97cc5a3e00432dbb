"""What starting costs: importing the package, and the command's help, beside nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.peers import Row, clean, compared, in_turn, over

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 15
EMPTY = "an empty interpreter"


def timed(command: list[str]) -> Callable[[], float]:
    """Milliseconds of a whole process."""
    environ = clean()

    def once() -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environ)
        return (time.perf_counter() - start) * 1e3

    return once


def measure(python: str, *, quick: bool) -> list[Row]:
    rounds = 1 if quick else ROUNDS
    mine, theirs = Path(sys.executable).parent, Path(python).parent
    empty = [sys.executable, "-c", "pass"]
    commands = {
        "import of the package": (
            [sys.executable, "-c", "import fal_serverless"],
            [python, "-c", "import chalice"],
            30,
        ),
        "import of the decorators": (
            [sys.executable, "-c", "from fal_serverless import isolated"],
            [python, "-c", "import chalice"],
            30,
        ),
        "--help": (
            [str(mine / "fal-serverless"), "--help"],
            [str(theirs / "chalice"), "--help"],
            150,
        ),
    }
    rows = []
    for label, (ours, chalice, limit) in commands.items():
        works = {"ours": timed(ours), EMPTY: timed(empty), "Chalice": timed(chalice)}
        in_turn(1, works)
        found, failed = in_turn(rounds, works)
        goals = {EMPTY: over(limit, "ms"), "Chalice": None}
        rows += compared(label, "ms", found, failed, goals)
    return rows
