"""Which revisions are kept, and which may go: a rule, and what something needs. Pure."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from fal_serverless.errors import NotFoundError, UsageError
from fal_serverless.publish.aliases import former
from fal_serverless.publish.state import Move

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from fal_serverless.publish.schedules import Schedule
    from fal_serverless.publish.state import Alias, Revision, Rule

DAY_S = 86_400


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
        # As layers or as an image: it is one function to whoever wrote it.
        seen[item.name] = seen.get(item.name, 0) + 1
        old = now - _epoch(item.created_at) >= older_than
        if seen[item.name] > keep and old and item.id not in needed:
            found.append(item)
    return tuple(reversed(found))


def needed(
    revisions: Sequence[Revision], aliases: Iterable[Alias], schedules: Iterable[Schedule]
) -> frozenset[str]:
    """Ids of what an alias, a split or a schedule leads to, or a rollback of an alias would."""
    existing = frozenset(item.id for item in revisions)
    found = {revision for schedule in schedules for revision in schedule.revisions}
    for alias in aliases:
        found.update(alias.targets)
        try:
            found.add(former(alias, existing))
        except (NotFoundError, UsageError):
            continue  # it never led anywhere else, or that is gone already
    return frozenset(found)


def spared(
    revisions: Sequence[Revision], needed: Collection[str], rules: Iterable[Rule], now: float
) -> tuple[Revision, ...]:
    """What the rules of functions let go, oldest first; functions without one keep everything."""
    found: list[Revision] = []
    for rule in rules:
        mine = [item for item in revisions if item.name == rule.name]
        age = rule.keep_days * DAY_S
        found += dispensable(mine, needed, keep=rule.keep, older_than=age, now=now)
    return tuple(sorted(found, key=lambda item: item.created_at))


def pointing_at(alias: Alias, revision: str) -> Alias:
    """What will be needed of an alias once it has moved to a revision."""
    past = Move(revision=alias.revision, at=alias.moved_at)
    return alias.replace(revision=revision, split=None, history=(past, *alias.history))


def _epoch(created_at: str) -> float:
    """Seconds of a revision's time; it is UTC."""
    parsed = datetime.fromisoformat(created_at.replace("Z", "+00:00"))
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp()
