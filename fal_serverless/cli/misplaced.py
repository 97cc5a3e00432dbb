"""A word that is no command where it stands: which command is meant. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fal_serverless.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNKNOWN = re.compile(r"No such command '([^']*)'")


def unknown_command(error: Exception) -> str:
    """The word that the command line's reader knows no command for, or ``""``."""
    found = _UNKNOWN.match(str(getattr(error, "message", "")))
    return found[1] if found else ""


def misplaced(
    word: str, path: str, groups: Mapping[str, Sequence[str]], group: str = ""
) -> UsageError:
    """The error that names the commands which are meant, as far as they can be guessed.

    Args:
        word: what was typed.
        path: the command that it was looked for in, such as ``fal-serverless fn``.
        groups: the names of each group's commands.
        group: the one that ``path`` leads to, ``""`` at the top.
    """
    message = f"'{path}' has no command '{word}'."
    here = list(groups[group] if group else groups)
    everywhere = [name for names in groups.values() for name in names]
    homes = _homes(word, groups)
    if homes:
        reason = f"'{word}' belongs to " + ", ".join(f"'{home}'" for home in homes)
        return UsageError(message, reason=reason, hint=_use([f"{home} {word}" for home in homes]))
    # In a group a slip of the finger is likelier than another group's command.
    near = nearest(word, here if group else [*here, *everywhere]) or nearest(word, everywhere)
    if near is None:
        reason = "it has: " + ", ".join(here) if here else "it has options alone"
        return UsageError(message, reason=reason, hint=f"see: {path} --help")
    within = [group] if group and near in here else _homes(near, groups)
    meant = [near] if not group and near in here else [f"{home} {near}" for home in within]
    return UsageError(message, reason=f"it looks like '{near}'", hint=_use(meant))


def _homes(word: str, groups: Mapping[str, Sequence[str]]) -> list[str]:
    return [group for group, names in groups.items() if word in names]


def _use(commands: Sequence[str]) -> str:
    whole = ", ".join(f"fal-serverless {command}" for command in commands)
    return f"use one of: {whole}" if len(commands) > 1 else f"use: {whole}"
