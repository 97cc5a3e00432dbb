"""Whether schedules fire, and whether their runs reach Lambda. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_serverless.doctor import Finding, State
from fal_serverless.publish.schedules import rule_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fal_serverless.publish.schedules import Schedule


def strays(rules: Iterable[str], records: Iterable[Schedule]) -> tuple[str, ...]:
    """Names of EventBridge's rules that belong to no schedule."""
    known = {name for item in records for name in rule_names(item)}
    return tuple(sorted(set(rules) - known))


def schedules(rules: Iterable[str], records: Iterable[Schedule]) -> list[Finding]:
    """Whether a user's schedules fire.

    Args:
        rules: names of those that EventBridge has.
        records: the schedules.
    """
    live, known = frozenset(rules), tuple(records)
    findings = [
        Finding(
            check="schedules",
            state="warning",
            detail=f"EventBridge's schedule '{name}' belongs to nothing",
            next="run: fal-serverless doctor --fix, which deletes it",
        )
        for name in strays(live, known)
    ]
    findings += [found for item in known if (found := _schedule(item, live)) is not None]
    if findings:
        return findings
    return [Finding(check="schedules", state="ok", detail=f"{len(known)} schedules fire")]


def _schedule(item: Schedule, live: frozenset[str]) -> Finding | None:
    what = f"schedule '{item.id}' ({item.expression}) of '{item.name}'"
    cancel = f"fal-serverless cron cancel {item.id}"
    again = f"fal-serverless function schedule '{item.expression}' FILE {item.name}"
    if item.state == "cancelling":
        detail, following = f"{what} is half cancelled", f"run: {cancel}"
    elif item.state == "unfinished":
        detail, following = f"{what} is unfinished", f"run: {again}, or {cancel}"
    elif not live.issuperset(rule_names(item)):
        detail, following = f"{what} does not fire: EventBridge lost it", f"run: {again}"
    else:
        return None
    state: State = "problem" if item.state == "active" else "warning"
    return Finding(check="schedules", state=state, detail=detail, next=following)


def undelivered(count: int) -> Finding:
    """Whether scheduled runs reach Lambda; ``count`` of them, of all users, did not."""
    if not count:
        return Finding(check="scheduled runs", state="ok", detail="all reached Lambda")
    return Finding(
        check="scheduled runs",
        state="problem",
        detail=f"{count} could not be handed to Lambda",
        next="read why in the messages of the stack's queue ScheduleDeadLetters, then purge it: "
        "they do not run again, the schedules do",
    )
