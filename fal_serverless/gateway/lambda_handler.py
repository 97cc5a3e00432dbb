"""The gateway on Lambda: ``fal_serverless.gateway.lambda_handler.handler``.

Environment: ``FAL_TABLE`` (the registry), ``FAL_DOMAIN`` (``""`` for none), ``FAL_REQUESTS``,
``FAL_QUEUE_URL``, ``FAL_BUCKET`` and ``FAL_QUEUE_LIMIT`` (the queue's), ``FAL_MANAGER`` (the
function behind the management API), and Powertools' own
``POWERTOOLS_SERVICE_NAME``, ``POWERTOOLS_METRICS_NAMESPACE`` (no metrics without), ``FAL_STACK``
(a dimension of the metrics and a field of the log).
"""

from __future__ import annotations

import asyncio
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from mangum import Mangum

from fal_serverless.gateway.api_gateway import PayloadV2
from fal_serverless.gateway.entry import Gateway, Shortcut
from fal_serverless.gateway.invoke import Blocking, Calls
from fal_serverless.gateway.record import recorder
from fal_serverless.gateway.registry import CachedRegistry

if TYPE_CHECKING:
    from fal_serverless.gateway.queue.front import Front
    from fal_serverless.gateway.uses import KeyUses


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one event of the HTTP API."""
    adapter = _adapter()
    if "Sampled=1" not in os.environ.get("_X_AMZN_TRACE_ID", ""):
        return adapter(event, context)
    # The X-Ray SDK is imported for traced requests only.
    from aws_lambda_powertools import Tracer

    traced = Tracer(auto_patch=False).capture_lambda_handler(_invoke, capture_response=False)
    answer: dict[str, Any] = traced(event, context)
    return answer


def _invoke(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return _adapter()(event, context)


@cache
def _adapter() -> Mangum:
    """The adapter of this environment, with real clients, made once."""
    from fal_serverless.aws.lambda_invoke import open_invoker
    from fal_serverless.aws.registry_read import open_registry

    region = os.environ.get("AWS_REGION")
    registry = open_registry(os.environ["FAL_TABLE"], region=region)
    invoker = open_invoker(region=region, trace=_trace)
    # Mangum runs the app on the thread's own event loop.
    asyncio.set_event_loop(asyncio.new_event_loop())
    calls = Calls(
        CachedRegistry(registry),
        Blocking(invoker),
        queue=_front,
        manager=os.environ.get("FAL_MANAGER", ""),
        uses=_uses(region),
    )
    gateway = Gateway(calls, os.environ.get("FAL_DOMAIN", ""), recorder(os.environ))
    return adapter_of(Shortcut(gateway))


def _uses(region: str | None) -> KeyUses | None:
    """What counts the requests of keys, where there is a table for it."""
    from fal_serverless.aws.key_uses import open_writer
    from fal_serverless.gateway.uses import KeyUses

    table = os.environ.get("FAL_REQUESTS")
    return KeyUses(open_writer(table, region=region)) if table else None


@cache
def _front() -> Front:
    """The queue's front; its clients are made by the first request that asks for it."""
    from fal_serverless.aws.queue_store import QueueStore
    from fal_serverless.gateway.queue.front import Front

    store = QueueStore(
        os.environ["FAL_REQUESTS"],
        os.environ["FAL_QUEUE_URL"],
        os.environ["FAL_BUCKET"],
        region=os.environ.get("AWS_REGION"),
        limit=int(os.environ["FAL_QUEUE_LIMIT"]),
    )
    return Front(store, private_webhooks=os.environ.get("FAL_PRIVATE_WEBHOOKS") == "true")


def adapter_of(app: Any) -> Mangum:
    """Mangum around the app, with this project's idea of API Gateway's events."""
    return Mangum(app, lifespan="off", custom_handlers=[PayloadV2])


def _trace() -> str | None:
    return os.environ.get("_X_AMZN_TRACE_ID")
