"""``make bench``: us and the peers on the same work, in turn, in one run.

Each measure gives rows of (label, unit, ours, peer's name, peer's) with one number for each round;
what is shown are medians, the spread (lowest to highest) and the median of the rounds' ratios. A
peer that fails marks its rows, and the run goes on.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from typing import TYPE_CHECKING

from tests.benchmarks import (
    exposed,
    gateway,
    images,
    packaging,
    peers,
    publishing,
    remote,
    served,
    starting,
)
from tests.benchmarks.peers import Row

if TYPE_CHECKING:
    from pathlib import Path

REPORT = peers.ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
MEASURES = {
    "served": served.measure,
    "exposed": exposed.measure,
    "gateway": gateway.measure,
    "starting": starting.measure,
    "publishing": publishing.measure,
    "remote": remote.measure,
    "packaging": packaging.measure,
    "images": images.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *MEASURES], help="measures; all if none")
    parser.add_argument("--quick", action="store_true", help="one round: shows that it runs")
    parser.add_argument(
        "--write", action="store_true", help=f"put the table into {REPORT.name}, if all were run"
    )
    args = parser.parse_args()
    begun = time.monotonic()
    rows = [row for name in args.only or MEASURES for row in measured(name, quick=args.quick)]
    text = table(rows, time.monotonic() - begun)
    print(text)
    if args.write and not args.only and not args.quick:
        write(REPORT, text)
    return 1 if any(row.failed for row in rows) else 0


def measured(name: str, *, quick: bool) -> list[Row]:
    """A measure's rows; one row that says why where it failed as a whole."""
    begun = time.monotonic()
    sys.stderr.write(f"measuring: {name}\n")
    try:
        found = MEASURES[name](peers.interpreter(), quick=quick)
    except Exception as error:  # noqa: BLE001 - the other measures are wanted all the same
        found = [Row(name, "", [], "", [], None, peers.reason(error))]
    # A long run that is broken off has shown what it had by then.
    sys.stderr.write("".join(f"{shown(row)}\n" for row in found))
    sys.stderr.write(f"  {time.monotonic() - begun:.0f} s\n")
    return found


def table(rows: list[Row], seconds: float) -> str:
    lines = [
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}, "
        f"{platform.system()} {platform.release()}, load {os.getloadavg()[2]:.1f}; measured in "
        f"{seconds / 60:.0f} min; {peers.described()}",
        "",
        "| measure | ours | peer | peer's | ratio | goal | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *map(shown, rows),
    ]
    return "\n".join(lines)


def shown(row: Row) -> str:
    if row.failed:
        return f"| {row.label} | | {row.peer} | | | | not run: {row.failed} |"
    mine, theirs = spread(row.ours, row.unit), spread(row.theirs, row.unit)
    goal, verdict = "", ""
    if row.goal:
        goal = row.goal.text
        verdict = "met" if row.goal.met(row.ours, row.theirs) else "**missed**"
    if row.goal and row.goal.shown:
        compared = row.goal.shown(row.ours, row.theirs)
    else:
        compared = f"{peers.ratio(row.ours, row.theirs):.2f}×"
    cells = (row.label, mine, row.peer, theirs, compared, goal, verdict)
    return "| " + " | ".join(cells) + " |"


def spread(values: list[float], unit: str) -> str:
    return f"{statistics.median(values):.4g} {unit} ({min(values):.3g}-{max(values):.3g})"


def write(report: Path, text: str) -> None:
    """Put the table between the markers; what stands around it stays."""
    before, begin, rest = report.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{report} has no {BEGIN} and {END}")
    report.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
