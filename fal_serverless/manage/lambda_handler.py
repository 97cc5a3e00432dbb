"""The management API on Lambda: ``fal_serverless.manage.lambda_handler.handler``.

Environment: ``FAL_TABLE`` (the registry), ``FAL_STACK``. Only the gateway may invoke it: what an
event says of its caller is believed.
"""

from __future__ import annotations

import asyncio
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

if TYPE_CHECKING:
    from mangum import Mangum


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request that the gateway sent on."""
    made = _adapter()(event, context)
    said = event["requestContext"]
    _logger().info(
        "request",
        request_id=said["requestId"],
        method=said["http"]["method"],
        user=said.get("authorizer", {}).get("lambda", {}).get("owner", ""),
        key=said.get("authorizer", {}).get("lambda", {}).get("key", ""),
        status=made["statusCode"],
    )
    return made


@cache
def _logger() -> Logger:
    return Logger(service="manager", stack=os.environ.get("FAL_STACK", ""))


@cache
def _adapter() -> Mangum:
    from fal_serverless.aws.alarms import MetricAlarms
    from fal_serverless.aws.lambdas import LambdaFunctions
    from fal_serverless.aws.logs import LambdaLogs
    from fal_serverless.aws.registry import RegistryTable
    from fal_serverless.aws.session import open_session
    from fal_serverless.gateway.lambda_handler import adapter_of
    from fal_serverless.manage.app import create_app
    from fal_serverless.manage.space import Stack
    from fal_serverless.publish.lease import SystemClock

    session = open_session()
    # Mangum runs the app on the thread's own event loop.
    asyncio.set_event_loop(asyncio.new_event_loop())
    return adapter_of(
        create_app(
            Stack(
                registry=RegistryTable(session.client("dynamodb"), os.environ["FAL_TABLE"]),
                functions=LambdaFunctions(session.client("lambda")),
                # It makes no alarms, so it need not know what they call.
                alarms=MetricAlarms(session.client("cloudwatch"), ""),
                logs=LambdaLogs(session.client("logs")),
                clock=SystemClock(),
            )
        )
    )
