"""The peers, pinned, in environments of their own; and what the measures have in common."""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PINNED = {
    "libraries": (
        "aws-lambda-powertools==3.37.0",
        "boto3==1.44.5",
        "chalice==1.34.0",
        "fastapi==0.165.0",
        "httptools==0.9.0",
        "mangum==0.22.0",
        "pydantic==2.14.3",
    ),
    "aio": ("aioboto3==15.5.0", "fastapi==0.165.0", "httptools==0.9.0", "uvicorn==0.54.0"),
    "lithops": ("lithops==3.8.0",),
    "sam": ("aws-sam-cli==1.170.0", "uv==0.13.9"),
}
ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).resolve().parent / "programs"


@dataclass(frozen=True)
class Goal:
    """What a row should show.

    Attributes:
        text: of the goal, for people.
        met: told our figures and the peer's.
        shown: what is compared with the goal, if that is not the ratio.
    """

    text: str
    met: Callable[[list[float], list[float]], bool]
    shown: Callable[[list[float], list[float]], str] | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table: figures of the same rounds, ours and a peer's.

    Attributes:
        failed: why one of them was not run; then there are no figures of it.
    """

    label: str
    unit: str
    ours: list[float]
    peer: str
    theirs: list[float]
    goal: Goal | None = None
    failed: str = ""


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds' own ratios, peer to ours."""
    return statistics.median(peer / mine for mine, peer in zip(ours, theirs, strict=True))


def times_less(count: float) -> Goal:
    """Ours takes a part of the peer's."""
    text = f"≥ {count:g}×" if count != 1 else "not above"
    return Goal(text, lambda ours, theirs: ratio(ours, theirs) >= count)


def times_more(count: float) -> Goal:
    """Ours does a multiple of the peer's (for rates, where more is better)."""
    return Goal(
        f"≥ {count:g}×",
        lambda ours, theirs: ratio(theirs, ours) >= count,
        lambda ours, theirs: f"{ratio(theirs, ours):.2f}×",
    )


def over(limit: float, unit: str) -> Goal:
    """Ours takes so much more than the peer at most."""

    def more(ours: list[float], theirs: list[float]) -> float:
        return statistics.median(a - b for a, b in zip(ours, theirs, strict=True))

    return Goal(
        f"≤ {limit:g} {unit} over",
        lambda ours, theirs: more(ours, theirs) <= limit,
        lambda ours, theirs: f"{more(ours, theirs):+.3g} {unit}",
    )


def under(limit: float, unit: str) -> Goal:
    """Ours takes so much at most, whatever the peer does."""
    return Goal(f"< {limit:g} {unit}", lambda ours, _: statistics.median(ours) < limit)


@contextmanager
def on_core(which: int) -> Iterator[None]:
    """Processes that are started meanwhile stay on one core, where the system can do that.

    Args:
        which: 0 the first, -1 the last.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[which]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def in_turn(
    rounds: int, works: Mapping[str, Callable[[], float | list[float]]]
) -> tuple[dict[str, list], dict[str, str]]:
    """Each work once a round, in turn: what they gave, and why those that failed did.

    One that fails is not run again, and what it gave before does not count.
    """
    found: dict[str, list] = {name: [] for name in works}
    failed: dict[str, str] = {}
    for _ in range(rounds):
        for name, work in works.items():
            if name in failed:
                continue
            try:
                found[name].append(work())
            except Exception as error:  # noqa: BLE001 - one peer must not end the run
                failed[name] = reason(error)
                sys.stderr.write(f"  {name}: {failed[name]}\n")
    return {name: given for name, given in found.items() if name not in failed}, failed


def warmed(
    rounds: int, works: Mapping[str, Callable[[], float | list[float]]]
) -> tuple[dict[str, list], dict[str, str]]:
    """As ``in_turn``, after a round that does not count: disks have read everything by then."""
    if rounds > 1:
        in_turn(1, works)
    return in_turn(rounds, works)


def reason(error: Exception) -> str:
    """Why something failed, on one line that a table can hold."""
    said = getattr(error, "stderr", None) or str(error)
    said = said.decode(errors="replace") if isinstance(said, bytes) else said
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:160].replace("|", "/")


def compared(
    label: str,
    unit: str,
    found: Mapping[str, list],
    failed: Mapping[str, str],
    goals: Mapping[str, Goal | None],
    *,
    index: int | None = None,
) -> list[Row]:
    """A row for each peer in ``goals``, beside ``ours``; ``index`` picks one of several figures."""

    def of(name: str) -> list[float]:
        given = found.get(name, [])
        return [item[index] for item in given] if index is not None else list(given)

    rows = []
    for peer, goal in goals.items():
        problems = [f"{name}: {failed[name]}" for name in ("ours", peer) if name in failed]
        rows.append(Row(label, unit, of("ours"), peer, of(peer), goal, "; ".join(problems)))
    return rows


def described() -> str:
    every = {pin for pins in PINNED.values() for pin in pins}
    return "peers: " + ", ".join(sorted(every))


def interpreter(name: str = "libraries") -> str:
    """The Python of an environment; it is made on first use."""
    pins = PINNED[name]
    digest = hashlib.sha256("\n".join((*pins, sys.version)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "fal-serverless-bench" / f"{name}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "ready").is_file():
        uv = [sys.executable, "-m", "uv", "--quiet"]
        # Chalice and SAM use pip, and Chalice setuptools' pkg_resources.
        made = [*uv, "venv", "--clear", "--seed", "--python", sys.executable, str(folder)]
        subprocess.run(made, check=True, capture_output=True)
        more = ["pip", "install", "--compile-bytecode", "--python", str(python)]
        subprocess.run([*uv, *more, "setuptools<81", *pins], check=True, capture_output=True)
        (folder / "ready").touch()
    return str(python)


def clean() -> dict[str, str]:
    """This process's environment without what would configure AWS or us."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "FAL_", "PYTHON", "VIRTUAL_ENV"))
    }
