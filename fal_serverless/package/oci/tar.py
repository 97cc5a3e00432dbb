"""Layers of images: gzipped tars whose bytes depend on their content alone. Memory is bounded."""

from __future__ import annotations

import hashlib
import io
import json
import os
import queue
import stat
import struct
import tarfile
import threading
import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from isal import igzip, isal_zlib

from fal_serverless.package.files import sha256_of, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
LEVEL = 2
CHUNK = 1 << 20
_NAME_AT = 26  # in a local header: the lengths of name and extra field


@dataclass(frozen=True)
class Blob:
    """A layer's file on this machine.

    Attributes:
        digest: of the gzipped tar.
        size: bytes of it.
        diff_id: digest of the tar inside.
    """

    digest: str
    size: int
    diff_id: str
    path: Path


class _Hashing(io.RawIOBase):
    """Passes bytes on, and hashes them."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner = inner
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]  # anything that tarfile writes
        self.hash.update(view)
        self._inner.write(view)
        return view.nbytes


class _Member(io.RawIOBase):
    """The content of a file in a zip, inflated by isal: twice as fast as zipfile's zlib."""

    def __init__(self, raw: IO[bytes], info: zipfile.ZipInfo) -> None:
        raw.seek(info.header_offset + _NAME_AT)
        name, extra = struct.unpack("<HH", raw.read(4))
        raw.seek(name + extra, os.SEEK_CUR)
        self._raw, self._info = raw, info
        self._left, self._crc, self._buffer = info.compress_size, 0, b""
        stored = info.compress_type == zipfile.ZIP_STORED
        self._inflate = None if stored else isal_zlib.decompressobj(-15)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while self._left and len(self._buffer) < size:
            piece = self._raw.read(min(self._left, CHUNK // 4))
            self._left -= len(piece)
            self._buffer += self._inflate.decompress(piece) if self._inflate else piece
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        self._crc = isal_zlib.crc32(found, self._crc)
        if not self._left and not self._buffer and self._crc != self._info.CRC:
            raise zipfile.BadZipFile(f"{self._info.filename} is damaged")
        return found


class _Piped(io.RawIOBase):
    """Hands bytes to a thread that writes them; a few pieces at most are on their way."""

    def __init__(self, inner: io.RawIOBase) -> None:
        self._inner = inner
        self._pieces: queue.Queue[bytes | None] = queue.Queue(maxsize=4)
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="layer", daemon=True)
        self._thread.start()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        if self._failed:
            raise self._failed
        piece = bytes(memoryview(data))  # type: ignore[arg-type]  # anything that tarfile writes
        self._pieces.put(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._pieces.put(None)
            self._thread.join()
        super().close()

    def __exit__(self, *raised: object) -> None:
        self.close()
        if self._failed and raised[0] is None:
            raise self._failed

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            if self._failed is None:
                try:
                    self._inner.write(piece)
                except BaseException as error:  # noqa: BLE001 - told to whoever writes
                    self._failed = error


def write_layer(
    target: Path, zips: Iterable[tuple[Path, str]], links: Mapping[str, str] | None = None
) -> Blob:
    """Write a layer of the files of zips.

    Args:
        zips: each with the folder that its files lie in, such as ``"opt/"``.
        links: symbolic links, by name.
    """
    with target.open("wb") as file:
        outer = _Hashing(file)
        gzip: Any = igzip.IGzipFile
        with gzip(filename="", mode="wb", compresslevel=LEVEL, fileobj=outer, mtime=0) as squeezed:
            inner = _Hashing(squeezed)
            open_tar: Any = tarfile.open
            # Inflating and writing the tar here, hashing and deflating it there.
            with (
                _Piped(inner) as piped,
                open_tar(fileobj=piped, mode="w|", bufsize=CHUNK, copybufsize=CHUNK) as tar,
            ):
                _fill(tar, zips, links or {})
    return Blob(
        f"sha256:{outer.hash.hexdigest()}",
        target.stat().st_size,
        f"sha256:{inner.hash.hexdigest()}",
        target,
    )


def _fill(tar: tarfile.TarFile, zips: Iterable[tuple[Path, str]], links: Mapping[str, str]) -> None:
    made: set[str] = set()
    for path, prefix in zips:
        with zipfile.ZipFile(path) as source, path.open("rb") as raw:
            for info in sorted(source.infolist(), key=lambda item: item.filename):
                name = prefix + info.filename
                _folders(tar, name, made)
                entry = tarfile.TarInfo(name)
                entry.size = info.file_size
                executable = (info.external_attr >> 16) & stat.S_IXUSR
                entry.mode = 0o755 if executable else 0o644
                tar.addfile(entry, _Member(raw, info))
    for name, place in sorted(links.items()):
        _folders(tar, name, made)
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, place, 0o777
        tar.addfile(entry)


def _folders(tar: tarfile.TarFile, name: str, made: set[str]) -> None:
    """The folders above a name: some unpackers make none by themselves."""
    parts = name.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        folder = "/".join(parts[:count])
        if folder not in made:
            made.add(folder)
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)


def layer_of_zip(zipped: Path, prefix: str, name: str, folder: Path) -> Blob:
    """The layer of one zip, remembered in ``folder`` by ``name``."""
    target, about = folder / f"{name}.tar.gz", folder / f"{name}.tar.json"
    try:
        known = json.loads(about.read_bytes())
        if target.stat().st_size == known["size"] and _digest(target) == known["digest"]:
            return Blob(known["digest"], known["size"], known["diff_id"], target)
    except (OSError, ValueError, KeyError):
        pass  # not there, or not whole: it is made anew
    temporary = folder / f".{name}.part"
    made = write_layer(temporary, [(zipped, prefix)])
    temporary.replace(target)
    known = {"digest": made.digest, "size": made.size, "diff_id": made.diff_id}
    write_atomically(about, json.dumps(known).encode())
    return Blob(made.digest, made.size, made.diff_id, target)


def _digest(path: Path) -> str:
    return f"sha256:{sha256_of(path)}"
