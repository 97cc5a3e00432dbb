"""What was changed in a stack's resources behind CloudFormation's back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fal_serverless.aws.session import translated
from fal_serverless.checks.stack import Drifted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fal_serverless.aws.session import Session

WAIT_S = 30.0
"""CloudFormation takes some seconds for a stack of this size, and sometimes a minute."""
PAUSE_S = 1.0


def detect(
    session: Session, stack: str, *, sleep: Callable[[float], None] = time.sleep
) -> tuple[Drifted, ...] | None:
    """Compare a stack with its template; None when CloudFormation takes longer than ``WAIT_S``.

    Raises:
        AuthError: the caller may not, or may not read some kind of resource.
        AwsError: CloudFormation refused, for example because a comparison is under way.
    """
    client = session.client("cloudformation")
    with translated(f"Comparing the stack '{stack}' with its template"):
        begun = client.detect_stack_drift(StackName=stack)["StackDriftDetectionId"]
        for _ in range(int(WAIT_S / PAUSE_S)):
            found = client.describe_stack_drift_detection_status(StackDriftDetectionId=begun)
            if found["DetectionStatus"] != "DETECTION_IN_PROGRESS":
                return _drifted(client, stack)
            sleep(PAUSE_S)
    return None


def _drifted(client: Any, stack: str) -> tuple[Drifted, ...]:
    arguments: dict[str, Any] = {
        "StackName": stack,
        "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"],
    }
    found: list[Drifted] = []
    while True:
        page = client.describe_stack_resource_drifts(**arguments)
        found += [_one(item) for item in page["StackResourceDrifts"]]
        if not page.get("NextToken"):
            return tuple(found)
        arguments["NextToken"] = page["NextToken"]


def _one(item: Mapping[str, Any]) -> Drifted:
    return Drifted(
        resource=str(item["LogicalResourceId"]),
        type=str(item["ResourceType"]),
        deleted=item["StackResourceDriftStatus"] == "DELETED",
        differences=tuple(
            (
                str(difference["PropertyPath"]).lstrip("/"),
                str(difference.get("ExpectedValue", "nothing")),
                str(difference.get("ActualValue", "nothing")),
            )
            for difference in item.get("PropertyDifferences", [])
        ),
    )
