"""What a name stands for among a user's revisions: for commands and the management API alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_serverless.errors import NotFoundError, did_you_mean
from fal_serverless.names import is_revision_id

if TYPE_CHECKING:
    from fal_serverless.publish.services import Registry
    from fal_serverless.publish.state import Revision


def find_revision(registry: Registry, owner: str, revision: str) -> Revision:
    """The revision.

    Raises:
        NotFoundError: the user has none of that id.
    """
    found = registry.revision(owner, revision)
    if found is None:
        raise NotFoundError(
            f"There is no revision '{revision}'.",
            reason=f"user {owner} has none of that id",
            hint="list them with: fal-serverless function list",
        )
    return found


def find(registry: Registry, owner: str, target: str) -> tuple[Revision, ...]:
    """The revisions that a name stands for: a revision id, a function, or an alias.

    Raises:
        NotFoundError: it is none of them.
    """
    if is_revision_id(target):
        return (find_revision(registry, owner, target),)
    everything = registry.revisions(owner)
    named = tuple(item for item in everything if item.name == target)
    if named:
        return named
    alias = registry.alias(owner, target)
    if alias is not None:
        return (find_revision(registry, owner, alias.revision),)
    names = {item.name for item in everything}
    names |= {item.name for item in registry.aliases(owner)}
    raise NotFoundError(
        f"There is no function, alias or revision '{target}'.",
        reason=f"user {owner} has none of that name",
        hint=did_you_mean(target, names)
        if names
        else "serve one: fal-serverless function serve FILE FUNC",
    )


def logged(registry: Registry, owner: str, target: str) -> dict[str, str]:
    """Lambda functions whose logs a name stands for, each with the version meant (or ``""``).

    Args:
        target: a function, an alias or a revision; empty for everything of the user's.

    Raises:
        NotFoundError: it is none of them.
    """
    if not target:
        return {item.function: "" for item in registry.revisions(owner)}
    found = find(registry, owner, target)
    if is_revision_id(target) or registry.alias(owner, target) is not None:
        one = found[0] if is_revision_id(target) else None
        if one is not None or found[0].name != target:
            return {found[0].function: found[0].version}
    return {item.function: "" for item in found}
