"""``make bench``: us and the peers on the same work, in turn, in one run.

Each measure gives rows of (label, unit, ours, peer's name, peer's) with one number for each round;
what is shown are medians, the spread (lowest to highest) and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from pathlib import Path

from tests.benchmarks import images, packaging, peers, remote, served, starting

REPORT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
MEASURES = {
    "served": served.measure,
    "starting": starting.measure,
    "packaging": packaging.measure,
    "remote": remote.measure,
    "images": images.measure,
}
ABOUT = """# Benchmarks

The last table of `make bench`. Peers run beside us in the same run and in turn; a figure
is the median of its rounds with the lowest and highest, a ratio is the median of the rounds' own
ratios (peer to ours, so that above 1 is in our favour). Absolute figures belong to the machine.

"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *MEASURES], help="measures; all if none")
    parser.add_argument("--quick", action="store_true", help="one round: shows that it runs")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.name}")
    args = parser.parse_args()
    python = peers.interpreter()
    lines = [
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}; "
        f"{peers.described()}",
        "",
        "| measure | ours | peer | peer's | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in args.only or MEASURES:
        sys.stderr.write(f"measuring: {name}\n")
        for row in MEASURES[name](python, quick=args.quick):
            lines.append(shown(row))
    text = "\n".join(lines) + "\n"
    print(text)
    if args.write:
        REPORT.write_text(ABOUT + text, encoding="utf-8")


def shown(row: peers.Row) -> str:
    ratio = statistics.median(peer / ours for ours, peer in zip(row.ours, row.theirs, strict=True))
    mine, theirs = spread(row.ours, row.unit), spread(row.theirs, row.unit)
    return f"| {row.label} | {mine} | {row.peer} | {theirs} | {ratio:.2f}× |"


def spread(values: list[float], unit: str) -> str:
    return f"{statistics.median(values):.4g} {unit} ({min(values):.3g}-{max(values):.3g})"


if __name__ == "__main__":
    main()
