"""The ``requirements`` option as checked PEP 508 strings."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless.errors import RequirementsError

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"(?:==|>=|<=|!=|<|>) *[0-9]+(?:\.[0-9]+)*"
PLAIN = re.compile(
    rf"({_NAME}) *(?:\[ *{_NAME}(?: *, *{_NAME})* *\])? *(?:{_VERSION}(?: *, *{_VERSION})*)?"
)
"""What nearly all requirements look like. Importing ``packaging``, which reads all of PEP 508,
takes longer than all other work on a package whose layer is there."""


def read(option: object, folder: Path) -> tuple[str, ...]:
    """The requirements of an option: a list, or the path of a file relative to ``folder``.

    Raises:
        RequirementsError: the file is missing, or an entry cannot be used.
    """
    if option is None:
        return ()
    if isinstance(option, (str, os.PathLike)):
        return _from_file(folder / Path(os.fspath(option)).expanduser())
    entries = option if isinstance(option, (list, tuple)) else ()
    return tuple(check(str(entry), "requirements") for entry in entries)


def check(entry: str, source: str) -> str:
    """One requirement, checked; ``source`` says where it stands.

    Raises:
        RequirementsError: it is no PEP 508 requirement, or names a file or repository.
    """
    text = entry.strip()
    if text.startswith(("-e", "--", ".", "/", "git+", "file:")) or text.endswith(".whl"):
        raise RequirementsError(
            f"'{text}' cannot be a requirement.",
            reason=f"{source} names a file, a repository or an option of pip",
            hint="publish it to an index, or send its code along with local_modules=[…]",
        )
    if PLAIN.fullmatch(text):
        return text
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise RequirementsError(
            f"'{text}' is not a requirement.",
            reason=f"in {source}: " + str(error).splitlines()[0],
            hint='write a name and perhaps a version, such as "pandas>=2"',
        ) from error
    if found.url:
        raise RequirementsError(
            f"'{text}' cannot be a requirement.",
            reason=f"{source} names a URL, whose content may change",
            hint="publish it to an index, or send its code along with local_modules=[…]",
        )
    return text


def names(requirements: Iterable[str]) -> set[str]:
    """The canonical names of checked requirements."""
    return {canonical(_name(entry)) for entry in requirements}


def canonical(name: str) -> str:
    """A distribution's name as all of its spellings have it in common (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _name(entry: str) -> str:
    plain = PLAIN.fullmatch(entry)
    if plain is not None:
        return plain[1]
    from packaging.requirements import Requirement

    return Requirement(entry).name


def _from_file(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        hint = "requirements is a list of strings, or a path relative to the function's file"
        raise RequirementsError(
            f"The requirements file '{path}' cannot be read.",
            reason=getattr(error, "strerror", None) or str(error),
            hint=f'{hint}: for the package, write requirements=["{path.name}"]'
            if isinstance(error, FileNotFoundError) and not path.suffix
            else hint,
        ) from error
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.partition(" #")[0].strip()
        if text and not text.startswith("#"):
            found.append(check(text, f"{path.name}, line {number}"))
    return tuple(found)
