"""Five-field cron expressions in UTC: text in, the times and EventBridge's expressions out. Pure.

The meaning is that of Vixie's cron. EventBridge counts and combines days in another way, so an
expression is first read into plain sets of numbers, and what EventBridge is told is written from
those, without steps: it cannot mean anything else. What cannot be said exactly is refused.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import TYPE_CHECKING

from fal_serverless.errors import UsageError
from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EXPRESSION_MAX = 256  # EventBridge Scheduler API reference, CreateSchedule, ScheduleExpression
MACROS: Mapping[str, str] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class _Field(Frozen, kw_only=True):
    """One of the five: its name, its range, and the names of its values.

    ``top`` is the highest number that may be written: 7 is one more Sunday.
    """

    name: str
    low: int
    high: int
    top: int
    names: tuple[str, ...] = ()

    @property
    def all(self) -> frozenset[int]:
        return frozenset(range(self.low, self.high + 1))


_MINUTE = _Field(name="minute", low=0, high=59, top=59)
_HOUR = _Field(name="hour", low=0, high=23, top=23)
_DAY = _Field(name="day of the month", low=1, high=31, top=31)
_MONTH = _Field(name="month", low=1, high=12, top=12, names=_MONTHS)
_WEEKDAY = _Field(name="day of the week", low=0, high=6, top=7, names=_WEEKDAYS)
_FIELDS = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


class Cron(Frozen, kw_only=True):
    """An expression, read. Equal ones run at the same times, whatever their text.

    Attributes:
        weekdays: 0 is Sunday.
        either: a day counts if its number *or* its weekday is among them; else both must be, and
            one of the two is unrestricted.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool = False


class Rule(Frozen, kw_only=True):
    """One expression of EventBridge Scheduler.

    Attributes:
        part: a letter that tells the rules of one Cron apart.
        except_days: days of the month on which another rule runs at the same times already;
            EventBridge cannot leave them out, so the function's runtime does.
    """

    part: str
    expression: str
    except_days: tuple[int, ...] = ()


def parse(text: str) -> Cron:
    """Read a five-field expression or a macro such as ``@daily``.

    Raises:
        UsageError: it is none, it never runs, or EventBridge cannot say it.
    """
    text = " ".join(text.split())
    words = _words(text)
    minutes, hours, days, months, weekdays = (
        _values(text, field, word) for field, word in zip(_FIELDS, words, strict=True)
    )
    starred = words[2][0] in "*?" or words[4][0] in "*?"
    every_day = days == _DAY.all or weekdays == _WEEKDAY.all
    if starred and not every_day:
        raise _refused(
            text,
            "crons differ on a day of the month and a day of the week of which one is '*/n', and "
            "EventBridge cannot ask for both",
            f"if either shall do, write the range: {_spelled(words)}; else leave one of them '*'",
        )
    if every_day and not starred:
        days, weekdays = _DAY.all, _WEEKDAY.all
    if not every_day and not _exists(days, months):
        days, every_day = _DAY.all, True  # the weekdays alone are left
    if not _exists(days, months):
        raise _refused(
            text,
            "there is no such date: none of those months has that many days",
            "for the last days of months write '28-31', and look at the date in the function",
        )
    return Cron(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=weekdays,
        either=not every_day,
    )


def rules(cron: Cron) -> tuple[Rule, ...]:
    """What EventBridge Scheduler is told: two rules where either of two days will do.

    Raises:
        UsageError: it is longer than EventBridge takes.
    """
    time = f"{_listed(cron.minutes, _MINUTE)} {_listed(cron.hours, _HOUR)}"
    month = _listed(cron.months, _MONTH)
    by_day = f"cron({time} {_listed(cron.days, _DAY)} {month} ? *)"
    by_weekday = f"cron({time} ? {month} {_listed(cron.weekdays, _WEEKDAY)} *)"
    if cron.either:
        made: tuple[Rule, ...] = (
            Rule(part="d", expression=by_day),
            Rule(part="w", expression=by_weekday, except_days=tuple(sorted(cron.days))),
        )
    elif cron.weekdays == _WEEKDAY.all:
        made = (Rule(part="d", expression=by_day),)
    else:
        made = (Rule(part="w", expression=by_weekday),)
    for rule in made:
        if len(rule.expression) > EXPRESSION_MAX:
            raise UsageError(
                "The expression cannot be scheduled.",
                reason=f"EventBridge takes {EXPRESSION_MAX} characters, and this becomes "
                f"{len(rule.expression)}",
                hint="divide it into two schedules",
            )
    return made


def next_runs(cron: Cron, after: datetime, count: int = 1) -> tuple[datetime, ...]:
    """The first ``count`` times after a moment, all in UTC."""
    return tuple(islice(_runs(cron, after.astimezone(timezone.utc)), count))


def _runs(cron: Cron, after: datetime) -> Iterator[datetime]:
    """Endless, since ``parse`` lets no expression pass that never runs."""
    midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
    times = [(hour, minute) for hour in sorted(cron.hours) for minute in sorted(cron.minutes)]
    while True:
        if _on(cron, midnight):
            for hour, minute in times:
                moment = midnight.replace(hour=hour, minute=minute)
                if moment > after:
                    yield moment
        midnight += timedelta(days=1)


def _on(cron: Cron, moment: datetime) -> bool:
    day, weekday = moment.day in cron.days, moment.isoweekday() % 7 in cron.weekdays
    return moment.month in cron.months and ((day or weekday) if cron.either else (day and weekday))


def _exists(days: frozenset[int], months: frozenset[int]) -> bool:
    return any(min(days) <= _MONTH_DAYS[month - 1] for month in months)


def _listed(values: frozenset[int], field: _Field) -> str:
    """Numbers (for weekdays, names) as EventBridge reads them: ``0,5,10-12``."""
    if values == field.all:
        return "*"
    shown = _WEEKDAYS.__getitem__ if field is _WEEKDAY else str
    parts: list[str] = []
    for run in _consecutive(sorted(values)):
        parts += [f"{shown(run[0])}-{shown(run[-1])}"] if len(run) > 2 else map(shown, run)
    return ",".join(parts)


def _consecutive(values: Sequence[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for value in values:
        if run and value != run[-1] + 1:
            yield run
            run = []
        run.append(value)
    yield run


def _words(text: str) -> list[str]:
    if text.startswith("@"):
        if text.lower() in MACROS:
            return MACROS[text.lower()].split()
        raise _refused(
            text,
            "a schedule knows times of the clock"
            if text.lower() == "@reboot"
            else "there is no such macro",
            "use " + ", ".join(MACROS) + ", or five fields",
        )
    if re.match(r"(cron|rate|at)\s*\(", text, re.IGNORECASE):
        raise _refused(
            text,
            "that is EventBridge's own notation, which counts weekdays in another way",
            "write five fields: minute, hour, day of the month, month, day of the week",
        )
    words = text.split()
    if len(words) != 5:
        raise _refused(
            text,
            f"it has {len(words)} fields, and five are needed: minute, hour, day of the month, "
            "month, day of the week (seconds and years are not in it)",
            "for example '30 9 * * 1-5' in quotes: at 9:30 UTC from Monday to Friday",
        )
    return words


def _values(text: str, field: _Field, word: str) -> frozenset[int]:
    """The numbers that a field stands for."""
    if word == "?":
        if field in (_DAY, _WEEKDAY):
            return field.all
        raise _refused(text, f"'?' stands for a day, and not for the {field.name}", "write '*'")
    found: set[int] = set()
    for part in word.split(","):
        if part == "*" and word != "*":
            raise _refused(
                text, f"'{word}' lists every {field.name} and others beside", "write '*' alone"
            )
        found |= _part(text, field, part)
    return frozenset(found)


def _part(text: str, field: _Field, part: str) -> set[int]:
    """One item of a list: ``*``, ``5``, ``1-5``, each perhaps with ``/step``."""
    base, slash, step_text = part.partition("/")
    step = _step(text, field, part, step_text) if slash else 1
    if base == "*":
        first, last = field.low, field.high
    elif "-" in base:
        first, last = (_number(text, field, part, item) for item in base.split("-", 1))
    else:
        first = _number(text, field, part, base)
        last = field.high if slash else first
        if slash and field is _WEEKDAY:
            raise _refused(
                text,
                f"crons differ on whether '{part}' ends with Saturday or with Sunday",
                f"write the range: {first}-6/{step}, or {first}-7/{step}",
            )
    if first <= last:
        values = list(range(first, last + 1))
    else:
        values = [*range(first, field.high + 1), *range(field.low, last + 1)]
        if slash:
            raise _refused(
                text,
                f"crons count the steps of '{part}' in different ways, since it wraps around",
                "write the values out: " + ",".join(str(v) for v in values[::step]),
            )
    if step >= len(values) and step > 1:
        raise _refused(
            text,
            f"'{part}' in the {field.name} never takes a step: the count begins anew after {last}",
            f"write '{first}' if that is meant, or a smaller step",
        )
    return {value % 7 if field is _WEEKDAY else value for value in values[::step]}


def _step(text: str, field: _Field, part: str, step: str) -> int:
    if step.isascii() and step.isdecimal() and int(step) > 0:
        return int(step)
    raise _refused(
        text,
        f"the step of '{part}' in the {field.name} is not a number from 1",
        f"write for example '*/{(field.high + 1) // 4 or 2}'",
    )


_EXTENSIONS = (
    (r".*#.*", "'#' (the n-th weekday)", "write the days that it may be on, such as '8-14'"),
    (r"LW|\d+W", "'W' (the nearest working day)", "write the days out"),
    (r"\w*L|L-\d+", "'L' (the last one)", "write what it may be, such as '28-31'"),
    (r"H(?:\(.*\))?", "'H' (any value)", "choose a number"),
)


def _number(text: str, field: _Field, part: str, item: str) -> int:
    if item.upper() in field.names:
        return field.names.index(item.upper()) + field.low
    if item.isascii() and item.isdecimal() and field.low <= int(item) <= field.top:
        return int(item)
    for pattern, what, hint in _EXTENSIONS:
        if re.fullmatch(pattern, part.partition("/")[0].upper()):
            hint += "" if what.startswith("'H'") else ", and look at the date in the function"
            raise _refused(text, f"cron has no {what}: '{part}' in the {field.name}", hint)
    names = f", or {field.names[0]} to {field.names[-1]}" if field.names else ""
    where = "" if item == part else f" in '{part}'"
    raise _refused(
        text,
        f"'{item}'{where} is no {field.name}",
        f"the {field.name} is {field.low} to {field.top}{names}",
    )


def _spelled(words: Sequence[str]) -> str:
    """The expression with the stars of its day fields as ranges."""
    day, weekday = words[2].replace("*", "1-31"), words[4].replace("*", "0-6")
    return " ".join((*words[:2], day, words[3], weekday))


def _refused(text: str, reason: str, hint: str) -> UsageError:
    return UsageError(f"'{text}' cannot be scheduled.", reason=reason, hint=hint)
