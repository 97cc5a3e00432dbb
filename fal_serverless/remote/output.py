"""What remote calls print, in this process's terminal: once each, while they run if they take long.

The runtime uploads what was printed about once a second; one thread here looks after all calls
that are under way, so that short calls cost nothing and many calls no thread each.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PAUSE_S = 1.0
"""Before the output of a call is looked for, and between two looks while there is some."""
PAUSE_MAX_S = 5.0


class Printer:
    """Prints what one call printed. Safe for several threads.

    Args:
        label: stands before each line, when it is not empty; such lines are printed whole.
    """

    def __init__(self, label: str = "") -> None:
        self._label = label
        self._lock = threading.Lock()
        self._position = 0
        self._open = {"out": "", "err": ""}

    def show(self, told: Mapping[str, Any]) -> bool:
        """Print what is new of the runtime's account of the output; whether there was any."""
        with self._lock:
            start = int(told.get("output_from", 0))
            if start > self._position:
                lost = start - self._position
                self._write("err", f"({lost:,} characters of output are only in the log)\n")
                self._position = start
            before, place = self._position, start
            for stream, text in told.get("output", []):
                fresh = text[max(0, self._position - place) :]
                place += len(text)
                if fresh:
                    self._write(stream, fresh)
                    self._position = place
            return self._position > before

    def add(self, stream: str, text: str) -> None:
        """Print a piece, in the order in which pieces come."""
        with self._lock:
            self._write(stream, text)

    def end(self) -> None:
        """Print what is left of lines that did not end."""
        with self._lock:
            for stream, rest in self._open.items():
                if rest:
                    _print(stream, f"[{self._label}] {rest}\n")
                    self._open[stream] = ""

    def _write(self, stream: str, text: str) -> None:
        if self._label:
            *ended, self._open[stream] = (self._open[stream] + text).split("\n")
            text = "".join(f"[{self._label}] {line}\n" for line in ended)
        if text:
            _print(stream, text)


def _print(stream: str, text: str) -> None:
    target = sys.stdout if stream == "out" else sys.stderr
    target.write(text)
    target.flush()


@dataclass
class _Followed:
    key: str
    printer: Printer
    due: float
    pause: float = PAUSE_S
    mark: str = ""
    over: bool = False


class Follower:
    """Prints the output of calls that take longer than a moment.

    Args:
        read: the object of a key and its mark, or None when it is not there or has this mark.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        read: Callable[[str, str], tuple[bytes, str] | None],
        *,
        pause: float = PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._followed: list[_Followed] = []
        self._running = False

    @contextmanager
    def following(self, key: str, printer: Printer) -> Iterator[None]:
        """Meanwhile, print what the object of ``key`` says that the call printed."""
        entry = _Followed(key, printer, self._clock() + self._pause, self._pause)
        with self._lock:
            self._followed.append(entry)
            if not self._running:
                self._running = True
                threading.Thread(target=self._work, name="fal-follow", daemon=True).start()
        try:
            yield
        finally:
            entry.over = True
            with self._lock:
                self._followed.remove(entry)

    def _work(self) -> None:
        while True:
            time.sleep(self._pause)
            with self._lock:
                if not self._followed:
                    self._running = False
                    return
                due = [entry for entry in self._followed if entry.due <= self._clock()]
            for entry in due:
                self._look(entry)

    def _look(self, entry: _Followed) -> None:
        found = self._read(entry.key, entry.mark)
        # Quiet calls are asked less and less often.
        entry.pause = min(entry.pause * 1.5, PAUSE_MAX_S) if found is None else self._pause
        entry.due = self._clock() + entry.pause
        if found is not None and not entry.over:
            content, entry.mark = found
            entry.printer.show(json.loads(content))
