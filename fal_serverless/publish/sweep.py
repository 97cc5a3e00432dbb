"""Clears what an interrupted publish left on a Lambda function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_serverless.background import begin
from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.publish.services import Functions, Registry
    from fal_serverless.publish.state import Alias


class Swept(Frozen, kw_only=True):
    """What a sweep read; whoever holds the function's lease need not read it again.

    Attributes:
        recorded: numbers of the function's versions that are revisions.
        aliases: the owner's, by name; others may move them meanwhile.
    """

    recorded: frozenset[str]
    aliases: Mapping[str, Alias]


def sweep(registry: Registry, functions: Functions, owner: str, function: str) -> Swept:
    """Delete aliases and versions of ``function`` that the registry knows nothing of.

    The caller holds the function's lease, so nobody can be between making one and recording it.
    """
    pointing = begin(functions.aliases, function)
    revisions = begin(registry.revisions, owner)
    versions = begin(functions.versions, function)
    known = {alias.name: alias for alias in registry.aliases(owner)}
    recorded = frozenset(item.version for item in revisions.result() if item.function == function)
    for name in pointing.result():
        alias = known.get(name)
        if alias is None or function not in (alias.function, alias.retiring):
            functions.delete_alias(function, name)
    for version in versions.result():
        if version not in recorded:
            functions.delete_version(function, version)
    return Swept(recorded=recorded, aliases=known)
