"""Which keys are used, and how often: counted in memory, written down about once a minute.

A request costs an addition here and no write. What a gateway counted and did not yet write is lost
with it, so that what is written is "at least so many", and "last" is right to about a minute.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL_S = 60.0
WRITES_MAX = 25
"""Keys written down at a time: on Lambda a request waits for it, some milliseconds for each."""
WAIT_MAX_S = 1.0
"""After so long no further key is written down in a request's time."""
COUNTED_MAX = 10_000
"""Keys and days that wait to be written; what comes beyond is not counted, and logged."""
_DAY_S = 86_400
_log = logging.getLogger("fal_serverless.gateway")


@dataclass(frozen=True)
class Use:
    """What a key did on one day since it was last written down.

    Attributes:
        day: ``2026-11-25``, UTC.
        errors: requests answered with 500 or above.
        last: epoch seconds of the latest request.
    """

    key_id: str
    day: str
    requests: int
    errors: int
    last: int


class KeyUses:
    """Counts; may be used by several threads."""

    def __init__(
        self,
        write: Callable[[Use], None],
        *,
        interval: float = INTERVAL_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is written yet.

        Args:
            write: adds a use to what is written of its key and day.
            interval: seconds between two times of writing.
            now: epoch seconds.
        """
        self._write = write
        self._interval = interval
        self._now = now
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, int], list[int]] = {}
        # The first request of an environment is written at once: it may be its only one.
        self._due_at = 0.0
        self._full = False

    def count(self, key_id: str, status: int) -> bool:
        """Count a request by its answer's status; whether it is time to ``flush``."""
        now = self._now()
        self._add((key_id, int(now // _DAY_S)), 1, int(status >= 500), int(now))
        if now < self._due_at:
            return False
        self._due_at = now + self._interval
        return True

    def flush(self, *, everything: bool = False) -> None:
        """Write down what was counted, as much as a request can wait for unless ``everything``.

        The next request writes more. What cannot be written is logged, and kept for the next
        time; nothing is raised.
        """
        began = self._now()
        with self._lock:
            taken = list(self._counts)[: None if everything else WRITES_MAX]
            counted = {key: self._counts.pop(key) for key in taken}
            if self._counts:
                self._due_at = 0.0
        while counted:
            if not everything and self._now() - began > WAIT_MAX_S:
                self._put_back(counted)
                self._due_at = 0.0
                return
            (key_id, day), (requests, errors, last) = next(iter(counted.items()))
            named = datetime.fromtimestamp(day * _DAY_S, timezone.utc).strftime("%Y-%m-%d")
            try:
                self._write(Use(key_id, named, requests, errors, last))
            except Exception as error:  # noqa: BLE001 - no request may fail for being counted
                _log.error("the use of %d keys is not written yet: %s", len(counted), error)
                self._put_back(counted)
                return
            del counted[key_id, day]

    def _put_back(self, counted: dict[tuple[str, int], list[int]]) -> None:
        for key, (requests, errors, last) in counted.items():
            self._add(key, requests, errors, last)

    def _add(self, key: tuple[str, int], requests: int, errors: int, last: int) -> None:
        with self._lock:
            found = self._counts.get(key)
            if found is not None:
                found[0] += requests
                found[1] += errors
                found[2] = max(found[2], last)
                return
            if len(self._counts) < COUNTED_MAX:
                self._counts[key] = [requests, errors, last]
                self._full = False
                return
            told, self._full = self._full, True
        if not told:
            _log.error("the use of more than %d keys waits to be written", COUNTED_MAX)


class Background:
    """Writes down what was counted from a thread of its own, where one may run."""

    def __init__(self, uses: KeyUses, interval: float) -> None:
        self._uses = uses
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="key-uses", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write down the rest, and end."""
        self._ended.set()
        self._thread.join()
        self._uses.flush(everything=True)

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            self._uses.flush(everything=True)
