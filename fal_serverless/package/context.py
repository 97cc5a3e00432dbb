"""From a Dockerfile to what it is built from: the files of its context, named by their content."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fal_serverless.errors import SpecError
from fal_serverless.package.archive import Entry, write_zip
from fal_serverless.package.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fal_serverless.images import Dockerfile

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Context:
    """The files that a Dockerfile is built from.

    Attributes:
        digest: of names, modes, contents, the Dockerfile's name and the architecture.
        dockerfile: its name in the context.
        files: by name in the context.
    """

    digest: str
    dockerfile: str
    files: Mapping[str, Entry]

    @property
    def tag(self) -> str:
        """The image's, in the stack's repository: the same files are built once."""
        return f"dockerfile-{self.digest[:40]}"

    def write(self, target: Path) -> None:
        """Zip the files; the same files make the same bytes."""
        write_zip(target, self.files)


def look(dockerfile: Dockerfile, folder: Path, architecture: str) -> Context:
    """The context of a Dockerfile; what ``.dockerignore`` names is left out.

    Args:
        folder: of the function's file.

    Raises:
        SpecError: the Dockerfile or its context is not there, or holds what cannot travel.
    """
    path = (folder / dockerfile.path).resolve()
    root = (folder / dockerfile.context).resolve() if dockerfile.context else path.parent
    if not path.is_file():
        raise _unbuildable(dockerfile, f"there is no file {path}", "correct its path")
    if not root.is_dir() or not path.is_relative_to(root):
        raise _unbuildable(
            dockerfile, f"it does not lie in its context {root}", "name a folder that holds it"
        )
    name = path.relative_to(root).as_posix()
    files = {item: _entry(root, item, dockerfile) for item in _names(root, path, name)}
    sums = [str(FORMAT), name, architecture]
    for item, entry in sorted(files.items()):
        sums.append(f"{item}\0{entry.executable}\0{sha256_of(root / item)}")
    digest = hashlib.sha256("\n".join(sums).encode()).hexdigest()
    return Context(digest=digest, dockerfile=name, files=files)


def _names(root: Path, path: Path, name: str) -> list[str]:
    """Names of the files in a context, as Docker's own library reads ``.dockerignore``."""
    from docker.utils.build import exclude_paths

    # One beside the Dockerfile comes before the context's.
    ignoring = path.with_name(f"{path.name}.dockerignore")
    if not ignoring.is_file():
        ignoring = root / ".dockerignore"
    lines = ignoring.read_text(encoding="utf-8-sig").splitlines() if ignoring.is_file() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found = exclude_paths(str(root), patterns, dockerfile=name)
    return sorted(
        item.replace(os.sep, "/")
        for item in found
        if (root / item).is_symlink() or not (root / item).is_dir()
    )


def _entry(root: Path, name: str, dockerfile: Dockerfile) -> Entry:
    path = root / name
    if path.is_symlink() or not path.is_file():
        raise _unbuildable(
            dockerfile,
            f"its context holds '{name}', which is a link or no plain file",
            f"name it in {root / '.dockerignore'}, or put a file there",
        )
    return Entry(path, executable=bool(path.stat().st_mode & 0o100))


def _unbuildable(dockerfile: Dockerfile, why: str, hint: str) -> SpecError:
    return SpecError(f"The Dockerfile '{dockerfile.path}' cannot be built.", reason=why, hint=hint)
