"""Clears what an interrupted publish left on a Lambda function."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fal_serverless.publish.services import Functions, Registry


def sweep(registry: Registry, functions: Functions, owner: str, function: str) -> None:
    """Delete aliases and versions of ``function`` that the registry knows nothing of.

    The caller holds the function's lease, so nobody can be between making one and recording it.
    """
    if functions.get(function) is None:
        return
    known = {alias.name: alias for alias in registry.aliases(owner)}
    for name in functions.aliases(function):
        alias = known.get(name)
        if alias is None or function not in (alias.function, alias.retiring):
            functions.delete_alias(function, name)
    recorded = {item.version for item in registry.revisions(owner) if item.function == function}
    for version in functions.versions(function):
        if version not in recorded:
            functions.delete_version(function, version)
