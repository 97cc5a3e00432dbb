"""The bundle: what lies at /var/task for one revision."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fal_serverless.errors import SpecError
from fal_serverless.frozen import Frozen
from fal_serverless.package.archive import Entry, write_zip
from fal_serverless.package.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fal_serverless.spec import FunctionSpec

FORMAT = 1
RESERVED = frozenset({"function.pkl", "spec.json", "openapi.json"})


class Bundle(Frozen, kw_only=True):
    """A bundle's zip on this machine.

    Attributes:
        sha256: of the zip, hex; names it.
        size: bytes of the zip.
        unzipped: bytes.
    """

    sha256: str
    path: Path
    size: int
    unzipped: int


def entries(
    spec: FunctionSpec,
    pickled: bytes,
    *,
    arguments: Mapping[str, Any] | None,
    openapi: Mapping[str, Any] | None,
    native: bool,
    extra: Iterable[tuple[str, Path]],
) -> dict[str, Entry]:
    """The bundle's files by name.

    Raises:
        SpecError: a file of the user has a name that the bundle needs itself.
    """
    about = {
        "format": FORMAT,
        "name": spec.name,
        "mode": spec.mode,
        "python": spec.environment.python,
        "architecture": spec.environment.architecture,
        "native": native,
        "pickle_sha256": hashlib.sha256(pickled).hexdigest(),
        "port": spec.port,
        "timeout": spec.timeout,
        "arguments": dict(arguments or {}),
        "secrets": list(spec.secrets),
    }
    found = {
        "function.pkl": Entry(pickled),
        "spec.json": Entry(json.dumps(about, sort_keys=True).encode()),
    }
    if openapi is not None:
        found["openapi.json"] = Entry(json.dumps(openapi).encode())
    for name, path in extra:
        if name in RESERVED:
            raise SpecError(
                f"The file '{name}' cannot travel along.",
                reason="the bundle has a file of that name itself",
                hint="rename it, or put it into a folder",
            )
        found[name] = Entry(path, executable=bool(path.stat().st_mode & 0o100))
    return found


def user_files(files: Iterable[str], folder: Path) -> list[tuple[str, Path]]:
    """(name in the bundle, path) of what the option ``files`` names, relative to ``folder``.

    Raises:
        SpecError: there is no such file, or it lies outside of the folder.
    """
    found = []
    for text in files:
        path = (folder / Path(text).expanduser()).resolve()
        if not path.exists():
            raise SpecError(
                f"There is no file '{text}'.",
                reason=f"files=[…] names it, and looked for {path}",
                hint="name files relative to the function's own file",
            )
        if not path.is_relative_to(folder):
            raise SpecError(
                f"'{text}' cannot travel along.",
                reason=f"it lies outside of {folder}",
                hint="put it beside the function's file",
            )
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [
            (item.relative_to(folder).as_posix(), item)
            for item in inside
            if item.is_file() and "__pycache__" not in item.parts
        ]
    return found


def write(folder: Path, files: Mapping[str, Entry]) -> Bundle:
    """Write the zip into ``folder``, named by its content."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "bundle.zip"
    write_zip(temporary, files)
    digest = sha256_of(temporary)
    unzipped = sum(
        len(entry.content) if isinstance(entry.content, bytes) else entry.content.stat().st_size
        for entry in files.values()
    )
    path = temporary.rename(folder / f"{digest}.zip")
    return Bundle(sha256=digest, path=path, size=path.stat().st_size, unzipped=unzipped)
