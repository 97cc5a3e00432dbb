"""Rows out of CloudWatch: metrics by alias and version, and what Logs Insights counted. Pure.

Lambda keeps its metrics by what was asked for (``Resource``: an alias or a version) and, for
aliases, by what ran (``ExecutedVersion``). It does not keep what was billed: that is in the log, by
version. Where several names lead to one version, they share it as they share its duration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fal_serverless.errors import AwsError
from fal_serverless.usage.model import APPROXIMATE, AT_MOST, Row, total_cost
from fal_serverless.usage.prices import Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fal_serverless.usage.model import Versions, Window
    from fal_serverless.usage.prices import Prices

_COUNTS = ("Invocations", "Errors", "Throttles")
_PERCENTILES = ("p50", "p95", "p99")
QUERY = """\
filter @type = "REPORT" or @message like /^fal-(request|failed) /
| parse @logStream /\\[(?<version>[^\\]]+)\\]/
| parse @message /^fal-(?<kind>request|failed) [^ ]+ (?<label>[a-z0-9-]+)/
| fields strcontains(@message, " (first)") as begun
| stats count(*) as lines, sum(@billedDuration) as billed, sum(begun) as first \
by version, kind, label
| limit 10000"""
"""For Logs Insights: what was billed by version, and what the runtime wrote down by label."""

Series = tuple[tuple[float, float], ...]
"""Moments (epoch seconds) and values."""


@dataclass(frozen=True)
class Question:
    """One statistic of one metric of ``AWS/Lambda``.

    Attributes:
        qualifier: alias or version that was asked for; ``""``: the whole function.
        executed: version that ran, for aliases; ``""``: any.
        whole: one value for the whole window, instead of one for each period.
    """

    function: str
    qualifier: str
    metric: str
    stat: str
    executed: str = ""
    whole: bool = False


Answers = dict[Question, Series]


@dataclass(frozen=True)
class Place:
    """A name that requests go to, as Lambda knows it."""

    label: str
    function: str
    qualifier: str


@dataclass(frozen=True)
class Told:
    """What a function's log says, counted.

    Attributes:
        billed: milliseconds, by version.
        first: environments started for a request, by label.
        failed: requests answered with an error, by label.
    """

    billed: Mapping[str, float]
    first: Mapping[str, int]
    failed: Mapping[str, int]


def told(rows: Iterable[Mapping[str, str]]) -> Told:
    """The rows that ``QUERY`` gives for one function.

    Raises:
        AwsError: they are no counts, as those of an emulator.
    """
    billed: dict[str, float] = {}
    first: dict[str, int] = {}
    failed: dict[str, int] = {}
    for row in rows:
        if "lines" not in row:
            raise AwsError(
                "Logs Insights did not count.",
                reason="its answer has no column 'lines': this endpoint cannot do 'stats'",
                hint="run it with --source log",
            )
        kind, label, lines = row.get("kind"), row.get("label", ""), int(float(row["lines"]))
        if not kind:
            version = row.get("version", "")
            billed[version] = billed.get(version, 0) + float(row.get("billed") or 0)
        elif kind == "failed":
            failed[label] = failed.get(label, 0) + lines
        else:
            first[label] = first.get(label, 0) + int(float(row.get("first") or 0))
    return Told(billed, first, failed)


def questions(places: Iterable[Place], logs: Mapping[str, Told]) -> list[Question]:
    """Everything to ask of CloudWatch."""
    found: list[Question] = []
    for place in places:
        where = (place.function, place.qualifier)
        found += [Question(*where, metric, "Sum") for metric in _COUNTS]
        found += [Question(*where, "Duration", stat, whole=True) for stat in _PERCENTILES]
        found += [_duration(place, version) for version in _ran(place, logs)]
    return found


def rows(
    places: Sequence[Place],
    answers: Answers,
    logs: Mapping[str, Told],
    versions: Versions,
    window: Window,
    prices: Prices | None,
    kept: Mapping[str, Work] = {},
) -> list[Row]:
    """A row for each place.

    Args:
        logs: by Lambda function.
        kept: provisioned concurrency of aliases, as work without requests.
    """
    taken: dict[tuple[str, str], float] = {}
    for place in places:
        for version in _ran(place, logs):
            spent = _total(answers, _duration(place, version))
            key = (place.function, version)
            taken[key] = taken.get(key, 0) + spent
    return [_row(place, answers, logs, taken, versions, window, prices, kept) for place in places]


def _row(
    place: Place,
    answers: Answers,
    logs: Mapping[str, Told],
    taken: Mapping[tuple[str, str], float],
    versions: Versions,
    window: Window,
    prices: Prices | None,
    kept: Mapping[str, Work],
) -> Row:
    where = (place.function, place.qualifier)
    sums = {name: _total(answers, Question(*where, name, "Sum")) for name in _COUNTS}
    log = logs.get(place.function, Told({}, {}, {}))
    marks: dict[str, str] = {}
    percentiles = []
    for stat in _PERCENTILES:
        values = [v for _, v in answers.get(Question(*where, "Duration", stat, whole=True), ())]
        percentiles.append(max(values, default=None))
        if len(values) > 1:
            # A percentile of the whole is not above the largest of its parts'.
            marks[stat] = AT_MOST
    gb_seconds: float | None = 0.0
    under = place.label in kept
    works: list[Work | None] = [Work(requests=sums["Invocations"], seconds=0, memory=0)]
    claimed = False
    for version in _ran(place, logs):
        spent = _total(answers, _duration(place, version))
        if not spent:
            continue
        claimed = True
        share = spent / taken[place.function, version]
        if share < 1:
            marks["gb_seconds"] = APPROXIMATE
        work = _work(versions, place.function, version, share * log.billed[version], under=under)
        works.append(work)
        if work is None or gb_seconds is None:
            gb_seconds = None
        else:
            gb_seconds += work.seconds * work.memory / 1024
    if sums["Invocations"] and not claimed:
        gb_seconds = None
        works.append(None)
    extra = [kept[place.label]] if under else []
    return Row(
        label=place.label,
        requests=round(sums["Invocations"]),
        errors=round(sums["Errors"]) + log.failed.get(place.label, 0),
        throttled=round(sums["Throttles"]),
        cold_starts=log.first.get(place.label, 0),
        p50=percentiles[0],
        p95=percentiles[1],
        p99=percentiles[2],
        gb_seconds=gb_seconds,
        cost=total_cost([*works, *extra], prices),
        over_time=window.spread(answers.get(Question(*where, "Invocations", "Sum"), ())),
        marks=marks,
    )


def _work(
    versions: Versions, function: str, version: str, billed: float, *, under: bool
) -> Work | None:
    known = versions.get((function, version))
    if known is None:
        return None
    return Work(
        requests=0,
        seconds=billed / 1000,
        memory=known.memory,
        architecture=known.architecture,
        storage=known.storage,
        under_provisioned=under,
    )


def _ran(place: Place, logs: Mapping[str, Told]) -> list[str]:
    """Versions that may have run for a place."""
    log = logs.get(place.function)
    ran = sorted(log.billed) if log else []
    if place.qualifier.isdecimal():
        return [version for version in ran if version == place.qualifier]
    return ran


def _duration(place: Place, version: str) -> Question:
    executed = "" if place.qualifier.isdecimal() else version
    return Question(place.function, place.qualifier, "Duration", "Sum", executed=executed)


def _total(answers: Answers, question: Question) -> float:
    return sum(value for _, value in answers.get(question, ()))
