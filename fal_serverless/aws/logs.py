"""CloudWatch Logs of the users' functions."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.session import error_code, translated
from fal_serverless.logs import LogEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLLOW_PAUSE_S = 2.0  # FilterLogEvents: 5 requests a second for each account and Region
OVERLAP_MS = 10_000  # events of several streams arrive late and out of order
_THROTTLED = {"ThrottlingException", "LimitExceededException"}
EVENTS_MAX = 10_000  # of a page; FilterLogEvents, CloudWatch Logs API reference


def log_group(function: str) -> str:
    """Where Lambda writes the log of a function."""
    return f"/aws/lambda/{function}"


@dataclass
class LambdaLogs:
    """Reads logs of Lambda functions.

    Attributes:
        sleep: takes seconds.
        now: epoch seconds.
    """

    client: Any
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time

    def since(self, function: str, start: int, until: int | None = None) -> tuple[LogEvent, ...]:
        """Events since ``start``, oldest first; none without a log.

        Args:
            start: epoch milliseconds.
            until: that of the last ones wanted, or None.

        Raises:
            AwsError: CloudWatch refused, also after waiting.
        """
        if until is not None and until < start:
            return ()
        found = {event.id: event for event in self._pages(function, start, until)}
        return tuple(sorted(found.values(), key=lambda event: event.time))

    def follow(self, function: str, start: int) -> Iterator[LogEvent]:
        """Events since ``start``, and then each new one, until the caller stops.

        New streams are found because the whole group is asked; events that arrive late are found
        because each question reaches back over the last seconds.
        """
        seen: dict[str, int] = {}
        newest = start
        while True:
            for event in self.since(function, max(start, newest - OVERLAP_MS)):
                if event.id not in seen:
                    seen[event.id] = event.time
                    newest = max(newest, event.time)
                    yield event
            seen = {key: at for key, at in seen.items() if at >= newest - OVERLAP_MS}
            self.sleep(FOLLOW_PAUSE_S)

    def keep(self, function: str, days: int) -> None:
        """Make the log of a function, whose events go after so many days."""
        group = log_group(function)
        with translated(f"Preparing the log of '{function}'"):
            try:
                self.client.create_log_group(logGroupName=group)
            except ClientError as error:
                if error_code(error) != "ResourceAlreadyExistsException":
                    raise
            self.client.put_retention_policy(logGroupName=group, retentionInDays=days)

    def delete(self, function: str) -> None:
        """Delete the log of a function; nothing happens when there is none."""
        with translated(f"Deleting the log of '{function}'"):
            try:
                self.client.delete_log_group(logGroupName=log_group(function))
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise

    def _pages(self, function: str, start: int, until: int | None) -> Iterator[LogEvent]:
        arguments: dict[str, Any] = {"logGroupName": log_group(function), "startTime": start}
        if until is not None:
            arguments["endTime"] = until
        told: Counter[str] = Counter()
        while True:
            page = self._page(function, arguments)
            for item in page.get("events", []):
                # Emulators give events no id: then it is what was said, where, and how often yet.
                said = f"{item['logStreamName']} {item['timestamp']} {item['message']}"
                told[said] += 1
                yield LogEvent(
                    id=str(item.get("eventId") or f"{said} {told[said]}"),
                    time=int(item["timestamp"]),
                    stream=str(item["logStreamName"]),
                    message=str(item["message"]),
                )
            token = page.get("nextToken")
            if not token and len(page.get("events", [])) >= EVENTS_MAX:
                # Emulators end here without a word: asked on from the last moment that was told.
                last = int(page["events"][-1]["timestamp"])
                if last > arguments["startTime"]:
                    arguments["startTime"] = last
                    told.clear()
                    continue
            if not token or token == arguments.get("nextToken"):
                return
            arguments["nextToken"] = token

    def _page(self, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
        with translated(f"Reading the log of '{function}'"):
            for pause in (0.5, 1, 2, 4, 8, None):
                try:
                    page: dict[str, Any] = self.client.filter_log_events(**arguments)
                except ClientError as error:
                    if error_code(error) == "ResourceNotFoundException":
                        return {}
                    if error_code(error) not in _THROTTLED or pause is None:
                        raise
                    self.sleep(pause)
                else:
                    return page
        raise AssertionError("the loop returns or raises")
