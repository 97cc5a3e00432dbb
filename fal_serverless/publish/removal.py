"""Deleting revisions that nothing needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_serverless.errors import ConflictError
from fal_serverless.publish.schedules import check_unscheduled
from fal_serverless.publish.state import route_of
from fal_serverless.publish.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fal_serverless.publish.services import Functions, Registry
    from fal_serverless.publish.state import Alias, Revision


def delete_revisions(
    registry: Registry, functions: Functions, revisions: tuple[Revision, ...]
) -> None:
    """Delete revisions of one Lambda function, and the function when none is left.

    Routes go before versions, so that a URL is gone before what it leads to is. The caller holds
    the Lambda function's lease.

    Raises:
        ConflictError: an alias or a schedule still needs one of them; nothing was deleted. Or a
            rollback, which waits for no lease, came to need one just now; that one stays.
    """
    if not revisions:
        return
    owner, function = revisions[0].owner, revisions[0].function
    doomed = {item.id for item in revisions}
    _check_unnamed(registry.aliases(owner), doomed)
    check_unscheduled(registry.schedules(owner), doomed)
    for item in revisions:
        registry.delete_revision(owner, item.id)
    # From here on no alias can move to them: a move asks for the revision's record.
    late = {target for alias in registry.aliases(owner) for target in alias.targets} & doomed
    for item in revisions:
        if item.id in late:
            registry.add_revision(item, route_of(item))
    left = {item.version for item in registry.revisions(owner) if item.function == function}
    if not left:
        functions.delete(function)
        return
    sweep(registry, functions, owner, function)
    _check_unnamed(registry.aliases(owner), late)


def _check_unnamed(known: Iterable[Alias], doomed: set[str]) -> None:
    """Raises ConflictError, naming all of them, when aliases need revisions. Pure."""
    used: dict[str, str] = {}
    for alias in known:
        for revision in alias.targets:
            if revision in doomed:
                used.setdefault(alias.name, revision)
    if not used:
        return
    first = next(iter(used))
    each = f"it first, or run: fal-serverless alias delete {first}"
    if len(used) > 1:
        each = "them first, or for each of them run: fal-serverless alias delete NAME"
    raise ConflictError(
        "Revisions are in use." if len(used) > 1 else f"Revision '{used[first]}' is in use.",
        reason=", ".join(f"alias '{name}' points at '{used[name]}'" for name in sorted(used)),
        hint=f"move {each}",
    )
