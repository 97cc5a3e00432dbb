"""CloudWatch's metrics of Lambda functions, many at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.session import error_code, from_client_error, translated
from fal_serverless.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fal_serverless.usage.metrics import Answers, Question, Series
    from fal_serverless.usage.model import Window

QUERIES_MAX = 500
"""Of one call. Source: GetMetricData, CloudWatch API reference."""
_PAUSES = (0.5, 1, 2, 4, 8, None)
_THROTTLED = {"Throttling", "ThrottlingException", "LimitExceeded", "RequestLimitExceeded"}


@dataclass(frozen=True)
class LambdaMetrics:
    """Asks for metrics of ``AWS/Lambda``.

    Attributes:
        sleep: takes seconds.
    """

    client: Any
    sleep: Callable[[float], None] = time.sleep

    def get(self, questions: Iterable[Question], window: Window) -> Answers:
        """What there is for each question; an empty series where there is nothing.

        Raises:
            AwsError: CloudWatch refused, also after waiting, or could not answer one of them.
        """
        asked = list(dict.fromkeys(questions))
        found: Answers = {}
        for start in range(0, len(asked), QUERIES_MAX):
            found.update(self._batch(asked[start : start + QUERIES_MAX], window))
        return found

    def _batch(self, asked: Sequence[Question], window: Window) -> Answers:
        arguments: dict[str, Any] = {
            "MetricDataQueries": [
                _query(f"q{number}", question, window) for number, question in enumerate(asked)
            ],
            "StartTime": datetime.fromtimestamp(window.start, timezone.utc),
            "EndTime": datetime.fromtimestamp(window.end, timezone.utc),
            "ScanBy": "TimestampAscending",
        }
        found: dict[str, list[tuple[float, float]]] = {}
        while True:
            page = self._page(arguments)
            for result in page.get("MetricDataResults", []):
                if result.get("StatusCode") in ("InternalError", "Forbidden"):
                    said = [str(item.get("Value")) for item in result.get("Messages", [])]
                    raise AwsError(
                        "Reading the metrics failed.",
                        reason=f"CloudWatch says {result['StatusCode']} {' '.join(said)}".strip(),
                        hint="run it again, or with --source log",
                    )
                moments = (moment.timestamp() for moment in result.get("Timestamps", []))
                found.setdefault(result["Id"], []).extend(
                    zip(moments, result.get("Values", []), strict=True)
                )
            token = page.get("NextToken")
            if not token:
                break
            arguments["NextToken"] = token
        return {
            question: _series(found.get(f"q{number}", [])) for number, question in enumerate(asked)
        }

    def _page(self, arguments: dict[str, Any]) -> dict[str, Any]:
        doing = "Reading the metrics"
        for pause in _PAUSES:
            with translated(doing):
                try:
                    page: dict[str, Any] = self.client.get_metric_data(**arguments)
                except ClientError as error:
                    if error_code(error) not in _THROTTLED:
                        raise
                    if pause is None:
                        raise _throttled(doing, error) from error
                    self.sleep(pause)
                else:
                    return page
        raise AssertionError("the loop returns or raises")


def _throttled(doing: str, error: ClientError) -> AwsError:
    found = from_client_error(doing, error)
    return AwsError(
        found.message,
        reason=f"CloudWatch throttles: {len(_PAUSES)} tries in {sum(p or 0 for p in _PAUSES):g} s",
        hint="wait a minute and run it again, or ask for less with --since",
    )


def _series(points: list[tuple[float, float]]) -> Series:
    return tuple(sorted((moment, float(value)) for moment, value in points))


def _query(name: str, question: Question, window: Window) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": question.function}]
    if question.qualifier:
        resource = f"{question.function}:{question.qualifier}"
        dimensions.append({"Name": "Resource", "Value": resource})
    if question.executed:
        dimensions.append({"Name": "ExecutedVersion", "Value": question.executed})
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/Lambda",
                "MetricName": question.metric,
                "Dimensions": dimensions,
            },
            "Period": window.period * window.bins if question.whole else window.period,
            "Stat": question.stat,
        },
    }
