"""CloudWatch Logs Insights: one query on the logs of several functions."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.logs import log_group
from fal_serverless.aws.session import error_code, translated
from fal_serverless.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

AT_A_TIME = 10
"""Queries that run at a time; an account has 30 at least (CloudWatch Logs quotas)."""
ROWS_MAX = 10_000
"""Of one query. Source: StartQuery, CloudWatch Logs API reference."""
_POLLS = 300
_PAUSE_S = 1.0
_PAUSES = (0.5, 1, 2, 4, 8, None)
_THROTTLED = {"ThrottlingException", "LimitExceededException"}
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Insights:
    """Runs queries.

    Attributes:
        sleep: takes seconds.
    """

    client: Any
    sleep: Callable[[float], None] = time.sleep

    def ask(
        self, functions: Iterable[str], query: str, start: float, end: float
    ) -> dict[str, Rows]:
        """The rows for each function's log; none for a function without one.

        Args:
            start: epoch seconds.
            end: epoch seconds.

        Raises:
            AwsError: it was refused, also after waiting, or did not end.
        """
        names = list(dict.fromkeys(functions))
        found: dict[str, Rows] = {}
        for first in range(0, len(names), AT_A_TIME):
            part = names[first : first + AT_A_TIME]
            running = {name: self._start(name, query, int(start), int(end)) for name in part}
            for name, number in running.items():
                found[name] = self._rows(name, number) if number else []
        return found

    def _start(self, function: str, query: str, start: int, end: int) -> str:
        for pause in _PAUSES:
            with translated(f"Asking the log of '{function}'"):
                try:
                    begun = self.client.start_query(
                        logGroupName=log_group(function),
                        startTime=start,
                        endTime=end,
                        queryString=query,
                    )
                    return str(begun["queryId"])
                except ClientError as error:
                    if error_code(error) == "ResourceNotFoundException":
                        return ""
                    if error_code(error) not in _THROTTLED or pause is None:
                        raise
                    self.sleep(pause)
        raise AssertionError("the loop returns or raises")

    def _rows(self, function: str, number: str) -> Rows:
        for _ in range(_POLLS):
            with translated(f"Asking the log of '{function}'"):
                answer = self.client.get_query_results(queryId=number)
            status = answer["status"]
            if status == "Complete":
                return _read(function, answer["results"])
            if status not in ("Scheduled", "Running"):
                raise AwsError(
                    f"Asking the log of '{function}' failed.",
                    reason=f"Logs Insights says {status}",
                    hint="ask for less with --since, or run it with --source log",
                )
            self.sleep(_PAUSE_S)
        with translated(f"Asking the log of '{function}'"):
            self.client.stop_query(queryId=number)
        raise AwsError(
            f"Asking the log of '{function}' took too long.",
            reason=f"Logs Insights has not ended after {_POLLS * _PAUSE_S:.0f} s",
            hint="ask for less with --since",
        )


def _read(function: str, results: Sequence[Sequence[dict[str, str]]]) -> Rows:
    if len(results) >= ROWS_MAX:
        raise AwsError(
            f"The log of '{function}' tells of too many versions and names.",
            reason=f"Logs Insights gives {ROWS_MAX:,} rows at most",
            hint="ask for less with --since",
        )
    return [{item["field"]: item["value"] for item in row if "value" in item} for row in results]
