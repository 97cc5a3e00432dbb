"""Requests from the queue: bodies of any size, and what is printed for those who wait.

The queue's worker sends signed addresses along: ``body`` to read, ``answer`` and ``logs`` to write.
"""

from __future__ import annotations

import io
import json
import sys
import threading
from collections import deque
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from fal_serverless.runtime.capture import captured
from fal_serverless.runtime.transfer import download, upload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAUSE_S = 1.0
"""Between two uploads of what was printed."""
LEVELS = {"out": "STDOUT", "err": "STDERR"}
LINES_MAX = 1_000
LINE_MAX = 4_000
SIZE_MAX = 300_000
"""Lines, characters of a line, and characters in all, of the log that is shown with the status:
what JSON twice over makes of them stays below what Lambda carries. CloudWatch has everything."""


def fetch(job: Mapping[str, str]) -> bytes | None:
    """The body that did not fit into the event, or None when it did.

    Raises:
        OSError: it cannot be had.
    """
    if "body" not in job:
        return None
    file = io.BytesIO()
    download(job["body"], file)
    return file.getvalue()


def store(job: Mapping[str, str], body: bytes) -> None:
    """Store a body that does not fit into the answer.

    Raises:
        OSError: it cannot be stored.
    """
    upload(job["answer"], io.BytesIO(body), len(body))


@contextmanager
def shown(url: str) -> Iterator[None]:
    """Show what is printed meanwhile to whoever asks for the request's status with its log."""
    journal = Journal(url)
    with captured(lambda stream, text: journal.add(LEVELS[stream], text)), journal.uploading():
        yield


class Journal:
    """Lines with their times, uploaded now and then as one object. Safe for several threads."""

    def __init__(self, url: str, pause: float = PAUSE_S) -> None:
        self._url = url
        self._pause = pause
        self._lock = threading.Lock()
        self._lines: deque[dict[str, str]] = deque()
        self._size = 0
        self._open = {"STDOUT": "", "STDERR": ""}
        self._dropped = 0
        self._changed = False

    def add(self, level: str, text: str) -> None:
        """Note what was printed; a line counts once it ends."""
        with self._lock:
            *ended, self._open[level] = (self._open[level] + text).split("\n")
            for line in ended:
                self._line(level, line)
            while len(self._open[level]) > LINE_MAX:
                self._line(level, self._open[level][:LINE_MAX])
                self._open[level] = self._open[level][LINE_MAX:]

    def lines(self) -> list[dict[str, str]]:
        """What is shown: the last lines, and how many came before them."""
        with self._lock:
            if not self._dropped:
                return list(self._lines)
            text = f"({self._dropped} earlier lines are in the function's log)"
            return [{**self._lines[0], "message": text}, *self._lines]

    @contextmanager
    def uploading(self) -> Iterator[None]:
        """Upload in the background, and what is left at the end."""
        over = threading.Event()

        def work() -> None:
            while not over.wait(self._pause):
                self._upload()

        thread = threading.Thread(target=work, name="fal-logs", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            with self._lock:
                for level, rest in self._open.items():
                    if rest:
                        self._line(level, rest)
            self._upload()

    def _line(self, level: str, text: str) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        entry = {
            "timestamp": now.replace("+00:00", "Z"),
            "level": level,
            "source": "USER",
            "message": text[:LINE_MAX],
        }
        self._lines.append(entry)
        self._changed = True
        self._size += len(entry["message"])
        while len(self._lines) > LINES_MAX or self._size > SIZE_MAX:
            self._size -= len(self._lines.popleft()["message"])
            self._dropped += 1

    def _upload(self) -> None:
        with self._lock:
            changed, self._changed = self._changed, False
        if not changed:
            return
        content = json.dumps(self.lines()).encode()
        try:
            upload(self._url, io.BytesIO(content), len(content))
        except OSError as error:
            # A log that cannot be shown is no reason to fail the request.
            self._changed = True
            print(f"the request's log is not shown: {error}", file=sys.__stderr__)
