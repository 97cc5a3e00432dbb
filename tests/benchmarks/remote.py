"""Calls from Python on the emulator, beside a bare boto3 ``invoke`` of the same environment and
beside Lithops, whose backend for this machine starts a process for each call."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import peers
from tests.benchmarks.peers import PROGRAMS, Goal, Row

ROUNDS = 3
BARE, LITHOPS, SECOND = "bare boto3 invoke", "Lithops, localhost", "second call"


def measure(python: str, *, quick: bool) -> list[Row]:
    command = str(Path(sys.executable).parent / "fal-serverless")
    timeouts = itertools.count(300)
    with tempfile.TemporaryDirectory() as home:
        environ = {**peers.clean(), "FAL_HOME": home, "FAL_PROFILE": "local"}

        def ran(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(words, env=environ, capture_output=True, text=True, check=True)

        start = ("local", "start", "--port", "0", "--emulator-port", "0", "--json")
        endpoint = json.loads(ran(command, *start).stdout)["endpoint_url"]

        def figures(*words: str) -> dict[str, float]:
            return json.loads(ran(*words).stderr.splitlines()[-1])

        def ours() -> dict[str, float]:
            program = str(PROGRAMS / "remote_calls.py")
            return figures(sys.executable, program, str(next(timeouts)), endpoint)

        def lithops() -> dict[str, float]:
            return figures(peers.interpreter("lithops"), str(PROGRAMS / "lithops_calls.py"))

        try:
            works = {"ours": ours, "lithops": lithops}
            found, failed = peers.in_turn(1 if quick else ROUNDS, works)
        finally:
            ran(command, "local", "stop")
    return rows(found, failed)


def rows(found: dict[str, list[dict[str, float]]], failed: dict[str, str]) -> list[Row]:
    """What was measured, as the table's rows."""

    def row(label: str, key: str, peer: str, whose: str, theirs: str, goal: Goal | None) -> Row:
        problems = "; ".join(f"{name}: {failed[name]}" for name in {"ours", whose} & set(failed))
        mine = [item[key] for item in found.get("ours", [])]
        other = [item[theirs] for item in found.get(whose, [])]
        return Row(label, "ms", mine, peer, other, goal, problems)

    warm = "call of a decorated function, warm"
    return [
        row(warm, "call", BARE, "ours", "bare", peers.over(10, "ms")),
        row(warm, "call", LITHOPS, "lithops", "call", peers.times_less(5)),
        row("map of 40 items, each", "map", LITHOPS, "lithops", "map", peers.times_less(5)),
        row("first call, new program and environment", "first", SECOND, "ours", "second", None),
        row("first call of changed code", "changed", SECOND, "ours", "second", None),
    ]
