"""A temporary file that stays in memory while it is small."""

from __future__ import annotations

import tempfile
from typing import Any


class Spool(tempfile.SpooledTemporaryFile[bytes]):
    """Goes to the disk before it is too large for memory.

    The library's own looks afterwards: one large write, such as pickle's of an array, would lie in
    memory twice.
    """

    def __init__(self, max_size: int) -> None:
        super().__init__(max_size=max_size)
        self._in_memory = max_size

    def write(self, block: Any) -> int:
        """Write bytes, or anything that holds them."""
        if self.tell() + memoryview(block).nbytes > self._in_memory:
            self.rollover()
        return super().write(block)
