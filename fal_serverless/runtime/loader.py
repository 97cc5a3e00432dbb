"""From the bundle's folder to a function that can be called.

A pickle of another Python minor version does not fail, it crashes the process: so everything is
compared before anything is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from fal_serverless.runtime.unpickle import loads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FORMAT = 1
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


class BundleError(Exception):
    """The bundle must not or cannot be loaded here."""


class Loaded:
    """A bundle, loaded.

    Attributes:
        spec: of the bundle, as written when it was published.
        function: the plain function.
        openapi: the document's bytes, or None.
        revision: UUID, or ``""`` outside of Lambda.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        function: Callable[..., Any],
        openapi: bytes | None,
        revision: str,
    ) -> None:
        self.spec = spec
        self.function = function
        self.openapi = openapi
        self.revision = revision


def load(root: Path) -> Loaded:
    """Load the bundle in ``root``, and run its setup function; its secrets are fetched first.

    Raises:
        BundleError: it is incomplete, was made for another Python or processor, or a secret of
            its is not to be had.
    """
    spec = _read_spec(root)
    pickled = (root / "function.pkl").read_bytes()
    check(spec, pickled)
    if spec.get("secrets"):
        _fetch_secrets(spec["secrets"])
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    content = loads(pickled)  # the digest was compared just now
    function = plain(content["function"])
    # Written relative to the folder that the bundle was made of: what travels along lies here.
    source = getattr(function, "__globals__", {}).get("__file__")
    if source and not os.path.isabs(source):  # noqa: PTH117 - pathlib costs a cold start
        function.__globals__["__file__"] = str(root / source)
    setup = content.get("setup")
    if setup is not None:
        plain(setup)()
    document = root / "openapi.json"
    return Loaded(
        spec=spec,
        function=function,
        openapi=document.read_bytes() if document.is_file() else None,
        revision=os.environ.get("FAL_REVISION", ""),
    )


def check(spec: dict[str, Any], pickled: bytes) -> None:
    """Compare what the bundle was made for with what is here.

    Raises:
        BundleError: they differ.
    """
    if spec.get("format") != FORMAT:
        raise BundleError(f"bundle format {spec.get('format')!r} is not {FORMAT}: serve it again")
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if spec.get("python") != here:
        raise BundleError(
            f"the function was pickled by Python {spec.get('python')}, and this is Python {here}: "
            "serve it again from the Python it shall run on"
        )
    found = os.uname().machine
    machine = _MACHINES.get(found.lower(), found)
    # A pure bundle runs anywhere: the emulator runs them on the machine at hand.
    if spec.get("native") and spec.get("architecture") != machine:
        raise BundleError(
            f"the bundle is for {spec.get('architecture')}, and this processor is {machine}"
        )
    if hashlib.sha256(pickled).hexdigest() != spec.get("pickle_sha256"):
        raise BundleError("function.pkl is not the file that spec.json describes: serve it again")


def plain(function: Any) -> Callable[..., Any]:
    """The function inside a decorated one, or itself."""
    inner = getattr(function, "function", None)
    wrapped = type(function).__name__ == "IsolatedFunction"
    found: Callable[..., Any] = inner if wrapped and callable(inner) else function
    return found


def _fetch_secrets(names: list[str]) -> None:
    from fal_serverless.runtime.secrets import SecretError, install

    try:
        install(names)
    except SecretError as error:
        raise BundleError(str(error)) from error


def _read_spec(root: Path) -> dict[str, Any]:
    try:
        spec = json.loads((root / "spec.json").read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(f"spec.json cannot be read: {error}") from error
    if not isinstance(spec, dict):
        raise BundleError("spec.json does not hold an object")
    return spec
