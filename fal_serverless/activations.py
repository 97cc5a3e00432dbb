"""From a function's log to the runs of its schedules. Pure.

The runtime writes a line when a run begins and one when it ends (``runtime/cron.py``). Of a run
that was killed the second is missing, and Lambda's own lines tell.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fal_serverless.logs import LogEvent

Outcome = Literal["ok", "failed", "killed", "running"]
LONGEST_S = 900 + 60
"""A run of which nothing was heard for longer is over: Lambda ends functions after 15 minutes."""
_MARK = re.compile(r"fal-cron (\{.*\})")
_OVER = re.compile(r"(?:END|REPORT) RequestId: ")
_TIMEOUT = re.compile(r"Task timed out|Status: timeout")


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One run of a schedule.

    Attributes:
        id: EventBridge's of the execution.
        scheduled_at: when it should begin; as all times here ISO 8601 in UTC.
        ended_at: or None while it runs.
        error: class of what the function raised; of a killed one ``timeout`` or ``crash``.
        seconds: that the function took, or None.
        requests: Lambda's ids; several when Lambda began it again.
    """

    id: str
    scheduled_at: str
    started_at: str
    ended_at: str | None = None
    outcome: Outcome = "running"
    error: str | None = None
    seconds: float | None = None
    requests: tuple[str, ...] = ()


def activations(events: Iterable[LogEvent], schedule: str, *, now: float) -> tuple[Activation, ...]:
    """The runs of a schedule, the latest first.

    Args:
        events: of its function's log with their requests, oldest first.
        now: epoch seconds.
    """
    found: dict[str, Activation] = {}
    running: dict[str, str] = {}
    for event in events:
        told = _told(event.message)
        if told.get("schedule") == schedule:
            run = _noted(found.get(str(told["execution"])), told, event)
            found[run.id] = run
            running[event.request] = run.id
            continue
        mine = found.get(running.get(event.request, ""))
        if mine is None or not event.request:
            continue
        if _TIMEOUT.search(event.message) and mine.outcome in ("running", "killed"):
            found[mine.id] = mine = replace(mine, error="timeout")
        if _OVER.search(event.message) and mine.outcome == "running":
            found[mine.id] = replace(
                mine,
                outcome="killed",
                error=mine.error or "crash",
                ended_at=_moment(event.time / 1000),
            )
    known = (_settled(run, now) for run in found.values())
    return tuple(sorted(known, key=lambda run: run.started_at, reverse=True))


def _noted(run: Activation | None, told: dict[str, Any], event: LogEvent) -> Activation:
    if run is None or "outcome" not in told:
        before = run.requests if run else ()
        run = Activation(
            id=str(told["execution"]),
            scheduled_at=str(told.get("scheduled_at")),
            started_at=str(told["at"]),
            requests=tuple(dict.fromkeys((*before, event.request))),
        )
    if "outcome" not in told:
        return run
    return replace(
        run,
        ended_at=str(told["at"]),
        outcome="failed" if told["outcome"] == "failed" else "ok",
        error=told.get("error"),
        seconds=told.get("seconds"),
    )


def _settled(run: Activation, now: float) -> Activation:
    started = datetime.fromisoformat(run.started_at.replace("Z", "+00:00")).timestamp()
    if run.outcome == "running" and now - started > LONGEST_S:
        return replace(run, outcome="killed", error=run.error or "crash")
    return run


def _told(message: str) -> dict[str, Any]:
    found = _MARK.search(message)
    try:
        told = json.loads(found[1]) if found else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) and _is_runtimes(told) else {}


def _is_runtimes(told: dict[str, Any]) -> bool:
    """Whether a line is of the runtime's form; a function may print what begins like one."""
    texts = ("schedule", "execution", "scheduled_at", "at")
    if not all(isinstance(told.get(name), str) for name in texts):
        return False
    seconds = told.get("seconds")
    if not isinstance(told.get("error"), (str, type(None))) or isinstance(seconds, bool):
        return False
    if not isinstance(seconds, (int, float, type(None))):
        return False
    try:
        began = datetime.fromisoformat(told["at"].replace("Z", "+00:00"))
    except ValueError:
        return False
    return began.tzinfo is not None


def _moment(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
