"""The rows of ``usage``, and how they are counted and drawn. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fal_serverless.usage.prices import Prices, Work

BINS = 24
"""Points of a line of requests over time, about."""
DAY_S = 86_400
KEPT_S = 455 * DAY_S
"""How long CloudWatch keeps metrics. Source: GetMetricData, CloudWatch API reference."""
_BARS = "▁▂▃▄▅▆▇█"

APPROXIMATE = "~"
AT_MOST = "≤"


@dataclass(frozen=True, kw_only=True)
class Version:
    """A Lambda version as far as its price goes.

    Attributes:
        memory: MB.
        storage: ephemeral, MB.
        revision: that was published as it, ``""`` if the registry has none.
    """

    memory: int
    architecture: str
    storage: int
    revision: str = ""


Versions = dict[tuple[str, str], Version]
"""By Lambda function and version number."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one alias or revision did; None stands for what is not known.

    Attributes:
        label: alias or revision id, or ``<function>:<version>`` of a version that is gone.
        requests: invocations of the function.
        errors: of them, without an answer or with one of 500 and above.
        throttled: attempts that Lambda did not take.
        cold_starts: environments that were started for a request.
        p50: milliseconds; and so are the others.
        gb_seconds: billed.
        cost: dollars, always an estimate.
        over_time: requests in each of the periods.
        marks: of figures that are not exact: ``~`` about, ``≤`` at most.
    """

    label: str
    requests: int | None
    errors: int | None
    throttled: int | None
    cold_starts: int | None
    p50: float | None
    p95: float | None
    p99: float | None
    gb_seconds: float | None
    cost: float | None
    over_time: tuple[int, ...]
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The environments of one Lambda function; None stands for what is not known.

    Attributes:
        name: of the decorated function.
        peak: most that ran at a time.
        reserved: concurrency that nobody else can take; None without.
        provisioned: environments that are kept ready, by alias: (ready, wanted).
    """

    name: str
    function: str
    peak: int | None
    reserved: int | None
    provisioned: Mapping[str, tuple[int, int]]
    cold_starts: int | None


@dataclass(frozen=True)
class Window:
    """The time that is looked at, in periods as CloudWatch keeps them.

    Attributes:
        start: epoch seconds, at the beginning of a period.
        end: epoch seconds.
        period: seconds.
    """

    start: int
    end: int
    period: int

    @property
    def bins(self) -> int:
        """Number of periods."""
        return max(1, math.ceil((self.end - self.start) / self.period))

    def spread(self, counts: Iterable[tuple[float, float]]) -> tuple[int, ...]:
        """Counts at moments (epoch seconds) as a count for each period."""
        found = [0.0] * self.bins
        for at, count in counts:
            place = int((at - self.start) // self.period)
            # A request that began before the window ends in its first period.
            found[min(max(place, 0), self.bins - 1)] += count
        return tuple(round(count) for count in found)


def window(start: float, end: float) -> Window:
    """The window from ``start`` to ``end``, epoch seconds.

    CloudWatch keeps minutes for 15 days, five minutes for 63 days, and hours for 455.
    """
    age = end - start
    step = 60 if age <= 15 * DAY_S else 300 if age <= 63 * DAY_S else 3600
    first = int(start // step) * step
    period = max(step, math.ceil((end - first) / BINS / step) * step)
    return Window(first, math.ceil(end), period)


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """The smallest value that so many percent of the values do not exceed (nearest rank)."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def total_cost(works: Iterable[Work | None], prices: Prices | None) -> float | None:
    """Dollars of everything together, or None when a part of it is not known."""
    from fal_serverless.usage.prices import cost

    if prices is None:
        return None
    found = 0.0
    for work in works:
        part = cost(work, prices) if work else None
        if part is None:
            return None
        found += part
    return found


def bars(counts: Sequence[int]) -> str:
    """Counts as a line of bars; a space where there was nothing."""
    most = max(counts, default=0)
    if not most:
        return ""
    return "".join(
        _BARS[math.ceil(count / most * len(_BARS)) - 1] if count > 0 else " " for count in counts
    )
