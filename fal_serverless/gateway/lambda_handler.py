"""The gateway on Lambda: ``fal_serverless.gateway.lambda_handler.handler``.

Environment: ``FAL_TABLE`` (the registry), ``FAL_DOMAIN`` (``""`` for none), ``FAL_REQUESTS``,
``FAL_QUEUE_URL``, ``FAL_BUCKET`` and ``FAL_QUEUE_LIMIT`` (the queue's), ``FAL_MANAGER`` (the
function behind the management API), and Powertools' own
``POWERTOOLS_SERVICE_NAME``, ``POWERTOOLS_METRICS_NAMESPACE`` (no metrics without), ``FAL_STACK``
(a dimension of the metrics and a field of the log).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from mangum import Mangum

from fal_serverless.gateway.api_gateway import PayloadV2
from fal_serverless.gateway.entry import Gateway, Shortcut
from fal_serverless.gateway.invoke import Blocking, Calls
from fal_serverless.gateway.registry import CachedRegistry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI

    from fal_serverless.gateway.entry import Access
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
    return adapter_of(Shortcut(gateway, lambda: _app_around(gateway)))


def _app_around(gateway: Gateway) -> FastAPI:
    from fal_serverless.gateway.app import app_around

    return app_around(gateway)


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


def recorder(environ: Mapping[str, str]) -> Recorder:
    """Where requests are written down, by the environment's settings."""
    stack = environ.get("FAL_STACK", "")
    return Recorder(
        Logger(service=environ.get("POWERTOOLS_SERVICE_NAME", "fal-gateway"), stack=stack),
        environ.get("POWERTOOLS_METRICS_NAMESPACE", ""),
        stack,
    )


class Recorder:
    """One log line and two metrics a request, by target and status.

    The metrics are a line of CloudWatch's embedded metric format.
    """

    def __init__(self, logger: Logger, namespace: str, stack: str) -> None:
        self._logger = logger
        self._namespace = namespace
        self._stack = stack
        self._directive = {
            "Namespace": namespace,
            "Dimensions": [["target", "status", "service"]],
            "Metrics": [
                {"Name": "Requests", "Unit": "Count"},
                {"Name": "Duration", "Unit": "Milliseconds"},
            ],
        }

    def __call__(self, access: Access) -> None:
        """Write down one request; neither query nor headers, which may hold keys."""
        self._logger.info(
            "request",
            request_id=access.request_id,
            method=access.method,
            target=access.target,
            status=access.status,
            duration_ms=round(access.seconds * 1000, 2),
            revision=access.revision,
        )
        if self._namespace:
            self._measure(access)

    def _measure(self, access: Access) -> None:
        # As Powertools' EphemeralMetrics writes it, whose checks of names, units and limits take
        # longer than the gateway takes to find a route: these are always the same and few.
        line = {
            "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [self._directive]},
            # Names that lead nowhere are the callers' invention: each would cost as a metric.
            "target": access.target if access.found else "unknown",
            "status": str(access.status),
            "service": self._stack or "fal",
            "Requests": [1.0],
            "Duration": [access.seconds * 1000],
        }
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")


def _trace() -> str | None:
    return os.environ.get("_X_AMZN_TRACE_ID")
