"""The other side of ``sync_dir``: a folder of the persistent data becomes like the caller's.

An index beside the files remembers their digests, so that only what changed is read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fal_serverless.runtime.transfer import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

INDEX = ".fal_sync"
"""In the folder: for each file its size, time of change in nanoseconds, and SHA-256."""
_CHUNK = 1 << 20


def differing(target: str, wanted: Mapping[str, Sequence[Any]], force: bool) -> list[str]:
    """Names of the files that are not there as wanted.

    Args:
        target: folder, relative to that of the persistent data.
        wanted: size in bytes and SHA-256 by name.
        force: all of them.
    """
    root = folder(target)
    index = _read_index(root)
    found = []
    for name, (size, digest) in wanted.items():
        path = inside(root, name)
        there = path.is_file() and not path.is_symlink() and path.stat().st_size == size
        if force or not there or _digest(path, index.get(name)) != digest:
            found.append(name)
    return found


def receive(target: str, url: str, wanted: Mapping[str, Sequence[Any]]) -> None:
    """Take files out of a tar at a signed address; each is in place once it is whole.

    Raises:
        OSError: the archive ended early, or a file is not the one that was announced.
    """
    root = folder(target)
    with opened(url) as response, tarfile.open(fileobj=response, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if member.name not in wanted or content is None:
                raise OSError(f"{member.name!r} was not announced")
            path = inside(root, member.name)
            _make_room(root, path)
            _place(path, content, member.mode, wanted[member.name][1])


def finish(target: str, wanted: Mapping[str, Sequence[Any]]) -> int:
    """Delete what is not wanted, and write the index; how many files went."""
    root = folder(target)
    root.mkdir(parents=True, exist_ok=True)
    gone = 0
    for path, name in _files(root):
        if name not in wanted and name != INDEX:
            path.unlink()
            gone += 1
    for place, _, _ in os.walk(root, topdown=False):
        if Path(place) != root and not os.listdir(place):  # noqa: PTH208 - as os.walk gives it
            Path(place).rmdir()
    index = {}
    for name, (size, digest) in wanted.items():
        index[name] = [size, inside(root, name).stat().st_mtime_ns, digest]
    _write(root / INDEX, json.dumps(index).encode())
    return gone


def folder(target: str) -> Path:
    """The folder, which need not exist.

    Raises:
        ValueError: it would lie outside of the persistent data.
    """
    return inside(Path(os.environ["FAL_DATA_DIR"]), target)


def inside(root: Path, name: str) -> Path:
    """A path below ``root``; links are not looked at.

    Raises:
        ValueError: it is none.
    """
    path = Path(os.path.normpath(root / name))
    if not path.is_relative_to(root) or path == root:
        raise ValueError(f"{name!r} is not inside of {root}")
    return path


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    for place, folders, names in os.walk(root):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in [*names, *links]:
            path = Path(place) / name
            yield path, path.relative_to(root).as_posix()


def _digest(path: Path, known: Sequence[Any] | None) -> str:
    about = path.stat()
    if known and list(known[:2]) == [about.st_size, about.st_mtime_ns]:
        return str(known[2])
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            hashed.update(block)
    return hashed.hexdigest()


def _make_room(root: Path, path: Path) -> None:
    """Below ``root``, what is a file and is to be a folder goes, and the other way round."""
    for parent in reversed(list(path.relative_to(root).parents)[:-1]):
        if (root / parent).is_symlink() or (root / parent).is_file():
            (root / parent).unlink()
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)


def _place(path: Path, content: IO[bytes], mode: int, digest: str) -> None:
    hashed = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".fal-", delete=False) as file:
        try:
            while block := content.read(_CHUNK):
                hashed.update(block)
                file.write(block)
            if hashed.hexdigest() != digest:
                raise OSError(f"{path.name} changed while it was sent")
            file.flush()
            os.chmod(file.name, (mode & 0o777) | 0o600)  # noqa: PTH101 - the file is open
            os.replace(file.name, path)  # noqa: PTH105 - the same
        except BaseException:
            os.unlink(file.name)  # noqa: PTH108 - the same
            raise


def _read_index(root: Path) -> dict[str, Any]:
    try:
        found = json.loads((root / INDEX).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".fal-", delete=False) as file:
        file.write(content)
    os.replace(file.name, path)  # noqa: PTH105 - a name
