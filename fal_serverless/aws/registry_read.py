"""What the gateway reads of the registry: a route and a key, in one request to DynamoDB."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from fal_serverless.aws import ambient
from fal_serverless.aws.dynamodb_wire import DynamoDB, RefusedError
from fal_serverless.errors import AwsError
from fal_serverless.gateway.protocols import Route
from fal_serverless.keys import KeyRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_dynamodb.client import DynamoDBClient

_ATTEMPTS = 4
_PAUSE_S = 0.05


@dataclass(frozen=True)
class RegistryReader:
    """Reads routes and keys.

    Reads are consistent: an eventually consistent one could give a revoked key another lease of
    life each time it is asked for.

    Attributes:
        client: of DynamoDB: botocore's, or our own that takes no time to import.
        table: name.
        sleep: takes seconds.
    """

    client: DynamoDBClient | DynamoDB
    table: str
    sleep: Callable[[float], None] = time.sleep

    def read(self, target: str | None, key_id: str | None) -> tuple[Route | None, KeyRecord | None]:
        """The route of a target and the key of an id; None is not asked for.

        Raises:
            AwsError: DynamoDB did not answer, or a record cannot be read.
        """
        names = []
        if target is not None:
            names.append(f"ROUTE#{target}")
        if key_id is not None:
            names.append(f"KEY#{key_id}")
        items = self._get(names) if names else {}
        try:
            route = items.get(f"ROUTE#{target}")
            key = items.get(f"KEY#{key_id}")
            return (_route(route) if route else None), (_key(key_id or "", key) if key else None)
        except (KeyError, ValueError) as error:
            raise AwsError(
                "A record of the registry cannot be read.",
                reason=f"{error!r} in {' or '.join(names)}",
                hint="serve the function again, or generate a new key",
            ) from error

    def _get(self, names: list[str]) -> dict[str, dict[str, Any]]:
        keys: list[Any] = [{"pk": {"S": name}, "sk": {"S": "-"}} for name in names]
        found: dict[str, dict[str, Any]] = {}
        for attempt in range(_ATTEMPTS):
            if attempt:
                self.sleep(_PAUSE_S * 2 ** (attempt - 1))
            try:
                answer = self.client.batch_get_item(
                    RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}}
                )
            except Exception as error:
                if not isinstance(error, RefusedError) and not ambient.is_botocores(error):
                    raise
                raise _unreadable(self.table, str(error)) from error
            for item in answer["Responses"].get(self.table, []):
                found[item["pk"]["S"]] = dict(item)
            left: Mapping[str, Any] = answer.get("UnprocessedKeys", {})
            keys = list(left.get(self.table, {}).get("Keys", []))
            if not keys:
                return found
        raise _unreadable(self.table, f"keys are left unprocessed after {_ATTEMPTS} attempts")


def open_registry(
    table: str, *, region: str | None = None, endpoint_url: str | None = None
) -> RegistryReader:
    """A reader with a client of its own; nothing is sent yet.

    Raises:
        AwsError: no Region is configured, or the configuration cannot be read.
    """
    place = ambient.of_lambda("dynamodb", region, endpoint_url)
    if place is not None:
        return RegistryReader(DynamoDB(place), table)
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=2,
        read_timeout=3,
        max_pool_connections=32,
        retries={"mode": "standard", "max_attempts": 3},
    )
    try:
        client: Any = botocore.session.get_session().create_client(
            "dynamodb", region_name=region, endpoint_url=endpoint_url, config=config
        )
    except BotoCoreError as error:
        raise _unreadable(table, str(error)) from error
    return RegistryReader(cast("DynamoDBClient", client), table)


def _unreadable(table: str, reason: str) -> AwsError:
    return AwsError(
        f"The registry table '{table}' cannot be read.",
        reason=reason,
        hint="run: fal-serverless doctor",
    )


def _route(item: Mapping[str, Mapping[str, Any]]) -> Route:
    return Route(
        function=item["function"]["S"],
        qualifier=item["qualifier"]["S"],
        auth=item["auth"]["S"],
        mode=item["mode"]["S"],
        timeout=int(item["timeout"]["N"]),
        owner=item["owner"]["S"],
        revision=item["revision"]["S"],
    )


def _key(key_id: str, item: Mapping[str, Mapping[str, Any]]) -> KeyRecord:
    expires = item.get("expires_at", {}).get("N")
    return KeyRecord(
        id=key_id,
        secret_sha256=item["secret_sha256"]["S"],
        owner=item["owner"]["S"],
        scope="ADMIN" if item["scope"]["S"] == "ADMIN" else "API",
        alias=item.get("alias", {}).get("S", ""),
        expires_at=int(float(expires)) if expires is not None else None,
        # Anything but a plain "no" counts as revoked.
        revoked=item.get("revoked", {"BOOL": False}).get("BOOL") is not False,
    )
