"""Which revisions are kept, and which may go. Pure."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from fal_serverless.errors import NotFoundError, UsageError
from fal_serverless.publish.aliases import former

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fal_serverless.publish.state import Alias, Revision


def dispensable(
    revisions: Sequence[Revision],
    aliases: Iterable[Alias],
    *,
    keep: int,
    older_than: int,
    now: float,
) -> tuple[Revision, ...]:
    """The revisions that no rule keeps, oldest first.

    Kept are the newest of each function, the young, what an alias or a split leads to, and what
    a rollback of an alias would lead to.

    Args:
        keep: how many of each function's newest stay.
        older_than: seconds; younger revisions stay.
        now: epoch seconds.
    """
    needed = _needed(revisions, aliases)
    seen: dict[str, int] = {}
    found = []
    for item in sorted(revisions, key=lambda item: item.created_at, reverse=True):
        seen[item.function] = seen.get(item.function, 0) + 1
        old = now - _epoch(item.created_at) >= older_than
        if seen[item.function] > keep and old and item.id not in needed:
            found.append(item)
    return tuple(reversed(found))


def _needed(revisions: Sequence[Revision], aliases: Iterable[Alias]) -> set[str]:
    existing = frozenset(item.id for item in revisions)
    needed = set()
    for alias in aliases:
        needed.add(alias.revision)
        if alias.split:
            needed.add(alias.split[0])
        try:
            needed.add(former(alias, existing))
        except (NotFoundError, UsageError):
            continue  # it never led anywhere else, or that is gone already
    return needed


def _epoch(created_at: str) -> float:
    """Seconds of a revision's time; it is UTC."""
    parsed = datetime.fromisoformat(created_at.replace("Z", "+00:00"))
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp()
