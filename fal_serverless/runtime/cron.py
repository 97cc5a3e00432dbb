"""Scheduled runs: the function is called without arguments, and its log says when and how it went.

EventBridge Scheduler hands the event to Lambda and asks for no answer, so what is known of a run is
two lines in the function's log, one at its start and one at its end. They hold ids and times and
the class of an error, and nothing that the function made.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
import traceback
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MARK = "fal-cron"
"""Begins the two lines."""


def run(
    job: Mapping[str, Any],
    function: Callable[[], Any] | None,
    *,
    failure: str = "",
    request: str = "",
) -> str:
    """Run the function once, and say how it went: ``ok``, ``failed`` or ``skipped``.

    A run that failed is not raised to Lambda, which would begin it again: it may have had effects,
    and the next run comes by itself.

    Args:
        job: the schedule, the execution and its time, and the days that another rule has.
        function: takes no arguments; None when it could not be loaded.
        failure: why it could not.
        request: Lambda's id of the request.
    """
    now = datetime.now(timezone.utc)
    scheduled = _given(job, "scheduled_at") or now.replace(second=0, microsecond=0).isoformat()
    if _day(scheduled) in job.get("except_days", ()):
        return "skipped"
    about = {
        "schedule": str(job["schedule"]),
        "execution": _given(job, "execution") or request,
        "scheduled_at": scheduled.replace("+00:00", "Z"),
    }
    _write({**about, "at": _moment(now)})
    began = time.monotonic()
    error = _call(function, failure)
    outcome = "failed" if error else "ok"
    ended = {
        "at": _moment(datetime.now(timezone.utc)),
        "outcome": outcome,
        "error": error or None,
        "seconds": round(time.monotonic() - began, 3),
    }
    _write({**about, **ended})
    return outcome


def _call(function: Callable[[], Any] | None, failure: str) -> str:
    """Call the function; the class of what it raised, or ``""``."""
    if function is None:
        print(failure, file=sys.stderr)  # noqa: T201 - this is the log
        return "BundleError"
    try:
        value = function()
        if inspect.isawaitable(value):
            import asyncio

            asyncio.run(_wait(value))
    except (Exception, SystemExit) as caught:  # noqa: BLE001 - the user's code may raise anything
        traceback.print_exc()
        return type(caught).__name__
    return ""


def _given(job: Mapping[str, Any], name: str) -> str:
    """What Scheduler put into the event's place for it, or ``""`` where nobody did."""
    value = str(job.get(name, ""))
    return "" if value.startswith("<aws.scheduler.") else value


def _day(moment: str) -> int:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone(timezone.utc).day


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write(about: Mapping[str, Any]) -> None:
    sys.stdout.write(f"{MARK} {json.dumps(about)}\n")
    sys.stdout.flush()
    sys.stderr.flush()


async def _wait(value: Any) -> Any:
    return await value
