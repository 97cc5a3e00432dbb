"""How often keys were used, in the table of requests: one item a key and month.

The gateway adds to them (its role may not write the registry), the command reads them. An item
holds a pair of counters for each day (``r25``, ``e25``) and the moment of the latest request.
"""

from __future__ import annotations

import time
from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from fal_serverless.aws import ambient
from fal_serverless.aws.dynamodb_wire import DynamoDB, RefusedError
from fal_serverless.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fal_serverless.gateway.uses import Use

KEPT_DAYS = 90
"""How long an item is kept after its month."""
_BATCH = 100  # BatchGetItem: items in one call
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6, None)


@dataclass(frozen=True)
class KeyUse:
    """What is known of a key's use.

    Attributes:
        requests: in the days asked for, at least so many.
        errors: of them, answered with 500 or above.
        last: epoch seconds of the latest request that was written down, or None.
    """

    requests: int = 0
    errors: int = 0
    last: int | None = None


@dataclass(frozen=True)
class KeyUseWriter:
    """Adds to the items.

    Attributes:
        client: of DynamoDB: botocore's, or our own that takes no time to import.
        table: name of the table of requests.
    """

    client: Any
    table: str

    def __call__(self, use: Use) -> None:
        """Add a use.

        Raises:
            AwsError: DynamoDB did not take it, or did not say so.
        """
        month, day = use.day[:7], use.day[8:]
        year, number = int(month[:4]), int(month[5:])
        ends = datetime(year, number, monthrange(year, number)[1], tzinfo=timezone.utc)
        expires = int((ends + timedelta(days=1 + KEPT_DAYS)).timestamp())
        try:
            self.client.update_item(
                TableName=self.table,
                Key={"pk": {"S": pk(use.key_id, month)}},
                UpdateExpression="ADD #r :r, #e :e SET #last = :last, #ttl = :ttl",
                ExpressionAttributeNames={
                    "#r": f"r{day}",
                    "#e": f"e{day}",
                    "#last": "last",
                    "#ttl": "ttl",
                },
                ExpressionAttributeValues={
                    ":r": {"N": str(use.requests)},
                    ":e": {"N": str(use.errors)},
                    ":last": {"N": str(use.last)},
                    ":ttl": {"N": str(expires)},
                },
            )
        except Exception as error:
            if not isinstance(error, RefusedError) and not ambient.is_botocores(error):
                raise
            raise AwsError(
                "The use of a key cannot be written.",
                reason=str(error),
                hint="run: fal-serverless doctor",
            ) from error


def open_writer(
    table: str, *, region: str | None = None, endpoint_url: str | None = None
) -> KeyUseWriter:
    """A writer with a client of its own; nothing is sent yet."""
    place = ambient.of_lambda("dynamodb", region, endpoint_url)
    if place is not None:
        return KeyUseWriter(DynamoDB(place), table)
    import botocore.session
    from botocore.config import Config

    # Counters are added to: what may have arrived is not sent again.
    config = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 1})
    client = botocore.session.get_session().create_client(
        "dynamodb", region_name=region, endpoint_url=endpoint_url, config=config
    )
    return KeyUseWriter(client, table)


def pk(key_id: str, month: str) -> str:
    """The key of an item; ``month`` is ``2026-11``."""
    return f"KEYUSE#{key_id}#{month}"


@dataclass(frozen=True)
class KeyUseReader:
    """Reads the items.

    Attributes:
        client: boto3's, of DynamoDB.
        table: name of the table of requests.
        sleep: takes seconds.
    """

    client: Any
    table: str
    sleep: Callable[[float], None] = time.sleep

    def read(self, key_ids: Iterable[str], since: float, now: float) -> dict[str, KeyUse]:
        """The use of each key in the UTC days from that of ``since`` to that of ``now``.

        Args:
            since: epoch seconds; what is older than 90 days is gone.
            now: epoch seconds.

        Raises:
            AwsError: the items cannot be read, also after waiting.
        """
        ids = list(key_ids)
        first = datetime.fromtimestamp(since, timezone.utc).date()
        last = datetime.fromtimestamp(now, timezone.utc).date()
        oldest = min(first, last - timedelta(days=KEPT_DAYS))
        months = _months(oldest.isoformat()[:7], last.isoformat()[:7])
        items = self._items([pk(key_id, month) for key_id in ids for month in months])
        return {
            key_id: _summed(
                [(month, items.get(pk(key_id, month), {})) for month in months], first.isoformat()
            )
            for key_id in ids
        }

    def _items(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(names), _BATCH):
            self._batch([{"pk": {"S": name}} for name in names[start : start + _BATCH]], found)
        return found

    def _batch(self, keys: list[dict[str, Any]], found: dict[str, dict[str, Any]]) -> None:
        from fal_serverless.aws.session import translated

        for pause in _PAUSES:
            with translated("Reading the use of keys"):
                answer = self.client.batch_get_item(RequestItems={self.table: {"Keys": keys}})
            for item in answer["Responses"].get(self.table, []):
                found[item["pk"]["S"]] = item
            keys = answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", [])
            if not keys:
                return
            if pause is not None:
                self.sleep(pause)
        raise AwsError(
            "Reading the use of keys failed.",
            reason=f"DynamoDB left {len(keys)} items unread after {len(_PAUSES)} tries",
            hint="wait a moment and run it again",
        )


def _months(first: str, last: str) -> list[str]:
    year, month = int(first[:4]), int(first[5:])
    found = []
    while (name := f"{year:04d}-{month:02d}") <= last:
        found.append(name)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return found


def _summed(items: Iterable[tuple[str, dict[str, Any]]], first: str) -> KeyUse:
    requests = errors = 0
    last: int | None = None
    for month, item in items:
        for name, value in item.items():
            if name[0] in "re" and name[1:].isdecimal() and f"{month}-{name[1:]}" >= first:
                requests += int(value["N"]) if name[0] == "r" else 0
                errors += int(value["N"]) if name[0] == "e" else 0
        if "last" in item:
            last = max(last or 0, int(item["last"]["N"]))
    return KeyUse(requests, errors, last)
