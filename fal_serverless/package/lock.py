"""Requirements resolved for the target: exact wheels with hashes, remembered by their question."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any

from fal_serverless.errors import PackagingError
from fal_serverless.frozen import Frozen
from fal_serverless.package.files import write_atomically
from fal_serverless.package.uv import failure, target_arguments

if TYPE_CHECKING:
    from pathlib import Path

    from fal_serverless.package.uv import Runner
    from fal_serverless.spec import Environment

LAYOUT = 3
"""Version of the rules that make a layer from wheels; a new one makes new layers."""


class Wheel(Frozen, kw_only=True):
    """One wheel of a lock."""

    name: str
    version: str
    filename: str
    sha256: str


class Lock(Frozen, kw_only=True):
    """What the requirements came to.

    Attributes:
        digest: names the layer: wheels, Python, architecture, layout and trimming, hashed.
        text: the lock in pylock.toml's form, for uv to install from; it may name the index.
    """

    digest: str
    wheels: tuple[Wheel, ...]
    text: str


def resolve(environment: Environment, cache: Path, run: Runner, *, refresh: bool = False) -> Lock:
    """The lock of an environment; the same question is asked once only, unless ``refresh``.

    Raises:
        RequirementsError: there is no answer for the target.
        PackagingError: uv or the package index failed.
    """
    path = cache / "locks" / f"{question(environment)}.toml"
    if not refresh and path.is_file():
        remembered = _parse(path.read_text(encoding="utf-8"), environment)
        if remembered is not None:
            return remembered
    ran = run(
        [
            "pip",
            "compile",
            "-",
            "--quiet",
            "--format",
            "pylock.toml",
            "--no-header",
            "--no-annotate",
            *target_arguments(environment),
        ],
        stdin="\n".join(environment.requirements) + "\n",
    )
    if ran.status:
        raise failure(ran, environment)
    text = "\n".join(
        line for line in ran.output.splitlines() if not line.startswith("requires-python")
    )
    lock = _parse(text + "\n", environment)
    if lock is None:
        raise PackagingError(
            "uv's lock cannot be read.",
            reason="it is not the pylock.toml that this version knows",
            hint="check the version of uv: pip install --upgrade uv",
        )
    write_atomically(path, lock.text.encode())
    return lock


def question(environment: Environment) -> str:
    """What is asked of uv, as a digest: the same text gets the same answer."""
    asked = {
        "requirements": list(environment.requirements),
        "python": environment.python,
        "architecture": environment.architecture,
        "layout": LAYOUT,
    }
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _parse(text: str, environment: Environment) -> Lock | None:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document: dict[str, Any] = tomllib.loads(text)
        wheels = tuple(_wheels(document))
    except (tomllib.TOMLDecodeError, KeyError, IndexError, TypeError):
        return None
    listed = sorted(f"{wheel.filename} {wheel.sha256}" for wheel in wheels)
    key = [str(LAYOUT), environment.python, environment.architecture, *listed]
    key += [f"without {kind}" for kind in environment.trim]
    digest = hashlib.sha256("\n".join(key).encode()).hexdigest()
    return Lock(digest=digest, wheels=wheels, text=text)


def _wheels(document: dict[str, Any]) -> list[Wheel]:
    found = []
    for package in document.get("packages", []):
        # Without other targets in the question, uv keeps those wheels that this one can use;
        # all of them are part of the key, and the first is named.
        for item in package["wheels"]:
            name = item.get("name") or str(item.get("url") or item["path"]).rpartition("/")[2]
            found.append(
                Wheel(
                    name=str(package["name"]),
                    version=str(package.get("version", "")),
                    filename=name,
                    sha256=str(item["hashes"]["sha256"]),
                )
            )
    return found
