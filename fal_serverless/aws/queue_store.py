"""Queued requests in DynamoDB, their large bodies in S3, their messages in SQS.

Satisfies ``gateway.queue.model.Store``. By way of botocore, as everything of the gateway.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fal_serverless.aws import queue_items as items
from fal_serverless.errors import AwsError
from fal_serverless.gateway.queue.model import (
    KEPT_S,
    LIMIT,
    WAIT_MAX_S,
    Finished,
    Job,
    QueueFullError,
    Submission,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

URL_LIFE_S = 3_600
_FAILED = "ConditionalCheckFailedException"
LOGS_READ_MAX = 3_000_000
"""Bytes of a log: the runtime keeps 300,000 characters."""
ANSWER_READ_MAX = 6_000_000
"""Bytes of an answer that is handed over or sent along with a webhook."""


class QueueStore:
    """One stack's queue."""

    def __init__(
        self,
        table: str,
        queue_url: str,
        bucket: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        limit: int = LIMIT,
    ) -> None:
        """Nothing is sent yet; each client is made when it is first needed.

        Args:
            table: of requests.
            endpoint_url: of an emulator.
            limit: requests that may wait for one target.
        """
        self._table = table
        self._url = queue_url
        self._bucket = bucket
        self._region = region
        self._endpoint = endpoint_url
        self._limit = limit

    # --- what the gateway does

    def submit(self, submission: Submission) -> int:
        """Store a request and queue it; how many wait before it."""
        ticket, taken = self._ticket(submission.target, submission.created_at)
        if submission.body is not None:
            self._put(f"requests/{submission.id}/body", submission.body)
        expires = submission.created_at + WAIT_MAX_S + KEPT_S
        with translated("Storing the request"):
            self._rows.put_item(
                TableName=self._table,
                Item=items.submitted(submission, ticket, int(expires)),
                ConditionExpression="attribute_not_exists(pk)",
            )
        # Whoever is told "accepted" finds it stored and queued. One that is stored and not queued
        # was never accepted: its caller has an error, and its record expires.
        self.send({"request": submission.id}, submission.target, 0)
        return max(0, ticket - taken - 1)

    def _ticket(self, target: str, now: float) -> tuple[int, int]:
        """(number in the target's queue, last number that was begun).

        One atomic counter a target, and no count to keep right: whoever takes a request out of the
        queue says how far the queue has come (see ``took``), so that a ticket whose request was
        never stored is passed by the next one.
        """
        try:
            with translated("Counting the request"):
                found = self._rows.update_item(
                    TableName=self._table,
                    Key=items.key(f"QUEUE#{target}"),
                    UpdateExpression=(
                        "SET #end = if_not_exists(#end, :limit), #ttl = :ttl ADD submitted :one"
                    ),
                    ConditionExpression="attribute_not_exists(#end) OR submitted < #end",
                    ExpressionAttributeNames={"#end": "end", "#ttl": "ttl"},
                    ExpressionAttributeValues=items.values(
                        {":limit": self._limit, ":one": 1, ":ttl": int(now) + WAIT_MAX_S + KEPT_S}
                    ),
                    ReturnValues="ALL_NEW",
                )
        except RefusedError as error:
            raise QueueFullError from error
        counted = found["Attributes"]
        return int(counted["submitted"]["N"]), int(counted.get("taken", {"N": "0"})["N"])

    def find(self, request_id: str, target: str) -> tuple[Job, int] | None:
        """A request without its event, and the last ticket of the target's that was begun."""
        with translated("Reading the request"):
            counter: Any = self._rows.get_item(
                TableName=self._table, Key=items.key(f"QUEUE#{target}")
            )
        job = self._read(request_id, event=False)
        taken = counter.get("Item", {}).get("taken", {"N": "0"})["N"]
        return (job, int(taken)) if job else None

    def cancel(self, job: Job, finished: Finished, now: float) -> bool:
        """End a request by ``finished`` unless it has ended; its webhook is set going."""
        changes = {**items.finished(finished, now), "notify": bool(job.webhook)}
        if not self._change(job.id, changes, "#state <> :done", {":done": "COMPLETED"}):
            return False
        if job.webhook:
            self.send({"webhook": job.id, "attempt": 1}, job.target, 0)
            self.notified(job.id)
        return True

    def answer(self, request_id: str) -> bytes:
        """The stored body of an answer."""
        return self._get(f"requests/{request_id}/answer", ANSWER_READ_MAX)

    def answer_url(self, request_id: str, content_type: str) -> str:
        """An address of that body that is good for an hour, without credentials."""
        return self._signed(
            "get_object", f"requests/{request_id}/answer", ResponseContentType=content_type
        )

    def logs(self, request_id: str) -> list[dict[str, Any]]:
        """What the function printed, in order; empty when it printed nothing yet."""
        found = self._get(f"requests/{request_id}/logs", LOGS_READ_MAX, b"[]")
        try:
            lines = json.loads(found)
        except ValueError:
            return []
        return lines if isinstance(lines, list) else []

    def notified(self, request_id: str) -> None:
        """Its webhook is on its way."""
        self._change(request_id, {"notify": False}, "attribute_exists(#state)", {})

    def send(self, message: dict[str, Any], target: str, delay: int) -> None:
        """Queue a message, to come in ``delay`` seconds (900 at most)."""
        with translated("Queueing the request"):
            self._messages.send_message(
                QueueUrl=self._url,
                MessageBody=json.dumps(message),
                DelaySeconds=min(delay, 900),
                # A fair queue: one target's backlog does not keep the others waiting.
                MessageGroupId=target,
            )

    # --- AWS

    def _read(self, request_id: str, *, event: bool) -> Job | None:
        more: Mapping[str, Any] = {} if event else items.WITHOUT_EVENT
        with translated("Reading the request"):
            found: Any = self._rows.get_item(
                TableName=self._table,
                Key=items.key(f"REQ#{request_id}"),
                ConsistentRead=True,
                **more,
            )
        item = found.get("Item")
        return items.job(request_id, item) if item else None

    def _change(
        self, request_id: str, changes: Mapping[str, Any], condition: str, seen: Mapping[str, Any]
    ) -> bool:
        """Set attributes if a condition holds; whether it did. ``#state`` is known in it."""
        names = {f"#{name}": name for name in ("state", *changes)}
        sets = ", ".join(f"#{name} = :new_{name}" for name in changes)
        new = {f":new_{name}": value for name, value in changes.items()}
        try:
            with translated("Writing the request"):
                self._rows.update_item(
                    TableName=self._table,
                    Key=items.key(f"REQ#{request_id}"),
                    UpdateExpression=f"SET {sets}",
                    ConditionExpression=f"attribute_exists(pk) AND ({condition})",
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=items.values({**new, **seen}),
                )
        except RefusedError:
            return False
        return True

    def _put(self, key: str, body: bytes) -> None:
        with translated("Storing a body"):
            self._objects.put_object(Bucket=self._bucket, Key=key, Body=body)

    def _get(self, key: str, limit: int, absent: bytes | None = None) -> bytes:
        """The first ``limit`` bytes of an object: functions write these, and may write anything."""
        with translated("Reading a body"):
            try:
                found = self._objects.get_object(Bucket=self._bucket, Key=key)["Body"]
                with found:
                    return bytes(found.read(limit))
            except ClientError as error:
                # Without s3:ListBucket, S3 answers 403 for what is not there.
                missing = error.response["Error"]["Code"] in ("NoSuchKey", "404", "AccessDenied")
                if absent is None or not missing:
                    raise
                return absent

    def _signed(self, method: str, key: str, **more: str) -> str:
        place = {"Bucket": self._bucket, "Key": key, **more}
        with translated("Signing an address"):
            return str(
                self._objects.generate_presigned_url(method, Params=place, ExpiresIn=URL_LIFE_S)
            )

    @cached_property
    def _rows(self) -> Any:
        return self._client("dynamodb")

    @cached_property
    def _messages(self) -> Any:
        return self._client("sqs")

    @cached_property
    def _objects(self) -> Any:
        style: Any = {"addressing_style": "path"} if self._endpoint else {}
        return self._client("s3", Config(signature_version="s3v4", s3=style))

    def _client(self, service: str, more: Config | None = None) -> Any:
        config = Config(
            connect_timeout=2,
            read_timeout=10,
            max_pool_connections=32,
            retries={"mode": "standard", "max_attempts": 4},
        )
        with translated(f"Connecting to {service}"):
            return botocore.session.get_session().create_client(
                service,
                region_name=self._region,
                endpoint_url=self._endpoint,
                config=config.merge(more) if more else config,
            )


class RefusedError(Exception):
    """A condition of ours did not hold."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """AWS's errors as ours; ``RefusedError`` where a condition did not hold."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        if isinstance(error, ClientError) and error.response["Error"].get("Code") == _FAILED:
            raise RefusedError from error
        raise AwsError(
            f"{doing} failed.", reason=str(error), hint="run: fal-serverless doctor"
        ) from error
