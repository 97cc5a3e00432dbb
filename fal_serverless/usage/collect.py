"""Where the figures come from: the registry, Lambda, and CloudWatch's metrics or the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from fal_serverless.errors import UsageError, did_you_mean
from fal_serverless.usage import log, metrics
from fal_serverless.usage.metrics import Place, Question
from fal_serverless.usage.model import Version, Worker
from fal_serverless.usage.prices import Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fal_serverless.logs import LogEvent
    from fal_serverless.publish.services import Registry
    from fal_serverless.publish.state import (
        Alias,
        LiveFunction,
        Revision,
    )
    from fal_serverless.usage.metrics import Answers, Told
    from fal_serverless.usage.model import Row, Versions, Window
    from fal_serverless.usage.prices import Prices

Source = Literal["metrics", "log"]
SOURCES: tuple[Source, ...] = ("metrics", "log")


class Functions(Protocol):
    """Lambda functions, as far as usage asks about them."""

    def get(self, function: str) -> LiveFunction | None:
        """The function, or None."""

    def sizes(self, function: str) -> dict[str, tuple[int, str, int]]:
        """(memory, architecture, ephemeral storage) of each published version."""

    def provisioned(self, function: str, qualifier: str) -> tuple[int, int]:
        """Environments of an alias that are kept ready: (ready now, wanted)."""


class Logs(Protocol):
    """The functions' logs."""

    def since(self, function: str, start: int) -> tuple[LogEvent, ...]:
        """Events since ``start`` (epoch milliseconds), oldest first."""


class Metrics(Protocol):
    """CloudWatch's metrics."""

    def get(self, questions: Iterable[Question], window: Window) -> Answers:
        """What there is for each question."""


class Insights(Protocol):
    """CloudWatch Logs Insights."""

    def ask(
        self, functions: Iterable[str], query: str, start: float, end: float
    ) -> dict[str, list[dict[str, str]]]:
        """The rows of a query for each function's log."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What is asked."""

    registry: Registry
    functions: Functions
    logs: Logs
    metrics: Metrics
    insights: Insights


def check_source(name: str, *, local: bool) -> Source:
    """The source of that name; of an empty one, what suits the stack.

    Raises:
        UsageError: there is no such source.
    """
    for known in SOURCES:
        if name == known:
            return known
    if not name:
        return "log" if local else "metrics"
    raise UsageError(
        f"There is no source '{name}'.",
        reason="the figures come from 'metrics' or from the 'log'",
        hint=did_you_mean(name, SOURCES),
    )


def usage(
    sources: Sources, owner: str, window: Window, prices: Prices | None, source: Source
) -> list[Row]:
    """A row for each alias of a user's, and for each revision whose own URL was used.

    Raises:
        AwsError: something cannot be read.
    """
    revisions = sources.registry.revisions(owner)
    aliases = sources.registry.aliases(owner)
    names = sorted({item.function for item in revisions})
    versions = _versions(sources.functions, names, revisions)
    kept = _kept(aliases, revisions, versions, window)
    if source == "log":
        labels = [alias.name for alias in aliases]
        found = _runs(sources.logs, names, window)
        return log.rows(found, versions, window, prices, always=labels, kept=kept)
    logs = _told(sources.insights, names, window)
    places = _places(aliases, revisions, logs)
    answers = sources.metrics.get(metrics.questions(places, logs), window)
    rows = metrics.rows(places, answers, logs, versions, window, prices, kept)
    used = {alias.name for alias in aliases}
    return [row for row in rows if row.label in used or row.requests or row.throttled]


def workers(sources: Sources, owner: str, window: Window, source: Source) -> list[Worker]:
    """The environments of each function of a user's.

    Raises:
        AwsError: something cannot be read.
    """
    revisions = sources.registry.revisions(owner)
    aliases = sources.registry.aliases(owner)
    named = {item.function: item.name for item in revisions}
    peaks: dict[str, int | None] = {}
    cold: dict[str, int] = {}
    if source == "log":
        for name in named:
            found = [
                run
                for run in _runs(sources.logs, [name], window)
                if window.start <= run.ended <= window.end
            ]
            peaks[name] = log.peak(found)
            cold[name] = sum(run.cold for run in found)
    else:
        asked = {name: Question(name, "", "ConcurrentExecutions", "Maximum") for name in named}
        answers = sources.metrics.get(asked.values(), window)
        for name, question in asked.items():
            peaks[name] = max((round(v) for _, v in answers.get(question, ())), default=None)
        for name, told in _told(sources.insights, sorted(named), window).items():
            cold[name] = sum(told.first.values())
    found_workers = []
    for name, shown in sorted(named.items(), key=lambda item: (item[1], item[0])):
        live = sources.functions.get(name)
        found_workers.append(
            Worker(
                name=shown,
                function=name,
                peak=peaks.get(name),
                reserved=live.reserved if live else None,
                provisioned={
                    alias.name: sources.functions.provisioned(name, alias.name)
                    for alias in aliases
                    if alias.function == name and alias.min_concurrency
                },
                cold_starts=cold.get(name),
            )
        )
    return found_workers


def _versions(
    functions: Functions, names: Iterable[str], revisions: Iterable[Revision]
) -> Versions:
    ids = {(item.function, item.version): item.id for item in revisions}
    return {
        (name, number): Version(
            memory=memory,
            architecture=architecture,
            storage=storage,
            revision=ids.get((name, number), ""),
        )
        for name in names
        for number, (memory, architecture, storage) in functions.sizes(name).items()
    }


def _kept(
    aliases: Iterable[Alias], revisions: Iterable[Revision], versions: Versions, window: Window
) -> dict[str, Work]:
    """Provisioned concurrency, as if it had been through the whole window what it is now."""
    by_id = {item.id: item for item in revisions}
    found = {}
    for alias in aliases:
        revision = by_id.get(alias.revision)
        version = versions.get((revision.function, revision.version)) if revision else None
        if alias.min_concurrency and version:
            found[alias.name] = Work(
                requests=0,
                seconds=0,
                memory=version.memory,
                architecture=version.architecture,
                kept_seconds=alias.min_concurrency * (window.end - window.start),
                under_provisioned=True,
            )
    return found


def _runs(logs: Logs, names: Iterable[str], window: Window) -> list[log.Run]:
    return [run for name in names for run in log.runs(name, logs.since(name, window.start * 1000))]


def _told(insights: Insights, names: Sequence[str], window: Window) -> dict[str, Told]:
    answers = insights.ask(names, metrics.QUERY, window.start, window.end)
    return {name: metrics.told(found) for name, found in answers.items()}


def _places(
    aliases: Iterable[Alias], revisions: Iterable[Revision], logs: Mapping[str, Told]
) -> list[Place]:
    """Every alias; revisions only where their version ran, since each question is paid for."""
    found = [Place(alias.name, alias.function, alias.name) for alias in aliases]
    for item in revisions:
        log_of = logs.get(item.function)
        if log_of and item.version in log_of.billed:
            found.append(Place(item.id, item.function, item.version))
    return found
