"""Layers of images: gzipped tars whose bytes depend on their content alone. Memory is bounded.

A layer is never written: its gzip is the tar's headers between the compressed bytes that the zips
hold already. It is hashed when it is described, and read out of the zips when it is sent.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import queue
import stat
import struct
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any

from isal import isal_zlib

from fal_serverless.errors import PackagingError
from fal_serverless.package.archive import BLOCK, END, squeeze
from fal_serverless.package.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
OPT = "opt/"
"""Where Lambda unpacks layers, and images have them as well."""
CHUNK = 1 << 20
PIECE = 1 << 18
_DAMAGE: Any = isal_zlib.error  # its stub takes it for an instance
_NAME_AT = 26  # in a local header: the lengths of name and extra field
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflated, no name, no time, any system


@dataclass(frozen=True)
class Sums:
    """What is known of a layer without having it.

    Attributes:
        digest: of the gzipped tar.
        size: bytes of it.
        diff_id: digest of the tar inside.
        crc: of the tar.
        length: bytes of the tar.
    """

    digest: str
    size: int
    diff_id: str
    crc: int
    length: int


@dataclass(frozen=True)
class Blob:
    """A layer, as what its files come from.

    Attributes:
        zips: each with the folder that its files lie in, such as ``"opt/"``.
        links: symbolic links, by name.
    """

    sums: Sums
    zips: tuple[tuple[Path, str], ...]
    links: tuple[tuple[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """Of the gzipped tar."""
        return self.sums.digest

    @property
    def size(self) -> int:
        """Bytes of the gzipped tar."""
        return self.sums.size

    @property
    def diff_id(self) -> str:
        """Digest of the tar inside."""
        return self.sums.diff_id

    def chunks(self) -> Iterator[bytes]:
        """The gzipped tar, in pieces of about a megabyte."""
        waiting: list[bytes] = []
        size = 0
        for piece in self._pieces():
            waiting.append(piece)
            size += len(piece)
            if size >= CHUNK:
                yield b"".join(waiting)
                waiting, size = [], 0
        yield b"".join(waiting)

    def _pieces(self) -> Iterator[bytes]:
        headers = Headers()
        yield _HEAD
        for path, prefix in self.zips:
            with path.open("rb") as raw:
                for info in _members(path):
                    name, executable = prefix + info.filename, _executable(info)
                    yield squeeze(headers.file(name, info.file_size, executable=executable))
                    yield from _packed(raw, info)
        yield _tail(headers.end(dict(self.links)), self.sums.crc, self.sums.length)


class Headers:
    """What stands between the contents of a tar's files: whoever asks sends it first."""

    def __init__(self) -> None:
        self._folders: set[str] = set()
        self._padding = b""

    def file(self, name: str, size: int, *, executable: bool) -> bytes:
        """Before the content of a file of ``size`` bytes."""
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o755 if executable else 0o644
        found = self._padding + self._above(name) + _header(entry)
        self._padding = bytes(-size % tarfile.BLOCKSIZE)
        return found

    def end(self, links: Mapping[str, str]) -> bytes:
        """After the last file: symbolic links, and the end."""
        found = self._padding
        for name, place in sorted(links.items()):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, place, 0o777
            found += self._above(name) + _header(entry)
        return found + bytes(2 * tarfile.BLOCKSIZE)

    def _above(self, name: str) -> bytes:
        """The folders above a name: some unpackers make none by themselves."""
        found = b""
        for folder in itertools.accumulate(name.split("/")[:-1], "{}/{}".format):
            if folder not in self._folders:
                self._folders.add(folder)
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                found += _header(entry)
        return found


class Summing:
    """Sums up a layer from the blocks of its files, in a thread. An ``archive.Watcher``."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._headers = Headers()
        self._tar, self._gzip = hashlib.sha256(), hashlib.sha256()
        self._crc = self._length = self._size = 0
        self._blocks: queue.Queue[tuple[bytes, bytes] | None] = queue.Queue(maxsize=4)
        self._thread = threading.Thread(target=self._work, name="sums of a layer", daemon=True)

    def start(self) -> None:
        """Begin; ``stop`` must follow."""
        self._thread.start()
        self._blocks.put((b"", _HEAD))

    def stop(self) -> None:
        """End the thread, if it runs."""
        if self._thread.is_alive():
            self._blocks.put(None)
            self._thread.join()

    def begin(self, name: str, size: int, *, executable: bool) -> None:
        """A file begins; ``size`` in bytes."""
        raw = self._headers.file(self.prefix + name, size, executable=executable)
        self.block(raw, squeeze(raw))

    def block(self, raw: bytes, squeezed: bytes) -> None:
        """Its next block, plain and deflated; they need not be of the same place."""
        self._blocks.put((raw, squeezed))

    def end(self, links: Mapping[str, str]) -> Sums:
        """The sums, when no file is left."""
        raw = self._headers.end(links)
        self.block(raw, b"")
        self.stop()
        tail = _tail(raw, self._crc, self._length)
        self._gzip.update(tail)
        return Sums(
            digest=f"sha256:{self._gzip.hexdigest()}",
            size=self._size + len(tail),
            diff_id=f"sha256:{self._tar.hexdigest()}",
            crc=self._crc,
            length=self._length,
        )

    def _work(self) -> None:
        while (block := self._blocks.get()) is not None:
            raw, squeezed = block
            self._tar.update(raw)
            self._gzip.update(squeezed)
            self._crc = isal_zlib.crc32(raw, self._crc)
            self._length += len(raw)
            self._size += len(squeezed)


@contextmanager
def summing(prefix: str = "") -> Iterator[Summing]:
    """Sums up what its block shows it; ``end`` must be called inside.

    Args:
        prefix: folder that the files lie in, such as ``"opt/"``.
    """
    found = Summing(prefix)
    found.start()
    try:
        yield found
    finally:
        found.stop()


def describe(zips: Sequence[tuple[Path, str]], links: Mapping[str, str] | None = None) -> Blob:
    """The layer of the files of zips, which this package wrote.

    Args:
        zips: each with the folder that its files lie in, such as ``"opt/"``.
        links: symbolic links, by name.

    Raises:
        PackagingError: a zip is damaged, or not one of ours.
    """
    with summing() as sums:
        for path, prefix in zips:
            with path.open("rb") as raw:
                for info in _members(path):
                    sums.begin(prefix + info.filename, info.file_size, executable=_executable(info))
                    _inflate(raw, info, sums)
        found = sums.end(links or {})
    return Blob(found, tuple(zips), tuple((links or {}).items()))


def remembered(zipped: Path, prefix: str, known: Path) -> Blob:
    """The layer of one zip, described once; ``known`` is the file that remembers it.

    Raises:
        PackagingError: the zip is damaged.
    """
    try:
        return Blob(Sums(**json.loads(known.read_bytes())), ((zipped, prefix),))
    except (OSError, ValueError, TypeError):
        pass  # not there, or not whole: it is made anew
    made = describe([(zipped, prefix)])
    write_atomically(known, json.dumps(asdict(made.sums)).encode())
    return made


def _members(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as source:
            return sorted(source.infolist(), key=lambda item: item.filename)
    except zipfile.BadZipFile as error:
        raise _damaged(path.name) from error


def _packed(raw: IO[bytes], info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The compressed bytes of a file in a zip, without their end."""
    raw.seek(info.header_offset + _NAME_AT)
    name, extra = struct.unpack("<HH", raw.read(4))
    raw.seek(name + extra, os.SEEK_CUR)
    left = info.compress_size - len(END)
    while left > 0:
        piece = raw.read(min(left, PIECE))
        if not piece:
            raise _damaged(info.filename)
        left -= len(piece)
        yield piece
    if left or raw.read(len(END)) != END:
        raise _damaged(info.filename)


def _inflate(raw: IO[bytes], info: zipfile.ZipInfo, sums: Summing) -> None:
    inflate, crc = isal_zlib.decompressobj(-15), 0
    try:
        for piece in _packed(raw, info):
            sums.block(b"", piece)
            while piece:
                # In steps: a piece that is all zeros becomes a thousand times as much.
                plain = inflate.decompress(piece, BLOCK)
                piece = inflate.unconsumed_tail
                crc = isal_zlib.crc32(plain, crc)
                sums.block(plain, b"")
    except _DAMAGE as error:
        raise _damaged(info.filename) from error
    if crc != info.CRC:
        raise _damaged(info.filename)


def _executable(info: zipfile.ZipInfo) -> bool:
    return bool((info.external_attr >> 16) & stat.S_IXUSR)


def _tail(raw: bytes, crc: int, length: int) -> bytes:
    return squeeze(raw) + END + struct.pack("<II", crc, length & 0xFFFFFFFF)


def _header(entry: Any) -> bytes:
    return bytes(entry.tobuf(tarfile.PAX_FORMAT, "utf-8"))


def _damaged(name: str) -> PackagingError:
    return PackagingError(
        f"The packed '{name}' cannot be read.",
        reason="the cached zip that holds it is damaged",
        hint="delete the cache folder in FAL_HOME (~/.fal-serverless/cache), and run it again",
    )
