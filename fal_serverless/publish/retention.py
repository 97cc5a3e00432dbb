"""Which revisions are kept, and which may go. Pure."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from fal_serverless.errors import NotFoundError, UsageError
from fal_serverless.publish.aliases import former

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from fal_serverless.publish.state import Alias, Revision


def dispensable(
    revisions: Sequence[Revision],
    needed: Collection[str],
    *,
    keep: int,
    older_than: int,
    now: float,
) -> tuple[Revision, ...]:
    """The revisions that neither a rule nor a need keeps, oldest first.

    Args:
        needed: ids of revisions that stay whatever the rule says, see ``needed``.
        keep: how many of each function's newest stay.
        older_than: seconds; younger revisions stay.
        now: epoch seconds.
    """
    seen: dict[str, int] = {}
    found = []
    for item in sorted(revisions, key=lambda item: item.created_at, reverse=True):
        seen[item.function] = seen.get(item.function, 0) + 1
        old = now - _epoch(item.created_at) >= older_than
        if seen[item.function] > keep and old and item.id not in needed:
            found.append(item)
    return tuple(reversed(found))


def needed(revisions: Sequence[Revision], aliases: Iterable[Alias]) -> frozenset[str]:
    """Ids of what an alias or a split leads to, and a rollback of an alias would lead to."""
    existing = frozenset(item.id for item in revisions)
    found = set()
    for alias in aliases:
        found.add(alias.revision)
        if alias.split:
            found.add(alias.split[0])
        try:
            found.add(former(alias, existing))
        except (NotFoundError, UsageError):
            continue  # it never led anywhere else, or that is gone already
    return frozenset(found)


def _epoch(created_at: str) -> float:
    """Seconds of a revision's time; it is UTC."""
    parsed = datetime.fromisoformat(created_at.replace("Z", "+00:00"))
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp()
