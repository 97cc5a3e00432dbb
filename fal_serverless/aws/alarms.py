"""CloudWatch alarms on the errors of a version: satisfies ``publish.state.Alarms``.

Two things are a failed request: what Lambda counts as an error (a crash, a timeout, an exception
while loading), and an answer of 500 and above, which is a successful invocation to Lambda. The
runtime writes the second down as a metric of the same dimensions (``runtime.failures``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.session import error_code, translated

if TYPE_CHECKING:
    from fal_serverless.publish.state import Watched

PERIOD_S = 60
"""Lambda sends its metrics every minute."""
PERIODS = 3
"""Minutes that are looked at, because metrics arrive late; one bad one of them is enough."""


@dataclass
class MetricAlarms:
    """The alarms of one account and Region.

    Attributes:
        guard: ARN of the Lambda function that an alarm calls.
    """

    client: Any
    guard: str

    def put(self, name: str, watched: Watched) -> None:
        """Make an alarm that calls the stack's guard."""
        share = f"{watched.percent:g}% of version {watched.version}'s requests"
        with translated(f"Making the alarm '{name}'"):
            self.client.put_metric_alarm(
                AlarmName=name,
                AlarmDescription=f"fal-serverless: ends the split of alias '{watched.alias}' of "
                f"{watched.function} when more than {share} fail.",
                Metrics=metrics(watched),
                ComparisonOperator="GreaterThanThreshold",
                Threshold=watched.percent,
                EvaluationPeriods=PERIODS,
                DatapointsToAlarm=1,
                # Without requests there is nothing to be said against a revision.
                TreatMissingData="notBreaching",
                AlarmActions=[self.guard],
            )

    def delete(self, name: str) -> None:
        """Delete an alarm; nothing happens when it is gone."""
        with translated(f"Deleting the alarm '{name}'"):
            try:
                self.client.delete_alarms(AlarmNames=[name])
            except ClientError as error:
                if error_code(error) not in ("ResourceNotFound", "ResourceNotFoundException"):
                    raise


def metrics(watched: Watched) -> list[dict[str, Any]]:
    """The failed requests of a minute in percent, as CloudWatch's metric math. Pure."""
    dimensions = [
        {"Name": "FunctionName", "Value": watched.function},
        {"Name": "Resource", "Value": f"{watched.function}:{watched.alias}"},
        {"Name": "ExecutedVersion", "Value": watched.version},
    ]

    def summed(ident: str, namespace: str, metric: str) -> dict[str, Any]:
        named = {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions}
        stat = {"Metric": named, "Period": PERIOD_S, "Stat": "Sum"}
        return {"Id": ident, "MetricStat": stat, "ReturnData": False}

    return [
        {
            "Id": "rate",
            # Failures have no data points as long as there are none.
            "Expression": "100 * (FILL(errors, 0) + FILL(failures, 0)) / invocations",
            "Label": "failed requests in percent",
            "ReturnData": True,
        },
        summed("errors", "AWS/Lambda", "Errors"),
        summed("failures", "FalServerless", "Failures"),
        summed("invocations", "AWS/Lambda", "Invocations"),
    ]
