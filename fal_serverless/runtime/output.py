"""What a call prints: kept for its answer, and shown to its caller while it runs."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fal_serverless.runtime.transfer import upload

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUT_MAX = 262_144
"""Characters of printed text that are brought back, the last ones."""
PAUSE_S = 1.0
"""Between two uploads of what was printed; calls that end before the first one upload nothing."""
_PIECE = 16_384


class Output:
    """Keeps the last of what is printed. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: deque[list[str]] = deque()
        self._size = 0
        self._dropped = 0

    def add(self, stream: str, text: str) -> None:
        """Keep a piece; the oldest make room."""
        with self._lock:
            last = self._parts[-1] if self._parts else None
            if last and last[0] == stream and len(last[1]) < _PIECE:
                last[1] += text
            else:
                self._parts.append([stream, text])
            self._size += len(text)
            while self._size > OUTPUT_MAX:
                self._drop(self._size - OUTPUT_MAX)

    def told(self) -> dict[str, Any]:
        """``output``: pairs of "out" or "err" and text, and how many characters came before."""
        with self._lock:
            return {
                "output": [list(part) for part in self._parts],
                "output_from": self._dropped,
            }

    @property
    def end(self) -> int:
        """Characters that were printed in all."""
        with self._lock:
            return self._dropped + self._size

    def _drop(self, surplus: int) -> None:
        first = self._parts[0]
        count = min(surplus, len(first[1]))
        first[1] = first[1][count:]
        self._size -= count
        self._dropped += count
        if not first[1]:
            self._parts.popleft()


@contextmanager
def shown(output: Output, url: str, pause: float = PAUSE_S) -> Iterator[None]:
    """Upload what was printed to a signed address now and then; the end comes with the answer."""
    if not url:
        yield
        return
    over = threading.Event()

    def work() -> None:
        seen = 0
        while not over.wait(pause):
            end = output.end
            if end == seen:
                continue
            content = json.dumps(output.told()).encode()
            try:
                upload(url, io.BytesIO(content), len(content))
                seen = end
            except OSError as error:
                # Output that cannot be shown yet is no reason to fail the call.
                print(f"the call's output is not shown: {error}", file=sys.__stderr__)

    thread = threading.Thread(target=work, name="fal-output", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
