"""Which events of a log are shown, and how Lambda's own lines are read. Pure.

Lambda frames what a function prints by lines of its own: ``INIT_START``, ``START RequestId: …``,
``END RequestId: …``, ``REPORT RequestId: …``. One environment handles one event at a time, so the
lines between START and END of a stream belong to that request.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fal_serverless.frozen import Frozen
from fal_serverless.keys import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_START = re.compile(r"START RequestId: (\S+)(?: Version: (\S+))?")
_FRAME = re.compile(r"(END|REPORT|START) RequestId: (\S+)")
_ERROR = re.compile(
    r"Traceback \(most recent call last\)|\[ERROR\]|Task timed out|Runtime exited|"
    # The embedded stack's emulator says it so.
    r"Worker process died|Worker returned no response|No JSON response from worker|"
    r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Exit|Interrupt)\b|"
    r"Status: (?:error|timeout)|"
    # The runtime's own word for an answer that Lambda takes for a success.
    r"^fal-failed [0-9]{3}\b"
)


class LogEvent(Frozen):
    """One event of a log.

    Attributes:
        id: of the event, for recognising it again.
        time: milliseconds since the epoch.
        stream: of one environment.
        request: Lambda's id of the request, or ``""`` outside of one.
    """

    id: str
    time: int
    stream: str
    message: str
    request: str = ""


def stream_version(stream: str) -> str:
    """The Lambda version in a log stream's name (``2026/11/24/[3]abc…``), or ``""``."""
    found = re.search(r"\[([^\]]+)\]", stream)
    return found[1] if found else ""


class Attribution:
    """Gives each event the request it belongs to as far as can be told while they come."""

    def __init__(self) -> None:
        self._current: dict[str, str] = {}

    def of(self, event: LogEvent) -> LogEvent:
        """The event with its request."""
        started = _START.search(event.message)
        if started:
            self._current[event.stream] = started[1]
        framed = _FRAME.search(event.message)
        request = framed[2] if framed else self._current.get(event.stream, "")
        if framed and framed[1] == "REPORT":
            self._current.pop(event.stream, None)
        return replace(event, request=request)


def attributed(events: Iterable[LogEvent]) -> Iterator[LogEvent]:
    """The events of one function, oldest first, with their requests.

    A function may print what looks like Lambda's own lines: what stands between a request's START
    and its END is what it printed, whatever it looks like.
    """
    whole = list(events)
    frames = [_FRAME.search(event.message) for event in whole]
    ends: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, (event, frame) in enumerate(zip(whole, frames, strict=True)):
        if frame and frame[1] != "START":
            ends[event.stream, frame[2]].append(index)
    attribution = Attribution()
    inside: dict[str, tuple[str, int]] = {}
    for index, (event, frame) in enumerate(zip(whole, frames, strict=True)):
        request, end = inside.get(event.stream, ("", -1))
        if index < end:
            yield replace(event, request=request)
            continue
        if frame and frame[1] == "START":
            # One that died without an end of its own ends where the next one starts.
            later = (number for number in ends[event.stream, frame[2]] if number > index)
            inside[event.stream] = (frame[2], next(later, -1))
        yield attribution.of(event)


def is_metric(event: LogEvent) -> bool:
    """Whether an event is the runtime's own count of failures (``runtime.failures``)."""
    return event.message.startswith('{"_aws":') and '"Namespace":"FalServerless"' in event.message


def failed(events: Iterable[LogEvent]) -> frozenset[tuple[str, str]]:
    """What went wrong, as ``occasion``: requests whose lines tell of an error, and inits."""
    return frozenset(occasion(item) for item in events if _ERROR.search(item.message.strip()))


def occasion(event: LogEvent) -> tuple[str, str]:
    """What an event belongs to: a request, or what an environment did outside of any (init)."""
    return ("", event.request) if event.request else (event.stream, "")


def aliases_of_request(events: Iterable[LogEvent], request: str) -> frozenset[str]:
    """Lambda's ids of a request that is known by either side's id.

    The runtime's first line for each request holds the gateway's id, so that the
    ``x-fal-request-id`` of an answer leads to its lines.
    """
    # Another request's id may begin with this one.
    marker = re.compile(rf"fal-request {re.escape(request)}(?![\w.-])")
    return frozenset(
        {request} | {event.request for event in events if marker.search(event.message)} - {""}
    )


def choose(events: Iterable[LogEvent], *, request: str, errors: bool) -> list[LogEvent]:
    """The events of one request (by either side's id), or of the requests that failed, or all."""
    chosen = list(events)
    if request:
        ids = aliases_of_request(chosen, request)
        chosen = [event for event in chosen if event.request in ids]
    if errors:
        wrong = failed(chosen)
        chosen = [event for event in chosen if occasion(event) in wrong]
    return chosen


def of_version(event: LogEvent, version: str) -> bool:
    """Whether an event is of a Lambda version; ``""`` stands for all of them.

    The runtime's own count of failures (``runtime.failures``) is nobody's.
    """
    if is_metric(event):
        return False
    return not version or stream_version(event.stream) in (version, "")


def beginning(since: str, now: float) -> int:
    """Epoch milliseconds of so long ago, such as ``2h``; not before 1970, where logs begin.

    Raises:
        UsageError: ``since`` is no duration.
    """
    return max(0, int((now - parse_duration(since)) * 1000))


def collect(
    read: Callable[[str, int], Iterable[LogEvent]], functions: Mapping[str, str], start: int
) -> list[LogEvent]:
    """Events of several functions with their requests, oldest first.

    Args:
        read: gives a function's events since a moment, oldest first.
        functions: names of Lambda functions, each with the version wanted or ``""``.
        start: epoch milliseconds.
    """
    found: list[LogEvent] = []
    for function, version in functions.items():
        found += attributed(event for event in read(function, start) if of_version(event, version))
    return sorted(found, key=lambda event: event.time)


def shown(event: LogEvent) -> str:
    """One line for a person: time in UTC, message."""
    at = datetime.fromtimestamp(event.time / 1000, timezone.utc)
    text = event.message.rstrip("\n")
    return f"{at:%Y-%m-%d %H:%M:%S}.{event.time % 1000:03d} {text}"


def described(event: LogEvent) -> dict[str, Any]:
    """An event, as JSON documents show it."""
    return {
        "time": event.time,
        "message": event.message.rstrip("\n"),
        "request": event.request or None,
        "stream": event.stream,
    }
