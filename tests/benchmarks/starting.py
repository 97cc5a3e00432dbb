"""What starting costs: importing the package, and the command's help, beside nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.peers import Row

ROUNDS = 11


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - start) * 1e3


def measure(python: str, *, quick: bool) -> list[Row]:
    rounds = 1 if quick else ROUNDS
    mine, theirs = Path(sys.executable).parent, Path(python).parent
    commands = {
        "import of the package": [
            [sys.executable, "-c", "from fal_serverless import isolated"],
            [sys.executable, "-c", "pass"],
            [python, "-c", "import chalice"],
        ],
        "--help": [
            [str(mine / "fal-serverless"), "--help"],
            [sys.executable, "-c", "pass"],
            [str(theirs / "chalice"), "--help"],
        ],
    }
    rows = []
    for label, listed in commands.items():
        found = [[seconds(command) for command in listed] for _ in range(rounds)]
        ours, bare, peer = ([times[index] for times in found] for index in range(3))
        rows.append(Row(label, "ms", ours, "an empty interpreter", bare))
        rows.append(Row(label, "ms", ours, "Chalice", peer))
    return rows
