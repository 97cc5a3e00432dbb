"""Our own layer: the runtime and cloudpickle, as they are installed here."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless.package.bytecode import compile_all
from fal_serverless.package.layer import PREFIX, Layer, building, keep, store
from fal_serverless.package.lock import LAYOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = (
    "__init__",
    "_version",
    "caching",
    "errors",
    "frozen",
    "function",
    "hosts",
    "images",
    "names",
    "spec",
    "values",
)
"""What a pickled function may refer to, beside the runtime itself."""


def runtime_digest(python: str) -> str:
    """What names the runtime's layer for a Python minor version: a digest of its content."""
    key = hashlib.sha256(f"{LAYOUT} {python}".encode())
    for name, path in sorted(_sources()):
        key.update(f"{name}\n".encode() + path.read_bytes())
    return key.hexdigest()


def build_runtime_layer(python: str, cache: Path) -> Layer:
    """The runtime's layer for a Python minor version, named by its content."""
    sources = dict(_sources())
    digest = runtime_digest(python)
    folder = cache / "layers"
    with building(folder, digest) as found:
        if found is not None:
            return found
        with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as temporary:
            root = Path(temporary) / "python"
            for name, path in sources.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, root / name)
            files = keep(root)
            files += compile_all(root, files, f"/opt/{PREFIX}")
            return store(folder, digest, root, sorted(files), native=False)


def _sources() -> Iterator[tuple[str, Path]]:
    import cloudpickle

    import fal_serverless

    ours = Path(fal_serverless.__file__).parent
    for name in MODULES:
        yield f"fal_serverless/{name}.py", ours / f"{name}.py"
    for folder, name in ((ours / "runtime", "fal_serverless/runtime"),):
        for path in sorted(folder.rglob("*.py")):
            yield f"{name}/{path.relative_to(folder).as_posix()}", path
    theirs = Path(cloudpickle.__file__).parent
    for path in sorted(theirs.glob("*.py")):
        yield f"cloudpickle/{path.name}", path
