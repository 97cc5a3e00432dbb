"""The benchmarks that need no embedded stack run, and their table has a place in the docs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks import peers

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 11), reason="the pinned peers need Python 3.11")
def test_one_round_of_each():
    command = [sys.executable, "-m", "tests.benchmarks", "--quick"]
    measures = ("served", "exposed", "gateway", "starting")
    ran = subprocess.run([*command, *measures], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = [line for line in ran.stdout.splitlines() if line.startswith("| ")]
    for words in ("served function", "exposed port", "gateway, warm", "--help", "uvicorn"):
        assert any(words in row for row in rows)


def test_what_fails_is_said_and_the_rest_goes_on():
    def fails() -> float:
        raise ValueError("no | such\nthing")

    found, failed = peers.in_turn(2, {"ours": lambda: 2.0, "a": lambda: 8.0, "b": fails})
    goals = {"a": peers.times_less(3), "b": peers.times_less(1)}
    good, bad = (bench.shown(row) for row in peers.compared("label", "s", found, failed, goals))
    assert good == "| label | 2 s (2-2) | a | 8 s (8-8) | 4.00× | ≥ 3× | met |"
    assert bad == "| label | | b | | | | not run: b: ValueError: thing |"


def test_goals():
    assert not peers.times_less(3).met([1.0, 1.0], [2.9, 2.9])
    assert peers.times_more(2).met([10.0], [5.0])
    assert not peers.over(30, "ms").met([50.0, 60.0], [10.0, 20.0])
    assert peers.over(40, "ms").met([50.0, 60.0], [10.0, 20.0])
    assert peers.under(400, "ms").met([399.0], [1.0])


def test_the_table_goes_between_its_markers(tmp_path):
    report = tmp_path / "report.md"
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    report.write_text(text, encoding="utf-8")
    bench.write(report, "the table")
    before, _, rest = text.partition(bench.BEGIN)
    written = report.read_text(encoding="utf-8")
    assert written == f"{before}{bench.BEGIN}\nthe table\n{bench.END}{rest.partition(bench.END)[2]}"
    report.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="has no"):
        bench.write(report, "x")
