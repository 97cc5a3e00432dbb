"""Zips whose bytes depend on their content alone: sorted, with fixed times and modes.

Every file is compressed by itself, in blocks that end on a whole byte, and its stream ends with
``END``: so that an image's layer is made of the same compressed bytes (``oci/tar.py``).
"""

from __future__ import annotations

import struct
import zipfile
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO, Protocol

from isal import isal_zlib

from fal_serverless.errors import PackagingError
from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path

LEVEL = 2
"""isal's level: a tenth larger than zlib's 6, ten times as fast."""
BLOCK = 1 << 20
"""Bytes that are compressed at a time: what threads share, and what bounds the memory."""
END = b"\x03\x00"
"""Ends a deflated stream: an empty last block."""
_WORKERS = 2
_AHEAD = 16
_MADE_BY_UNIX = 0x0314
_DATE = (1 << 5) | 1  # 1980-01-01, the first day that a zip can name
_BIG = 0xFFFFFFFF
_LOCAL = b"PK\x03\x04"


class Entry(Frozen):
    """One file of a zip: its bytes or where they are, and whether it is executable."""

    content: bytes | Path
    executable: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        if isinstance(self.content, bytes):
            return len(self.content)
        return self.content.stat().st_size


class Watcher(Protocol):
    """Sees the files of a zip go by, in their order."""

    def begin(self, name: str, size: int, *, executable: bool) -> None:
        """A file begins; ``size`` in bytes."""

    def block(self, raw: bytes, squeezed: bytes) -> None:
        """Its next block, plain and deflated."""


def write_zip(target: Path, entries: Mapping[str, Entry], watch: Watcher | None = None) -> None:
    """Write a zip of ``entries`` by name, compressed in threads; memory is bounded.

    Args:
        watch: sees what is compressed.

    Raises:
        PackagingError: a single file is above 4 GB, or changed while it was read.
    """
    ordered = [_File(name, entries[name], entries[name].size) for name in sorted(entries)]
    with target.open("wb") as file, ThreadPoolExecutor(_WORKERS) as pool:
        squeezed = _ahead(pool, ordered)
        directory = [_write(file, item, squeezed, watch) for item in ordered]
        _finish(file, directory)


def squeeze(raw: bytes) -> bytes:
    """``raw`` deflated, to a whole byte and without an end."""
    compress = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -15)
    return bytes(compress.compress(raw) + compress.flush(isal_zlib.Z_SYNC_FLUSH))


class _File(Frozen):
    name: str
    entry: Entry
    size: int

    @property
    def starts(self) -> range:
        """Where its blocks begin; an empty file has one as well."""
        return range(0, max(self.size, 1), BLOCK)


def _ahead(pool: ThreadPoolExecutor, files: Iterable[_File]) -> Iterator[tuple[bytes, bytes]]:
    """(plain, deflated) of every block in order; a few are compressed ahead."""
    waiting: deque[Future[tuple[bytes, bytes]]] = deque()
    for file in files:
        for start in file.starts:
            waiting.append(pool.submit(_pack, file.entry, start))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _pack(entry: Entry, start: int) -> tuple[bytes, bytes]:
    if isinstance(entry.content, bytes):
        raw = entry.content[start : start + BLOCK]
    else:
        with entry.content.open("rb") as file:
            file.seek(start)
            raw = file.read(BLOCK)
    return raw, squeeze(raw)


def _write(
    file: BinaryIO,
    item: _File,
    blocks: Iterator[tuple[bytes, bytes]],
    watch: Watcher | None,
) -> bytes:
    """Write one file; its line in the directory."""
    offset, name, size = file.tell(), item.name.encode(), item.size
    if size >= _BIG:
        raise _unfit(item.name, "it is above 4 GB, and zips of layers hold smaller files")
    if watch is not None:
        watch.begin(item.name, size, executable=item.entry.executable)
    # Put in at the end, when the sums are known.
    file.write(_LOCAL + _about(name, 0, 0, size) + name)
    crc = packed = seen = 0
    for _ in item.starts:
        raw, squeezed = next(blocks)
        file.write(squeezed)
        crc = isal_zlib.crc32(raw, crc)
        packed, seen = packed + len(squeezed), seen + len(raw)
        if watch is not None:
            watch.block(raw, squeezed)
    if seen != size:
        raise _unfit(item.name, "it changed while it was read")
    file.write(END)
    end = file.tell()
    about = _about(name, crc, packed + len(END), size)
    file.seek(offset)
    file.write(_LOCAL + about)
    file.seek(end)
    mode = 0o100755 if item.entry.executable else 0o100644
    return _line(about, name, mode, offset)


def _about(name: bytes, crc: int, packed: int, size: int) -> bytes:
    """What a file's own header and its line in the directory have in common."""
    how = (20, 0x0800, zipfile.ZIP_DEFLATED, 0, _DATE)
    return struct.pack("<HHHHHIIIHH", *how, crc, packed, size, len(name), 0)


def _line(about: bytes, name: bytes, mode: int, offset: int) -> bytes:
    """A file's line in the directory; far offsets go into zip64's extra field."""
    extra = struct.pack("<HHQ", 1, 8, offset) if offset >= _BIG else b""
    about = about[:-2] + struct.pack("<H", len(extra))
    tail = struct.pack("<HHHII", 0, 0, 0, mode << 16, min(offset, _BIG))
    return b"PK\x01\x02" + struct.pack("<H", _MADE_BY_UNIX) + about + tail + name + extra


def _finish(file: BinaryIO, directory: list[bytes]) -> None:
    start = file.tell()
    file.writelines(directory)
    size = file.tell() - start
    count = len(directory)
    if count >= 0xFFFF or start >= _BIG:
        end = start + size
        file.write(
            b"PK\x06\x06"
            + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, start)
            + b"PK\x06\x07"
            + struct.pack("<IQI", 0, end, 1)
        )
    short, near = min(count, 0xFFFF), min(start, _BIG)
    file.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, short, short, size, near, 0))


def _unfit(name: str, why: str) -> PackagingError:
    return PackagingError(
        f"The file '{name}' cannot be packed.", reason=why, hint="leave it out, or run it again"
    )
