"""Queued requests as the worker sees them. Satisfies ``gateway.queue.model.Work``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fal_serverless.aws import queue_items as items
from fal_serverless.aws.queue_store import QueueStore, RefusedError, translated

if TYPE_CHECKING:
    from fal_serverless.gateway.queue.model import Finished, Job

_UNCHANGED = "#state = :state AND attempts = :attempts AND lease_until = :lease"
_HELD = "#state = :running AND holder = :holder"


class WorkStore(QueueStore):
    """One stack's queue, with what only a worker may do."""

    def __init__(self, *places: str, registry: str, **more: Any) -> None:
        """As :class:`QueueStore`; nothing is sent yet.

        Args:
            registry: table of users' webhook secrets.
        """
        super().__init__(*places, **more)
        self._registry = registry

    def load(self, request_id: str) -> Job | None:
        """A request, with its event."""
        return self._read(request_id, event=True)

    def took(self, job: Job) -> None:
        """Its ticket is out of the queue."""
        try:
            with translated("Counting the request"):
                self._rows.update_item(
                    TableName=self._table,
                    Key=items.key(f"QUEUE#{job.target}"),
                    UpdateExpression="SET taken = :ticket, #end = :end",
                    ConditionExpression="attribute_not_exists(taken) OR taken < :ticket",
                    ExpressionAttributeNames={"#end": "end"},
                    ExpressionAttributeValues=items.values(
                        {":ticket": job.ticket, ":end": job.ticket + self._limit}
                    ),
                )
        except RefusedError:
            return  # a later one was taken before

    def claim(self, job: Job, holder: str, until: float) -> bool:
        """Begin an attempt, if the request is still as it was loaded."""
        changes = {
            "state": "IN_PROGRESS",
            "holder": holder,
            "lease_until": until,
            "attempts": job.attempts + 1,
        }
        return self._change(job.id, changes, _UNCHANGED, _seen(job))

    def renew(self, request_id: str, holder: str, until: float) -> bool:
        """Hold on to a request; False when it is not the holder's any more."""
        return self._change(request_id, {"lease_until": until}, _HELD, _holding(holder))

    def release(self, job: Job, holder: str, *, attempts: int, waits: int) -> None:
        """Put a request back into the queue, if the holder still holds it."""
        changes = {
            "state": "IN_QUEUE",
            "holder": "-",
            "lease_until": 0,
            "attempts": attempts,
            "waits": waits,
        }
        self._change(job.id, changes, _HELD, _holding(holder))

    def finish(self, job: Job, holder: str, finished: Finished, now: float) -> bool:
        """End a request; False when it is not the holder's any more."""
        changes = {**items.finished(finished, now), "notify": bool(job.webhook)}
        if holder:
            return self._change(job.id, changes, _HELD, _holding(holder))
        return self._change(job.id, changes, _UNCHANGED, _seen(job))

    def hide(self, receipt: str, seconds: int) -> None:
        """Let a message that is being worked on come back in ``seconds``, unless it is deleted."""
        with translated("Keeping the message"):
            self._messages.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds
            )

    def places(self, job: Job) -> dict[str, str]:
        """Signed addresses: ``answer`` and ``logs`` to write, ``body`` to read if there is one."""
        places = {
            name: self._signed("put_object", f"requests/{job.id}/{name}")
            for name in ("answer", "logs")
        }
        if job.has_body:
            places["body"] = self._signed("get_object", f"requests/{job.id}/body")
        return places

    def put_answer(self, request_id: str, body: bytes) -> None:
        """Store the body of an answer."""
        self._put(f"requests/{request_id}/answer", body)

    def secrets(self, user: str, now: float) -> tuple[str, ...]:
        """The webhook secrets of a user that are good now, the newest first."""
        with translated("Reading the webhook's secret"):
            found: Any = self._rows.get_item(
                TableName=self._registry, Key={"pk": {"S": f"USER#{user}"}, "sk": {"S": "WEBHOOK"}}
            )
        item = found.get("Item", {})
        good = [item["secret"]["S"]] if "secret" in item else []
        if "previous" in item and float(item["previous_until"]["N"]) > now:
            good.append(item["previous"]["S"])
        return tuple(good)


def _holding(holder: str) -> dict[str, Any]:
    return {":running": "IN_PROGRESS", ":holder": holder}


def _seen(job: Job) -> dict[str, Any]:
    return {":state": job.state, ":attempts": job.attempts, ":lease": job.lease_until}
