"""Rows out of the functions' log: each request is read, so that every figure is exact.

Lambda's own lines give durations, the runtime's what Lambda does not know: ``fal-request ID LABEL
[(first)]`` when a request begins, ``fal-failed STATUS LABEL`` when it was answered with an error.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fal_serverless.logs import attributed, stream_version
from fal_serverless.usage.model import Row, percentile, total_cost
from fal_serverless.usage.prices import Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fal_serverless.logs import LogEvent
    from fal_serverless.usage.model import Versions, Window
    from fal_serverless.usage.prices import Prices

_REPORT = re.compile(r"REPORT RequestId: (\S+)")
# What a function prints may begin like Lambda's line, and say what is no number.
_FIGURE = re.compile(
    r"(Billed Duration|Duration|Memory Size|Init Duration): "
    r"([0-9]{1,9}(?:\.[0-9]{1,9})?) (?:ms|MB)"
)
_BEGUN = re.compile(r"fal-request \S+ ([a-z0-9-]+)( \(first\))?\s*")
_FAILED = re.compile(r"fal-failed [0-9]{3}\b")
_LOST = re.compile(
    r"Task timed out after|Runtime exited|\[ERROR\]|Status: (?:error|timeout)\b|"
    # The emulator's words for a process that is gone.
    r"Worker process died|Worker returned no response|No JSON response from worker"
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One invocation.

    Attributes:
        label: alias or revision that was asked for, or ``""`` when nobody wrote it down.
        ended: epoch seconds.
        duration: milliseconds.
        billed: milliseconds.
        memory: MB.
        cold: whether an environment was started for it.
    """

    function: str
    version: str
    label: str
    ended: float
    duration: float
    billed: float
    memory: int
    cold: bool
    failed: bool


def runs(function: str, events: Iterable[LogEvent]) -> list[Run]:
    """The invocations that a function's log tells of, by their end; events oldest first."""
    lines: dict[str, list[LogEvent]] = defaultdict(list)
    for event in attributed(events):
        if event.request:
            lines[event.request].append(event)
    found = [run for told in lines.values() if (run := _run(function, told))]
    return sorted(found, key=lambda run: run.ended)


def _run(function: str, told: Sequence[LogEvent]) -> Run | None:
    """None when the end of an invocation is not in the log: it runs, or it began long ago."""
    report = next((event for event in told if _ends(event)), None)
    if report is None:
        return None
    figures = {name: float(value) for name, value in _FIGURE.findall(report.message)}
    if "Duration" not in figures:
        return None
    # The runtime's own line comes before what the function prints, which may look the same.
    begun = next((m for event in told if (m := _BEGUN.fullmatch(event.message))), None)
    return Run(
        function=function,
        version=stream_version(report.stream),
        label=begun[1] if begun else "",
        ended=report.time / 1000,
        duration=figures["Duration"],
        billed=figures.get("Billed Duration", figures["Duration"]),
        memory=int(figures.get("Memory Size", 0)),
        cold="Init Duration" in figures or bool(begun and begun[2]),
        failed=_failed(told, begun=begun is not None),
    )


def _ends(event: LogEvent) -> bool:
    """Whether an event is Lambda's report of its own request, and not printed by a function."""
    found = _REPORT.match(event.message)
    return found is not None and found[1] == event.request


def _failed(told: Sequence[LogEvent], *, begun: bool) -> bool:
    messages = [event.message for event in told]
    if any(_FAILED.match(text) or _LOST.search(text) for text in messages):
        return True
    # Without the runtime's own line, what was raised came from loading the function.
    return not begun and any(text.startswith("Traceback (most recent") for text in messages)


def rows(
    found: Iterable[Run],
    versions: Versions,
    window: Window,
    prices: Prices | None,
    *,
    always: Iterable[str] = (),
    kept: Mapping[str, Work] = {},
) -> list[Row]:
    """A row for each label.

    Args:
        always: labels that have a row also when nobody asked for them.
        kept: provisioned concurrency of aliases, as work without requests.
    """
    by_label: dict[str, list[Run]] = defaultdict(list)
    for run in found:
        if window.start <= run.ended <= window.end:
            by_label[run.label or _name(run, versions)].append(run)
    return [
        _row(label, by_label.get(label, []), versions, window, prices, kept.get(label))
        for label in sorted({*by_label, *always})
    ]


def _name(run: Run, versions: Versions) -> str:
    known = versions.get((run.function, run.version))
    return known.revision if known and known.revision else f"{run.function}:{run.version}"


def _row(
    label: str,
    found: Sequence[Run],
    versions: Versions,
    window: Window,
    prices: Prices | None,
    kept: Work | None,
) -> Row:
    durations = sorted(run.duration for run in found)
    works = [_work(run, versions, kept=kept is not None) for run in found]
    return Row(
        label=label,
        requests=len(found),
        errors=sum(run.failed for run in found),
        throttled=None,
        cold_starts=sum(run.cold for run in found),
        p50=percentile(durations, 50),
        p95=percentile(durations, 95),
        p99=percentile(durations, 99),
        gb_seconds=sum(run.billed / 1000 * run.memory / 1024 for run in found),
        cost=total_cost([*works, *([kept] if kept else [])], prices),
        over_time=window.spread((run.ended, 1) for run in found),
    )


def _work(run: Run, versions: Versions, *, kept: bool) -> Work | None:
    version = versions.get((run.function, run.version))
    if version is None:
        return None
    return Work(
        requests=1,
        seconds=run.billed / 1000,
        memory=run.memory,
        architecture=version.architecture,
        storage=version.storage,
        under_provisioned=kept,
    )


def peak(found: Iterable[Run]) -> int:
    """Most invocations that ran at a time."""
    changes: list[tuple[float, int]] = []
    for run in found:
        changes += [(run.ended - run.duration / 1000, 1), (run.ended, -1)]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most
