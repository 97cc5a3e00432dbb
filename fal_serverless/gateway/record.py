"""What the gateway on Lambda writes down: by Powertools, and each request in Powertools' format.

Powertools' Logger and metrics take as long for a request as all the rest of the gateway does. Their
lines are always the same, so that these are written here, field by field as Powertools writes them
(a test compares them); everything else that is logged passes through Powertools itself.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.gateway.entry import Access

_JSON = json.JSONEncoder(separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring_ascii


def recorder(environ: Mapping[str, str]) -> Recorder:
    """Where requests are written down, by the environment's settings; the gateway's log as well."""
    stack = environ.get("FAL_STACK", "")
    service = environ.get("POWERTOOLS_SERVICE_NAME", "fal-gateway")
    logger = Logger(service=service, stack=stack)
    # Powertools knows those that somebody has asked for.
    logging.getLogger("fal_serverless")
    copy_config_to_registered_loggers(logger, include={"fal_serverless"})
    return Recorder(logger, environ.get("POWERTOOLS_METRICS_NAMESPACE", ""), stack)


class Recorder:
    """One log line and two metrics a request, by target and status.

    The metrics are a line of CloudWatch's embedded metric format.
    """

    def __init__(self, logger: Logger, namespace: str, stack: str) -> None:
        """Nothing is written yet.

        Args:
            logger: its level decides whether requests are logged, its stream is where.
            namespace: of the metrics; ``""`` for none.
        """
        self._logger = logger
        handler: Any = logger.registered_handler
        self._log: TextIO = handler.stream
        self._stack = stack
        self._namespace = namespace
        # What is the same in every line is written once.
        names = {"service": logger.service, "stack": stack}
        self._named = _JSON(names)[1:-1]
        directive = {
            "Namespace": namespace,
            "Dimensions": [["target", "status", "service"]],
            "Metrics": [
                {"Name": "Requests", "Unit": "Count"},
                {"Name": "Duration", "Unit": "Milliseconds"},
            ],
        }
        self._measured = f'"CloudWatchMetrics":[{_JSON(directive)}]'
        self._service = _JSON(stack or "fal")

    def __call__(self, access: Access) -> None:
        """Write down one request; neither query nor headers, which may hold keys."""
        now = time.time()
        if self._logger.log_level <= logging.INFO:
            self._log.write(self._line(access, now))
        if self._namespace:
            sys.stdout.write(self._metrics(access, now))

    def _line(self, access: Access, now: float) -> str:
        revision = "" if access.revision is None else f',"revision":{_quoted(access.revision)}'
        traced = os.environ.get("_X_AMZN_TRACE_ID")
        if traced:
            trace = _quoted(traced.partition(";")[0].replace("Root=", ""))
            revision += f',"xray_trace_id":{trace}'
        return (
            f'{{"level":"INFO","message":"request","timestamp":"{_timestamp(now)}",{self._named},'
            f'"request_id":{_quoted(access.request_id)},"method":{_quoted(access.method)},'
            f'"target":{_quoted(access.target)},"status":{access.status},'
            f'"duration_ms":{round(access.seconds * 1000, 2)}{revision}}}\n'
        )

    def _metrics(self, access: Access, now: float) -> str:
        # Names that lead nowhere are the callers' invention: each would cost as a metric.
        target = _quoted(access.target if access.found else "unknown")
        return (
            f'{{"_aws":{{"Timestamp":{int(now * 1000)},{self._measured}}},"target":{target},'
            f'"status":"{access.status}","service":{self._service},'
            f'"Requests":[1.0],"Duration":[{access.seconds * 1000}]}}\n'
        )


def _timestamp(now: float) -> str:
    """Powertools' form of a moment, such as ``2026-05-17 09:08:07,123+0000``."""
    local = time.localtime(now)
    text = time.strftime("%Y-%m-%d %H:%M:%S,{:03d}%z", local)
    return text.format(int(now * 1000) % 1000)
