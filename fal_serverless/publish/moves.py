"""Pointing an alias at a revision that exists, under the leases: set, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_serverless.publish import aliases
from fal_serverless.publish.apply import revision_time
from fal_serverless.publish.lease import PATIENCE_SECONDS, lease
from fal_serverless.publish.plan import effective_auth

if TYPE_CHECKING:
    from fal_serverless.publish.lease import Clock
    from fal_serverless.publish.state import Alias, Functions, Registry, Revision
    from fal_serverless.spec import Auth


def point(
    registry: Registry,
    functions: Functions,
    clock: Clock,
    revision: Revision,
    name: str,
    *,
    by: str,
    auth: Auth | None = None,
    patience: float = PATIENCE_SECONDS,
) -> Alias:
    """Point an alias at ``revision``; it is made when it is new, and a split ends.

    Args:
        by: what the alias's history says of the move.
        auth: None keeps what the alias has; a new one is private.
        patience: seconds to wait for somebody who publishes the same function.

    Raises:
        ConflictError: somebody else kept the function, or changed the alias again and again.
    """
    with (
        lease(registry, revision.function, clock, patience=patience),
        lease(registry, f"{revision.owner}-{name}", clock, patience=patience),
    ):
        moved = aliases.move(
            registry,
            functions,
            revision,
            name,
            auth=effective_auth(auth, registry.alias(revision.owner, name)),
            now=revision_time(clock),
            by=by,
        )
        aliases.retire(registry, functions, revision.owner, name)
    return moved


def roll_back(
    registry: Registry,
    functions: Functions,
    clock: Clock,
    owner: str,
    name: str,
    *,
    to: str = "",
    by: str = "rollback",
    patience: float = PATIENCE_SECONDS,
) -> Alias:
    """Point an alias back at the revision it had before, or at ``to``.

    Args:
        by: and ``patience``: as in ``point``.

    Raises:
        NotFoundError: there is no such alias or revision, or nothing to go back to.
        UsageError: it points at ``to`` already.
        ConflictError: as ``point``.
    """
    alias = aliases.find(registry, owner, name)
    kept = {item.id: item for item in registry.revisions(owner)}
    revision = kept[aliases.former(alias, frozenset(kept), to)]
    return point(registry, functions, clock, revision, name, by=by, patience=patience)
