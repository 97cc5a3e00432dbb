"""How results, progress and errors look. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import itertools
import json
import sys
import threading
import weakref
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fal_serverless.errors import FalServerlessError

STILL_S = (10.0, 20.0, 30.0)
"""Seconds until a log is told that a step still runs, and until it is told again."""


def document(value: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def compact(value: Mapping[str, Any]) -> None:
    """One JSON document on one line of stdout, at once: for answers that do not end."""
    sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()


def line(text: str) -> None:
    """One line on stdout, exactly as it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """One line for a person, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def moment(seconds: float | None) -> str | None:
    """Epoch seconds as ISO 8601 in UTC."""
    if seconds is None:
        return None
    at = datetime.fromtimestamp(int(seconds), tz=timezone.utc)
    return at.isoformat().replace("+00:00", "Z")


def table(columns: Sequence[str], rows: Iterable[Mapping[str, object]], empty: str) -> None:
    """The columns of rows on stdout; in a pipe, wide enough that nothing is cut."""
    listed = [["" if row[name] is None else str(row[name]) for name in columns] for row in rows]
    if not listed:
        note(empty)
        return
    from rich.console import Console
    from rich.table import Table

    console = Console() if sys.stdout.isatty() else Console(width=250)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in listed:
        drawn.add_row(*row)
    console.print(drawn)


def error(failure: FalServerlessError, *, as_json: bool) -> None:
    """Three lines on stderr, or with ``--json`` one document on stdout."""
    if as_json:
        described = {
            "code": failure.code,
            "message": failure.message,
            "reason": failure.reason,
            "hint": failure.hint,
        }
        document({"error": described})
        return
    note(f"Error: {failure.message}")
    note(f"  Why: {failure.reason}")
    note(f"  Next: {failure.hint}")


class Steps:
    """Progress as lines on stderr: what is done, and how long it took.

    A terminal sees a step while it runs; a log is told now and then that a long one still does.
    """

    def __init__(self, pauses: Sequence[float] = STILL_S) -> None:
        self._text = ""
        self._total: int | None = None
        self._sent = 0
        self._live = sys.stderr.isatty()
        self._pauses = pauses
        self._over = threading.Event()
        self._watch: threading.Thread | None = None

    def begin(self, text: str, total: int | None = None) -> None:
        """A step begins."""
        self._text, self._total, self._sent = text, total, 0
        if self._live:
            sys.stderr.write(f"  … {text}")
            sys.stderr.flush()
        else:
            self._over.set()
            self._over = over = threading.Event()
            watch = threading.Thread(target=_still, args=(text, self._pauses, over), daemon=True)
            watch.start()
            self._watch = watch
            # Nobody ends a step that failed.
            weakref.finalize(self, over.set)

    def advance(self, count: int) -> None:
        """So many bytes more are done."""
        self._sent += count
        if self._live and self._total:
            done = min(100, 100 * self._sent // self._total)
            sys.stderr.write(f"\r\033[K  … {self._text} {done}%")
            sys.stderr.flush()

    def end(self, seconds: float) -> None:
        """The step is done."""
        self._over.set()
        if self._watch is not None:
            # Not a word of a step after its end.
            self._watch.join()
        if self._live:
            sys.stderr.write("\r\033[K")
        note(f"  {self._text} ({seconds:.1f} s)")

    def tell(self, text: str) -> None:
        """A step without an end of its own."""
        note(f"  {text}")


def _still(text: str, pauses: Sequence[float], over: threading.Event) -> None:
    """Say after each pause that a step runs; the last pause comes again and again."""
    passed = 0.0
    for pause in itertools.chain(pauses, itertools.repeat(pauses[-1])):
        if over.wait(pause):
            return
        passed += pause
        note(f"  … {text}, for {passed:.0f} s")
