"""What is printed, beside printing it."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def captured(note: Callable[[str, str], None]) -> Iterator[None]:
    """Tell ``note`` of all that is printed meanwhile: ``"out"`` or ``"err"``, and the text."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Tee(before[0], "out", note), _Tee(before[1], "err", note)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Tee(io.TextIOBase):
    def __init__(self, inner: Any, stream: str, note: Callable[[str, str], None]) -> None:
        self._inner = inner
        self._stream = stream
        self._note = note

    def write(self, text: str) -> int:
        self._note(self._stream, text)
        self._inner.write(text)
        return len(text)

    def flush(self) -> None:
        self._inner.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._inner.fileno())
