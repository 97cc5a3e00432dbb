"""Part of an alias's requests to a second revision: begun, watched by an alarm, and ended.

The record comes first and goes last: whatever Lambda and CloudWatch hold of a split, the record
names it. Callers hold the alias's lease, except moves, which change Lambda's token instead.
"""

from __future__ import annotations

import contextlib
import math
import re
import uuid
from typing import TYPE_CHECKING

from fal_serverless.errors import ConflictError, FalServerlessError, UsageError
from fal_serverless.publish.schedules import check_answers
from fal_serverless.publish.state import Event, Watched

if TYPE_CHECKING:
    from fal_serverless.publish.services import Alarms, Functions, Registry
    from fal_serverless.publish.state import (
        Alias,
        Revision,
    )

ALARM = "alarm"
"""Who ends a split, where nobody does."""
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%?")


def begin(
    registry: Registry,
    functions: Functions,
    alarms: Alarms,
    alias: Alias,
    second: Revision,
    percent: int,
    *,
    now: str,
    by: str,
    abort_on_errors: float | None = None,
    stack: str = "",
) -> Alias:
    """Send part of an alias's requests to a second revision; a split that there is ends with it.

    Lambda weighs versions of one function, so both revisions must be versions of the same one.

    Args:
        percent: of the requests, 1 to 99.
        abort_on_errors: percentage of failed requests of ``second`` that ends the split.
        stack: the alarm's name begins with it.

    Raises:
        UsageError: the percentage or the revision cannot work.
        ConflictError: provisioned concurrency excludes a split; or the alias just changed.
        AwsError: the alarm or the split was refused; then there is neither.
    """
    check(alias, second, percent)
    token = functions.alias_token(alias.function, alias.name)
    if alias.alarm:
        alarms.delete(alias.alarm)
    alarm = alarm_name(stack, alias) if abort_on_errors is not None else ""
    share = (second.id, percent)
    after = alias.after(
        Event(at=now, action="split", by=by, revision=alias.revision, split=share),
        split=share,
        alarm=alarm,
        abort_on_errors=abort_on_errors,
    )
    if not registry.update_alias(after, expected=alias.token):
        raise changed(alias.name)
    try:
        if abort_on_errors is not None:
            watched = Watched(
                function=alias.function,
                alias=alias.name,
                version=second.version,
                percent=abort_on_errors,
            )
            alarms.put(alarm, watched)
        # Whoever moved the Lambda alias meanwhile changed its token, and wins.
        functions.weigh_alias(alias.function, alias.name, (second.version, percent), token=token)
    except FalServerlessError:
        with contextlib.suppress(FalServerlessError):
            end(registry, functions, alarms, after, now=now, by=by, action="stop")
        raise
    return after


def end(
    registry: Registry,
    functions: Functions,
    alarms: Alarms,
    alias: Alias,
    *,
    now: str,
    by: str,
    action: str = "stop",
) -> Alias:
    """Send everything to the alias's own revision again, and delete the split's alarm.

    It may be repeated from anywhere; without a split it makes sure that there is none.

    Raises:
        ConflictError: the alias just changed.
    """
    functions.weigh_alias(alias.function, alias.name, None)
    if alias.alarm:
        alarms.delete(alias.alarm)
    if alias.split is None and not alias.alarm:
        return alias
    event = Event(at=now, action=action, by=by, revision=alias.revision, split=alias.split)
    after = alias.renewed() if alias.split is None else alias.after(event)
    after = after.replace(split=None, alarm="", abort_on_errors=None)
    if not registry.update_alias(after, expected=alias.token):
        raise changed(alias.name)
    return after


def check(alias: Alias, second: Revision, percent: int) -> None:
    """Whether an alias can be split so.

    Raises:
        UsageError: the percentage or the revision cannot work.
        ConflictError: provisioned concurrency excludes a split.
    """
    check_answers(second)
    if not 1 <= percent <= 99:
        raise UsageError(
            f"A split cannot send {percent}% to a revision.",
            reason="a percentage is a whole number from 1 to 99",
            hint=f"to move everything: fal-serverless alias set {alias.name} {second.id}",
        )
    if second.id == alias.revision:
        raise UsageError(
            f"Alias '{alias.name}' points at revision '{second.id}' already.",
            reason="a split needs a second revision",
            hint="list the revisions with: fal-serverless function list",
        )
    if second.function != alias.function:
        raise UsageError(
            f"Alias '{alias.name}' cannot be split with revision '{second.id}'.",
            reason=f"it is a version of '{second.function}', the alias is on '{alias.function}', "
            "and Lambda splits between versions of one function",
            hint=f"move everything instead: fal-serverless alias set {alias.name} {second.id}",
        )
    if alias.min_concurrency:
        raise ConflictError(
            f"Alias '{alias.name}' cannot be split.",
            reason="it has provisioned concurrency, and Lambda excludes the one with the other",
            hint="serve it without min_concurrency first",
        )


def parse_percent(text: str) -> float:
    """The percentage of ``--abort-on-errors``: ``5%``, ``0.5``.

    Raises:
        UsageError: it is none, or not above 0 and below 100.
    """
    found = _PERCENT.fullmatch(text.strip())
    value = float(found[1]) if found else math.nan
    if not 0 < value < 100:
        raise UsageError(
            f"--abort-on-errors cannot be '{text}'.",
            reason="it is a percentage of failed requests, above 0 and below 100",
            hint="for example: --abort-on-errors 5%",
        )
    return value


def alarm_name(stack: str, alias: Alias) -> str:
    """A name for the alarm of a split that begins.

    Each split has another one: an alarm that changes keeps its state, and one that went off before
    would never go off again; and what is late of an earlier split's alarm must not end this one.
    """
    return f"{alarm_prefix(stack)}{alias.owner}-{alias.name}-{uuid.uuid4().hex[:8]}"


def alarm_prefix(stack: str) -> str:
    """How the names of a stack's alarms on splits begin; the template's policies name it too."""
    return f"{stack}-split-"


def watched_alias(stack: str, name: str) -> tuple[str, str] | None:
    """Owner and alias of an alarm's name, or None when it is not one of the stack's."""
    found = re.fullmatch(re.escape(alarm_prefix(stack)) + r"(\d+)-(.+)-[0-9a-f]{8}", name)
    return (found[1], found[2]) if found else None


def changed(name: str) -> ConflictError:
    """The error for an alias that somebody else changed."""
    return ConflictError(
        f"Alias '{name}' was changed by somebody else just now.",
        reason="its record is not the one that was read",
        hint="look at it with 'fal-serverless alias list', and run the command again",
    )
