"""Pointing an alias at a revision that exists: set, and back."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from fal_serverless.errors import FalServerlessError
from fal_serverless.publish import aliases
from fal_serverless.publish.apply import revision_time
from fal_serverless.publish.lease import PATIENCE_SECONDS, lease

if TYPE_CHECKING:
    from collections.abc import Callable

    from fal_serverless.publish.lease import Clock
    from fal_serverless.publish.services import Alarms, Functions, Registry
    from fal_serverless.publish.state import (
        Alias,
        Revision,
    )
    from fal_serverless.spec import Auth


def point(
    registry: Registry,
    functions: Functions,
    alarms: Alarms,
    clock: Clock,
    revision: Revision,
    name: str,
    *,
    by: str,
    auth: Auth | None = None,
    patience: float = PATIENCE_SECONDS,
    left: Callable[[FalServerlessError], None] | None = None,
) -> Alias:
    """Point an alias at ``revision``, under the leases; it is made when it is new.

    Args:
        by: who does it, for the alias's history: an AWS principal, or a key.
        auth: None keeps what the alias has; a new one is private.
        patience: seconds to wait for somebody who publishes the same function.
        left: is told why something of before could not be deleted; the next move tries again.

    Raises:
        ConflictError: somebody else kept the function, or changed the alias again and again.
    """
    with (
        lease(registry, revision.function, clock, patience=patience),
        lease(registry, f"{revision.owner}-{name}", clock, patience=patience),
    ):
        now = revision_time(clock)
        moved = aliases.move(
            registry, functions, revision, name, auth=auth, now=now, action="set", by=by
        )
        _clear(registry, functions, alarms, moved, left)
    return moved


def roll_back(
    registry: Registry,
    functions: Functions,
    alarms: Alarms,
    clock: Clock,
    owner: str,
    name: str,
    *,
    by: str,
    to: str = "",
    patience: float = PATIENCE_SECONDS,
    left: Callable[[FalServerlessError], None] | None = None,
) -> Alias:
    """Point an alias back at the revision it had before, or at ``to``.

    Within one Lambda function these are two reads and two writes, and nothing is held, so that
    going back waits for nobody's publish.

    Args:
        by: and ``patience``, ``left``: as in ``point``.

    Raises:
        NotFoundError: there is no such alias or revision, or nothing to go back to.
        UsageError: it points at ``to`` already.
        ConflictError: as ``point``.
    """
    alias = aliases.find(registry, owner, name)
    revision = aliases.rollback_target(registry, alias, to)
    with ExitStack() as held:
        if revision.function != alias.function:
            held.enter_context(lease(registry, revision.function, clock, patience=patience))
        moved = aliases.move(
            registry,
            functions,
            revision,
            name,
            auth=None,
            now=revision_time(clock),
            action="rollback",
            by=by,
            known=alias,
        )
        _clear(registry, functions, alarms, moved, left)
    return moved


def _clear(
    registry: Registry,
    functions: Functions,
    alarms: Alarms,
    moved: Alias,
    left: Callable[[FalServerlessError], None] | None,
) -> None:
    """Delete what the alias had before; it has moved, so a failure is told and no error."""
    try:
        aliases.clear(registry, functions, alarms, moved)
    except FalServerlessError as error:
        if left is None:
            raise
        left(error)
