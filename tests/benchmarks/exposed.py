"""An exposed port: what the runtime adds to calling the same server directly on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from fal_serverless.runtime.ports import free_port
from tests.benchmarks.peers import PROGRAMS, Goal, Row, clean, over
from tests.benchmarks.served import unpacked

REQUESTS = 5000
ROUNDS = 3


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[int(len(values) * part)]


def measure(python: str, *, quick: bool) -> list[Row]:
    count, rounds = (100, 1) if quick else (REQUESTS, ROUNDS)
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        os.environ["BENCH_PORT"] = str(port)
        unpacked(folder / "port", "exposed")
        environ = {
            **clean(),
            "PYTHONPATH": str(folder / "port" / "opt" / "python"),
            "LAMBDA_TASK_ROOT": str(folder / "port" / "task"),
        }
        for _ in range(rounds):
            command = [python, str(PROGRAMS / "port_overhead.py"), str(port), str(count)]
            ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
            found.append(json.loads(ran.stdout.splitlines()[-1]))
    rows = [
        Row(
            f"exposed port, {label} of {count:,} requests",
            "ms",
            [percentile(mine, part) for mine, _, _ in found],
            "the same server directly",
            [percentile(theirs, part) for _, theirs, _ in found],
            over(limit, "ms"),
        )
        for label, part, limit in (("p50", 0.5, 0.4), ("p99", 0.99, 2))
    ]
    none = Goal("none", lambda ours, _: not any(ours), lambda ours, _: f"{sum(ours):.0f}")
    failures = [float(failed) for _, _, failed in found]
    count_row = f"exposed port, failed of {count * rounds:,} requests"
    return [*rows, Row(count_row, "", failures, "may fail", [0.0 for _ in found], none)]
