"""A module that is missing remotely: which line of requirements would bring it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless.distributions import distribution_of
from fal_serverless.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def _parts(top: str) -> tuple[str, str]:
    return (f"{top}.py", f"{top}/__init__.py")


def missing(
    name: str,
    module: str,
    said: str,
    inner: Sequence[object] | None = None,
    folders: Iterable[str] = (),
) -> MissingDependencyError:
    """The error for a module that the environment of ``name`` lacks.

    Args:
        said: the exception's own text.
        inner: name and requirements of another decorated function that ran inside and met it.
        folders: of the files that were running; a module that lies there is the user's own.
    """
    top = module.partition(".")[0]
    if any((Path(place) / part).is_file() for place in folders for part in _parts(top)):
        return MissingDependencyError(
            f"'{name}' needs the module '{top}', which did not travel along.",
            reason=f"{said}; modules that are imported inside of functions are not seen",
            hint=f'import it at the top of the file, or name it: local_modules=["{top}"]',
        )
    needed = distribution_of(module)
    if inner is None:
        return MissingDependencyError(
            f"'{name}' needs the module '{module}', which its environment does not have.",
            reason=said,
            hint=f'add it: @isolated(requirements=["{needed}"])',
        )
    other, listed = inner
    wanted = list(map(str, listed)) if isinstance(listed, (list, tuple)) and listed else [needed]
    return MissingDependencyError(
        f"'{name}' calls '{other}', and its environment lacks the module '{module}'.",
        reason=f"{said}; a function that is called inside of another one runs in its process",
        hint=f"add to the requirements of '{name}': {json.dumps(wanted)}",
    )
