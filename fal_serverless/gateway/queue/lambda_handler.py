"""The queue's worker on Lambda: ``fal_serverless.gateway.queue.lambda_handler.handler``.

Environment: ``FAL_TABLE`` (the registry), ``FAL_REQUESTS`` (table of requests), ``FAL_QUEUE_URL``,
``FAL_BUCKET``, ``FAL_QUEUE_LIMIT``, ``FAL_PRIVATE_WEBHOOKS`` (``true``: http and private networks
too), ``FAL_STACK``.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from fal_serverless.gateway.queue.deliver import Deliverer
from fal_serverless.gateway.queue.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping


def handler(event: Mapping[str, Any], context: Any) -> None:
    """Work on the messages of one event; SQS deletes them when this returns."""
    for record in event["Records"]:
        remaining = context.get_remaining_time_in_millis() / 1000
        _worker().work(json.loads(record["body"]), record["receiptHandle"], remaining)


@cache
def _worker() -> Worker:
    from fal_serverless.aws.lambda_invoke import open_invoker
    from fal_serverless.aws.queue_work import WorkStore
    from fal_serverless.aws.registry_read import open_registry

    region = os.environ.get("AWS_REGION")
    # Emulators say where they are; on AWS there is no such variable.
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
    store = WorkStore(
        os.environ["FAL_REQUESTS"],
        os.environ["FAL_QUEUE_URL"],
        os.environ["FAL_BUCKET"],
        registry=os.environ["FAL_TABLE"],
        region=region,
        endpoint_url=endpoint,
        limit=int(os.environ["FAL_QUEUE_LIMIT"]),
    )
    logger = Logger(service="queue", stack=os.environ.get("FAL_STACK", ""))
    return Worker(
        store,
        open_registry(os.environ["FAL_TABLE"], region=region, endpoint_url=endpoint),
        open_invoker(region=region, endpoint_url=endpoint),
        Deliverer(private=os.environ.get("FAL_PRIVATE_WEBHOOKS") == "true"),
        lambda message, **fields: logger.info(message, **fields),
    )
