"""From a lock to a Lambda layer: installed, thinned, compiled, checked, zipped, remembered."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fal_serverless.errors import PackagingError
from fal_serverless.package import elf, trim
from fal_serverless.package.archive import Entry, write_zip
from fal_serverless.package.bytecode import compiling
from fal_serverless.package.files import sha256_of, write_atomically
from fal_serverless.package.sizes import UNZIPPED_MAX
from fal_serverless.package.uv import failure, target_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fal_serverless.package.lock import Lock
    from fal_serverless.package.oci.tar import Sums
    from fal_serverless.package.uv import Runner
    from fal_serverless.spec import Environment

PREFIX = "python/"
_DROPPED_FOLDERS = {"__pycache__", "include"}
_TEST_FOLDERS = {"tests", "test"}
_DROPPED_SUFFIXES = (".pyi", ".pyc", ".h", ".hpp", ".pxd")
_DROPPED_NAMES = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", ".lock"}


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer's zip on this machine.

    Attributes:
        digest: names its content.
        size: bytes of the zip.
        parts: unzipped bytes by package.
        native: whether it holds shared objects.
        sha256: of the zip.
        trimmed: bytes that were left out on request, by kind.
        sums: of an image's layer of the same files, for what is too large for a layer of Lambda's.
        built: False when it was there already.
    """

    digest: str
    path: Path
    size: int
    parts: Mapping[str, int]
    native: bool
    sha256: str = ""
    trimmed: Mapping[str, int] = field(default_factory=dict)
    sums: Sums | None = None
    built: bool = False

    @property
    def unzipped(self) -> int:
        """Bytes, unzipped."""
        return sum(self.parts.values())


def build(lock: Lock, environment: Environment, cache: Path, run: Runner) -> Layer:
    """The layer of a lock, from the cache if it is there and whole.

    Raises:
        PackagingError: installing failed.
        ArchitectureError: a shared object is not made for the target.
    """
    folder = cache / "layers"
    with building(folder, lock.digest) as found:
        if found is not None:
            return found
        with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as temporary:
            root = Path(temporary) / "python"
            install(lock, environment, root, run)
            files = keep(root)
            dropped = trim.find(root, files, environment.trim)
            files = [name for name in files if name not in dropped]
            with compiling(root, files, f"/opt/{PREFIX}") as compiled:
                native = check_native(root, files, environment)
            files = sorted({*files, *compiled})
            trimmed = trim.freed(root, dropped)
            return store(folder, lock.digest, root, files, native=native, trimmed=trimmed)


@contextmanager
def building(folder: Path, digest: str) -> Iterator[Layer | None]:
    """The cached layer; or None, for who makes it now and may do so alone."""
    found = remembered(folder, digest)
    if found is not None:
        yield found
        return
    # Imported here, since it brings an event loop, and most layers are there.
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{digest}.lock"):
        # Somebody else may have made it while they were waited for.
        yield remembered(folder, digest)


def install(lock: Lock, environment: Environment, root: Path, run: Runner) -> None:
    """Unpack the lock's wheels into ``root``.

    Raises:
        PackagingError: uv or the package index failed.
    """
    root.mkdir(parents=True)
    pylock = root.parent / "pylock.toml"
    pylock.write_text(lock.text, encoding="utf-8")
    arguments = ["pip", "install", "--quiet", "--no-deps", "--target", str(root)]
    ran = run([*arguments, *target_arguments(environment), "-r", str(pylock)])
    if ran.status:
        raise failure(ran, environment)


def keep(root: Path) -> list[str]:
    """Names (relative, with ``/``) of the files that a layer needs."""
    found = []
    for folder, _, files in os.walk(root):
        within = Path(folder).relative_to(root)
        for file in files:
            path = os.path.join(folder, file)  # noqa: PTH118 - thousands of them
            if stat.S_ISREG(os.lstat(path).st_mode) and not _dropped(within / file):
                found.append((within / file).as_posix())
    return sorted(found)


def _dropped(name: Path) -> bool:
    if name.suffix == ".pyc" and name.parent.name == "__pycache__":
        return False
    if name.parts[0] == "bin":
        return True
    if name.name in _DROPPED_NAMES and name.parent.name.endswith(".dist-info"):
        return True
    if name.name == ".lock" or name.suffix in _DROPPED_SUFFIXES:
        return True
    if _DROPPED_FOLDERS.intersection(name.parts[:-1]):
        return True
    # Libraries import helpers out of their tests (numpy.testing does), but never the tests.
    helper = name.suffix == ".py" and not name.name.startswith(("test_", "conftest"))
    return bool(_TEST_FOLDERS.intersection(name.parts[:-1])) and not helper


def check_native(root: Path, files: list[str], environment: Environment) -> bool:
    """Check every shared object; whether there is any."""
    objects = [name for name in files if elf.is_shared_object(name)]
    for name in objects:
        elf.check(root / name, name, environment)
    return bool(objects)


def store(
    folder: Path,
    digest: str,
    root: Path,
    files: list[str],
    *,
    native: bool,
    trimmed: Mapping[str, int] | None = None,
) -> Layer:
    """Zip ``files`` of ``root`` into the cache.

    Args:
        trimmed: bytes that were left out, by kind.
    """
    parts: dict[str, int] = {}
    for name in files:
        part = name.partition("/")[0].partition("-")[0]
        parts[part] = parts.get(part, 0) + (root / name).stat().st_size
    temporary = root.parent / "layer.zip"
    entries = {PREFIX + name: _entry(root / name) for name in files}
    sums = None
    if sum(parts.values()) > UNZIPPED_MAX:
        from fal_serverless.package.oci.tar import OPT, summing

        # It will be part of an image: summed up now, while its files are in memory.
        with summing(OPT) as watch:
            write_zip(temporary, entries, watch)
            sums = watch.end({})
    else:
        write_zip(temporary, entries)
    target = folder / f"{digest}.zip"
    about = {
        "size": temporary.stat().st_size,
        "sha256": sha256_of(temporary),
        "parts": parts,
        "native": native,
        "trimmed": dict(trimmed or {}),
        "sums": asdict(sums) if sums else None,
    }
    temporary.replace(target)
    # Last: a zip without its description is built again.
    write_atomically(folder / f"{digest}.json", json.dumps(about).encode())
    return _layer(digest, target, about, built=True)


def _entry(path: Path) -> Entry:
    # Packages bring programs of their own, such as ffmpeg.
    return Entry(path, executable=bool(path.stat().st_mode & 0o100))


def remembered(folder: Path, digest: str) -> Layer | None:
    """The cached layer, or None when it is not there or not whole."""
    path = folder / f"{digest}.zip"
    try:
        about = json.loads((folder / f"{digest}.json").read_bytes())
        whole = path.stat().st_size == about["size"] and sha256_of(path) == about["sha256"]
        return _layer(digest, path, about, built=False) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _layer(digest: str, path: Path, about: Mapping[str, object], *, built: bool) -> Layer:
    parts, size, sums, trimmed = (about[key] for key in ("parts", "size", "sums", "trimmed"))
    if not (isinstance(parts, dict) and isinstance(size, int) and isinstance(trimmed, dict)):
        raise PackagingError(
            "A cached layer cannot be read.",
            reason=f"{path.name}'s description is damaged",
            hint=f"delete {path.parent} and run it again",
        )
    return Layer(
        digest=digest,
        path=path,
        size=size,
        parts=parts,
        native=bool(about["native"]),
        sha256=str(about["sha256"]),
        trimmed=trimmed,
        sums=_sums(sums) if isinstance(sums, dict) else None,
        built=built,
    )


def _sums(values: Mapping[str, Any]) -> Sums:
    from fal_serverless.package.oci.tar import Sums

    return Sums(**values)
