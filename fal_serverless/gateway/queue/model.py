"""A queued request: what is stored of it, and what follows from that at a given time. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from fal_serverless.gateway import answer

if TYPE_CHECKING:
    from fal_serverless.gateway.protocols import Headers

State = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]

KEPT_S = 86_400
"""How long a result is kept."""
LIMIT = 10_000
"""Requests that may wait for one target."""
WAIT_MAX_S = 86_400
"""How long a request may wait for its function."""
LEASE_S = 30
"""A worker that has not said for so long that it lives is taken for dead."""
LOST_S = 3_600
"""A request in progress that nobody has held for so long is not coming back by itself."""
ATTEMPTS = 3
"""How often a request is given to a function that dies of it."""
INLINE_MAX = 32_768
"""Bytes of a body that are stored in the record; larger ones go to S3. A record holds 400 KB, and
DynamoDB bills each KB that is written, S3 each object."""
BODY_MAX = 50_000_000
"""Bytes of a submitted body. API Gateway and Lambda let less through (6,291,556 bytes as JSON)."""
ANSWER_MAX = 4_500_000
"""Bytes of a result that the gateway hands over itself: base64 makes Lambda's limit of them."""
ABSENT = "There is no such request: it was never submitted here, is another user's, or has expired."


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A request as it is accepted.

    Attributes:
        id: UUID.
        target: ``<userid>-<label>``.
        owner: user id of the target.
        caller: user id of the key that was sent, ``""`` without one.
        event: the invocation's payload, JSON; without the body when ``body`` is given.
        body: what is too large to travel in the event, or None.
        created_at: epoch seconds.
        start_by: epoch seconds after which it shall not be begun, or None.
        webhook: URL, or ``""``.
    """

    id: str
    target: str
    owner: str
    caller: str
    event: bytes = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    created_at: float
    start_by: float | None = None
    webhook: str = ""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a request ended.

    Attributes:
        status: HTTP status of the answer.
        body: of the answer; empty when ``stored``.
        stored: bytes of a body that lies in S3, else 0.
        error: what went wrong, or ``""`` for an answer below 400.
        error_type: a class of exceptions, or what happened in one word.
        seconds: how long the function ran.
    """

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    stored: int = 0
    error: str = ""
    error_type: str = ""
    revision: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """A stored request.

    Attributes:
        ticket: its number in its target's queue, from 1.
        attempts: how often it was begun.
        waits: how often there was no room for it.
        lease_until: epoch seconds until which a worker holds it; 0 when none does.
        event: see :class:`Submission`; empty where it was not asked for.
        has_body: whether the event's body lies in S3.
        notify: whether a webhook is still to be set going.
    """

    id: str
    target: str
    owner: str
    caller: str
    state: State
    ticket: int
    created_at: float
    start_by: float | None = None
    attempts: int = 0
    waits: int = 0
    lease_until: float = 0.0
    event: bytes = field(default=b"", repr=False)
    has_body: bool = False
    webhook: str = ""
    notify: bool = False
    finished: Finished | None = None


class QueueFullError(Exception):
    """Too many requests wait for one target."""


class Store(Protocol):
    """Where requests are kept, as the gateway uses it."""

    def submit(self, submission: Submission) -> int:
        """Store a request and queue it; how many wait before it.

        Raises:
            QueueFullError: its target's queue is full; nothing is stored.
            AwsError: it could not be stored.
        """

    def find(self, request_id: str, target: str) -> tuple[Job, int] | None:
        """A request without its event, and the last ticket of the target's that was begun.

        Raises:
            AwsError: the table cannot be read.
        """

    def cancel(self, job: Job, finished: Finished, now: float) -> bool:
        """End a request by ``finished`` unless it has ended.

        Raises:
            AwsError: the table cannot be written.
        """

    def answer(self, request_id: str) -> bytes:
        """The stored body of an answer.

        Raises:
            AwsError: it cannot be read.
        """

    def answer_url(self, request_id: str, content_type: str) -> str:
        """An address of that body that is good for an hour, without credentials."""

    def logs(self, request_id: str) -> list[dict[str, Any]]:
        """What the function printed, in order; empty when it printed nothing yet.

        Raises:
            AwsError: it cannot be read.
        """


class Work(Protocol):
    """Where requests are kept, as the worker uses it. Everything raises AwsError."""

    def load(self, request_id: str) -> Job | None:
        """A request, with its event."""

    def took(self, job: Job) -> None:
        """Its ticket is out of the queue."""

    def claim(self, job: Job, holder: str, until: float) -> bool:
        """Begin an attempt, if the request is still as it was loaded."""

    def renew(self, request_id: str, holder: str, until: float) -> bool:
        """Hold on to a request; False when it is not the holder's any more."""

    def release(self, job: Job, holder: str, *, attempts: int, waits: int) -> None:
        """Put a request back into the queue, if the holder still holds it."""

    def finish(self, job: Job, holder: str, finished: Finished, now: float) -> bool:
        """End a request; False when it is not the holder's any more.

        Args:
            holder: ``""`` for a request that nobody holds.
        """

    def notified(self, request_id: str) -> None:
        """Its webhook is on its way."""

    def send(self, message: dict[str, Any], target: str, delay: int) -> None:
        """Queue a message, to come in ``delay`` seconds (900 at most)."""

    def hide(self, receipt: str, seconds: int) -> None:
        """Let a message that is being worked on come back in ``seconds``, unless it is deleted."""

    def places(self, job: Job) -> dict[str, str]:
        """Signed addresses: ``answer`` and ``logs`` to write, ``body`` to read if there is one."""

    def put_answer(self, request_id: str, body: bytes) -> None:
        """Store the body of an answer."""

    def answer(self, request_id: str) -> bytes:
        """The stored body of an answer."""

    def secrets(self, user: str, now: float) -> tuple[str, ...]:
        """The webhook secrets of a user that are good now, the newest first."""


def failure(status: int, error: str, error_type: str, *, seconds: float = 0.0) -> Finished:
    """An end that is the queue's doing, as an answer that callers can read."""
    made = answer.error(
        status, error, (b"x-fal-error-type", error_type.encode()), error_type=error_type
    )
    return Finished(
        status=status,
        headers=made.headers,
        body=made.body,
        error=error,
        error_type=error_type,
        seconds=seconds,
    )


CANCELLED = failure(410, "The request was cancelled, and its answer dropped.", "cancelled")


def overdue(job: Job, now: float) -> Finished | None:
    """How a request that nobody will run any more has ended, or None for any other."""
    if job.state == "COMPLETED":
        return None
    if job.state == "IN_PROGRESS":
        if now <= job.lease_until + LOST_S:
            return None
        return failure(
            502, "The request was lost while it ran: whoever ran it did not come back.", "lost"
        )
    if job.start_by is not None and now > job.start_by:
        limit = job.start_by - job.created_at
        ended = failure(504, f"The request did not start within {limit:g} s.", "start_timeout")
        # By this the clients tell a limit of the caller's from one of the gateway's.
        kind = ((b"x-fal-request-timeout-type", b"user"),)
        return replace(ended, headers=ended.headers + kind)
    if now > job.created_at + WAIT_MAX_S:
        return failure(504, f"The request did not start within {WAIT_MAX_S:,} s.", "expired")
    return None


def position(job: Job, taken: int) -> int:
    """How many requests wait before this one.

    Args:
        taken: the last ticket of this target that was begun.
    """
    return max(0, job.ticket - taken - 1)
