"""Deleting revisions: one Lambda function after the other, each under its lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fal_serverless.publish.lease import PATIENCE_SECONDS, lease
from fal_serverless.publish.removal import delete_revisions
from fal_serverless.publish.retention import needed, pointing_at

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fal_serverless.publish.lease import Clock
    from fal_serverless.publish.services import Functions, Images, Logs, Registry
    from fal_serverless.publish.state import Revision

    Choose = Callable[[Sequence[Revision], Collection[str]], tuple[Revision, ...]]
    """Of all revisions, and the ids of those that are needed, the ones that may go."""


class Parts(Protocol):
    """What deleting revisions takes; a ``Publisher`` has it."""

    registry: Registry
    functions: Functions
    clock: Clock
    images: Images | None
    logs: Logs | None


def chosen(
    registry: Registry, owner: str, choose: Choose, *, alias: str = "", new: str = ""
) -> tuple[Revision, ...]:
    """What would go, as things are now, or with ``alias`` at the revision ``new``."""
    revisions = registry.revisions(owner)
    aliases = [
        pointing_at(item, new) if item.name == alias else item for item in registry.aliases(owner)
    ]
    return choose(revisions, needed(revisions, aliases, registry.schedules(owner)))


def prune(
    parts: Parts, owner: str, choose: Choose, *, patience: float = PATIENCE_SECONDS
) -> tuple[Revision, ...]:
    """Delete what ``choose`` lets go; the revisions that went, oldest first.

    It is decided again under each lease, since an alias may have moved until it was ours.

    Raises:
        ConflictError: somebody else kept a function, or an alias came to need a revision.
    """
    gone: list[Revision] = []
    first = chosen(parts.registry, owner, choose)
    for function in sorted({item.function for item in first}):
        with lease(parts.registry, function, parts.clock, patience=patience):
            still = chosen(parts.registry, owner, choose)
            doomed = tuple(item for item in still if item.function == function)
            remove(parts, function, doomed)
            gone += doomed
    return tuple(sorted(gone, key=lambda item: item.created_at))


def remove(parts: Parts, function: str, revisions: tuple[Revision, ...]) -> None:
    """Delete revisions of a Lambda function whose lease is held; with the last one, its log.

    Raises:
        ConflictError: an alias or a schedule needs one of them; nothing was deleted.
    """
    if not revisions:
        return
    delete_revisions(parts.registry, parts.functions, revisions)
    images = {item.image for item in revisions if item.image}
    # Each image has its owner's id in it: nobody else's revision can need it.
    images -= {item.image for item in parts.registry.revisions(revisions[0].owner)}
    if images and parts.images is not None:
        parts.images.delete(images)
    if parts.logs is not None and parts.functions.get(function) is None:
        parts.logs.delete(function)
