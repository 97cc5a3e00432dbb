"""Queued requests to and from DynamoDB's attribute values. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fal_serverless.gateway.queue.model import KEPT_S, Finished, Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.gateway.queue.model import Submission

_EVERYTHING_ELSE = (
    "target",
    "owner",
    "caller",
    "state",
    "ticket",
    "created_at",
    "start_by",
    "attempts",
    "waits",
    "lease_until",
    "has_body",
    "webhook",
    "notify",
    "status",
    "headers",
    "body",
    "stored",
    "error",
    "error_type",
    "revision",
    "seconds",
)
WITHOUT_EVENT: Mapping[str, Any] = {
    "ProjectionExpression": ", ".join(f"#{name}" for name in _EVERYTHING_ELSE),
    "ExpressionAttributeNames": {f"#{name}": name for name in _EVERYTHING_ELSE},
}
"""What a read asks for that has no use for the event."""


def key(name: str) -> dict[str, dict[str, str]]:
    """The key of an item."""
    return {"pk": {"S": name}}


def values(plain: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Plain values as attribute values; None is left out."""
    return {name: _value(value) for name, value in plain.items() if value is not None}


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (int, float)):
        return {"N": repr(value)}
    return {"B": value} if isinstance(value, bytes) else {"S": value}


def submitted(submission: Submission, ticket: int, ttl: int) -> dict[str, Any]:
    """The item of a request that was just accepted."""
    return values(
        {
            "pk": f"REQ#{submission.id}",
            "target": submission.target,
            "owner": submission.owner,
            "caller": submission.caller,
            "state": "IN_QUEUE",
            "ticket": ticket,
            "event": submission.event,
            "has_body": submission.body is not None,
            "created_at": submission.created_at,
            "start_by": submission.start_by,
            "webhook": submission.webhook,
            "notify": False,
            "attempts": 0,
            "waits": 0,
            "lease_until": 0,
            "ttl": ttl,
        }
    )


def finished(end: Finished, now: float) -> dict[str, Any]:
    """The attributes of a request that ended."""
    pairs = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in end.headers]
    return {
        "state": "COMPLETED",
        "status": end.status,
        "headers": json.dumps(pairs),
        "body": end.body,
        "stored": end.stored,
        "error": end.error,
        "error_type": end.error_type,
        "revision": end.revision or "",
        "seconds": end.seconds,
        "lease_until": 0,
        "ttl": int(now) + KEPT_S,
    }


def job(request_id: str, item: Mapping[str, Mapping[str, Any]]) -> Job:
    """The request of an item."""
    start_by = item.get("start_by")
    return Job(
        id=request_id,
        target=item["target"]["S"],
        owner=item["owner"]["S"],
        caller=item["caller"]["S"],
        state=item["state"]["S"],
        ticket=int(item["ticket"]["N"]),
        created_at=float(item["created_at"]["N"]),
        start_by=float(start_by["N"]) if start_by else None,
        attempts=int(item["attempts"]["N"]),
        waits=int(item["waits"]["N"]),
        lease_until=float(item["lease_until"]["N"]),
        event=bytes(item["event"]["B"]) if "event" in item else b"",
        has_body=item["has_body"]["BOOL"],
        webhook=item["webhook"]["S"],
        notify=item["notify"]["BOOL"],
        finished=_ended(item) if item["state"]["S"] == "COMPLETED" else None,
    )


def _ended(item: Mapping[str, Mapping[str, Any]]) -> Finished:
    pairs = json.loads(item["headers"]["S"])
    return Finished(
        status=int(item["status"]["N"]),
        headers=tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs),
        body=bytes(item["body"]["B"]),
        stored=int(item["stored"]["N"]),
        error=item["error"]["S"],
        error_type=item["error_type"]["S"],
        revision=item["revision"]["S"] or None,
        seconds=float(item["seconds"]["N"]),
    )
