"""DynamoDB's BatchGetItem and UpdateItem as the gateway needs them, without botocore."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

from fal_serverless.aws.http1 import WireError
from fal_serverless.aws.signing import Signer
from fal_serverless.aws.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from fal_serverless.aws.ambient import Place

_CONNECT_S = 2.0
_READ_S = 3.0
_TRIES = 3
_PAUSE_S = 0.05
# DynamoDB API reference, "Error handling": these may be asked again, beside 5xx.
_AGAIN = frozenset(
    {
        "ItemCollectionSizeLimitExceededException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
    }
)


class RefusedError(Exception):
    """DynamoDB did not answer the question."""


class DynamoDB:
    """Reads and changes items; may be used by several threads."""

    def __init__(self, place: Place, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._wire = Wire(place.endpoint, ca_certs=place.ca_certs, connections=32)
        self._signer = Signer(place.credentials, "dynamodb", place.region, self._wire.host)
        self._sleep = sleep

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        """As botocore's client: the answer as DynamoDB gives it.

        Raises:
            RefusedError: it was refused, or could not be asked in three tries.
        """
        return self._ask("BatchGetItem", {"RequestItems": RequestItems}, _TRIES)

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        """As botocore's client, but sent once: an addition that may have arrived is not repeated.

        Raises:
            RefusedError: it was refused, or it is not known whether it was done.
        """
        return self._ask("UpdateItem", arguments, 1)

    def _ask(self, operation: str, question: dict[str, Any], tries: int) -> dict[str, Any]:
        body = json.dumps(question).encode()
        path = f"{self._wire.prefix}/"
        named = {
            "content-type": "application/x-amz-json-1.0",
            "x-amz-target": f"DynamoDB_20120810.{operation}",
        }
        problem = ""
        for attempt in range(tries):
            if attempt:
                self._sleep(random.uniform(0.5, 1) * _PAUSE_S * 2**attempt)  # noqa: S311
            headers = self._signer.headers(path, "", named, body)
            try:
                answer = self._wire.post(path, headers, body, connect=_CONNECT_S, timeout=_READ_S)
            except WireError as error:
                problem = str(error)
                continue
            if answer.status == 200:
                found: dict[str, Any] = json.loads(answer.body)
                return found
            kind, said = _said(answer.body)
            problem = f"{answer.status} {kind}: {said}"
            if answer.status < 500 and kind not in _AGAIN:
                break
        raise RefusedError(problem)


def _said(body: bytes) -> tuple[str, str]:
    try:
        said = json.loads(body)
    except ValueError:
        return "", ""
    said = said if isinstance(said, dict) else {}
    kind = str(said.get("__type", "")).rpartition("#")[2]
    return kind, str(said.get("message") or said.get("Message") or "")
