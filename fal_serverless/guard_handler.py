"""The guard of splits on Lambda: ``fal_serverless.guard_handler.handler``.

CloudWatch's alarms invoke it. Environment: ``FAL_TABLE`` (the registry), ``FAL_STACK``.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from fal_serverless.publish.guard import Guard
from fal_serverless.publish.lease import SystemClock

if TYPE_CHECKING:
    from collections.abc import Mapping


def handler(event: Mapping[str, Any], context: Any) -> str:  # noqa: ARG001 - Lambda's signature
    """End the split whose alarm went off."""
    done = _guard()(event)
    sys.stdout.write(done + "\n")
    return done


@cache
def _guard() -> Guard:
    from fal_serverless.aws.alarms import MetricAlarms
    from fal_serverless.aws.lambdas import LambdaFunctions
    from fal_serverless.aws.registry import RegistryTable
    from fal_serverless.aws.session import open_session

    session = open_session()
    return Guard(
        stack=os.environ["FAL_STACK"],
        registry=RegistryTable(session.client("dynamodb"), os.environ["FAL_TABLE"]),
        functions=LambdaFunctions(session.client("lambda")),
        # It makes no alarms, so it need not know its own address.
        alarms=MetricAlarms(session.client("cloudwatch"), ""),
        clock=SystemClock(),
    )
