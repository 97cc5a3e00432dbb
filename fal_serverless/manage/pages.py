"""A list in pages. Pure.

A cursor is a position in the order of the list and not a number of items, so that nothing is
shown twice or left out when items come and go between two pages. Any cursor of the right form is
a position, also of an item that is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fal_serverless.logs import LogEvent

Item = TypeVar("Item")


def page(
    items: Iterable[Item],
    position: Callable[[Item], str],
    *,
    limit: int,
    cursor: str | None,
    descending: bool = False,
) -> tuple[list[Item], str | None]:
    """(items of one page in the order of their positions, cursor of the next page or None).

    Args:
        position: distinct for each item.
        cursor: position of the last item of the page before, or None for the first page.
    """
    ordered = sorted(items, key=position, reverse=descending)
    if cursor is not None:
        ordered = [
            item
            for item in ordered
            if (position(item) < cursor if descending else position(item) > cursor)
        ]
    shown = ordered[:limit]
    return shown, position(shown[-1]) if len(ordered) > limit else None


def newest_events(
    events: Sequence[LogEvent],
    size: Callable[[LogEvent], int],
    *,
    limit: int,
    cursor: str | None,
    room: int,
) -> tuple[list[LogEvent], str | None]:
    """(events of one page, the newest first, cursor of the next page or None).

    Events have times that repeat, and ids that are not in order: a cursor is ``<time>.<number>``,
    the number being how many events of that very millisecond were shown.

    Args:
        events: oldest first.
        room: a page ends before its sizes add up to more; it has one event at least.
    """
    at, _, number = (cursor or "").partition(".")
    left = [event for event in reversed(events) if cursor is None or event.time <= int(at)]
    skipped = 0
    while cursor is not None and left and skipped < int(number) and left[0].time == int(at):
        left.pop(0)
        skipped += 1
    shown: list[LogEvent] = []
    for event in left[:limit]:
        room -= size(event)
        if room < 0 and shown:
            break
        shown.append(event)
    if len(shown) == len(left):
        return shown, None
    last = shown[-1].time
    same = sum(event.time == last for event in shown)
    return shown, f"{last}.{same + (skipped if cursor and last == int(at) else 0)}"
