"""What the blobs of an image are sent from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 1 << 20
"""Bytes that are read and sent at a time."""


class Content(Protocol):
    """What a blob is sent from, as often as it takes."""

    @property
    def size(self) -> int:
        """Bytes."""

    def chunks(self) -> Iterator[bytes]:
        """The content from its beginning."""


@dataclass(frozen=True)
class InFile:
    """A file."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        """The content from its beginning."""
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


@dataclass(frozen=True)
class InMemory:
    """Bytes."""

    content: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content)

    def chunks(self) -> Iterator[bytes]:
        """The content from its beginning."""
        yield self.content
