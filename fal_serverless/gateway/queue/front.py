"""The queue as callers see it: submit, status, response, cancel. Blocking."""

from __future__ import annotations

import json
import math
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fal_serverless.gateway import answer
from fal_serverless.gateway.event import PayloadTooLargeError, payload
from fal_serverless.gateway.protocols import Response
from fal_serverless.gateway.queue import model
from fal_serverless.gateway.queue.forms import take_webhook, wants_logs
from fal_serverless.gateway.queue.webhook import BadAddressError, check_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from fal_serverless.gateway.protocols import Request, Route
    from fal_serverless.gateway.queue.forms import Form
    from fal_serverless.gateway.queue.model import Job, Store

START_TIMEOUT = b"x-fal-request-timeout"
"""Seconds, from fal's clients (``start_timeout``)."""
_JSON = (b"content-type", b"application/json")


class RefusedError(Exception):
    """A submission cannot be accepted as it is; the message is for the caller."""


class Front:
    """Answers queue requests of those who may pass."""

    def __init__(
        self,
        store: Store,
        *,
        private_webhooks: bool = False,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        """Nothing is asked yet.

        Args:
            private_webhooks: whether webhooks may go to this machine and its network, by http.
            now: epoch seconds.
        """
        self._store = store
        self._private = private_webhooks
        self._now = now
        self._new_id = new_id

    def submit(
        self, form: Form, request: Request, route: Route, target: str, caller: str
    ) -> Response:
        """Store a request, and say where to ask for it.

        Args:
            request: as the function is to see it, but for its path; with its whole body.
            target: ``<userid>-<label>``.
            caller: user id, or ``""``.

        Raises:
            AwsError: it could not be stored; it is not accepted.
        """
        now, request_id = self._now(), self._new_id()
        try:
            webhook, query = take_webhook(request.query)
            if webhook:
                check_url(webhook, private=self._private)
            start_by = _start_by(request, now)
            wanted = replace(request, path=form.path, query=query)
            event, body = _written(wanted, request_id, now)
        except (RefusedError, BadAddressError) as error:
            return answer.error(422, str(error))
        except PayloadTooLargeError as error:
            return answer.too_large(error.size)
        submission = model.Submission(
            id=request_id,
            target=target,
            owner=route.owner,
            caller=caller,
            event=event,
            body=body,
            created_at=now,
            start_by=start_by,
            webhook=webhook,
        )
        try:
            ahead = self._store.submit(submission)
        except model.QueueFullError:
            return answer.error(
                429, "Too many requests wait for this function; try again.", (b"retry-after", b"5")
            )
        status = {"request_id": request_id, "status": "IN_QUEUE", "queue_position": ahead}
        return _document(200, {**status, **_addresses(form, request, request_id)}, request_id)

    def find(self, form: Form, target: str) -> tuple[Job, int] | None:
        """The request that a form names, if it was submitted to this target.

        Raises:
            AwsError: it cannot be read.
        """
        found = self._store.find(form.request_id, target)
        return found if found and found[0].target == target else None

    def status(self, form: Form, request: Request, job: Job, taken: int) -> Response:
        """Where a request stands."""
        return _document(200, self._status(form, request, job, taken), job.id)

    def response(self, form: Form, request: Request, job: Job, taken: int) -> Response:
        """What the function answered, or the status when it has not."""
        finished = job.finished or model.overdue(job, self._now())
        if finished is None:
            return _document(202, self._status(form, request, job, taken), job.id)
        made = Response(finished.status, finished.headers, finished.body, finished.revision, job.id)
        if not finished.stored:
            return made
        if finished.stored <= model.ANSWER_MAX:
            return replace(made, body=self._store.answer(job.id))
        if finished.status >= 300:
            detail = f"The function answered {finished.status} with {finished.stored:,} bytes"
            refused = answer.error(502, f"{detail}, and the gateway carries {model.ANSWER_MAX:,}.")
            return replace(refused, revision=finished.revision, request_id=job.id)
        # Larger than Lambda carries: whoever asks fetches it from where it lies.
        kinds = [value for name, value in finished.headers if name == b"content-type"]
        kind = kinds[0].decode("latin-1") if kinds else "application/octet-stream"
        place = self._store.answer_url(job.id, kind).encode("latin-1")
        headers = ((b"location", place), (b"cache-control", b"no-store"))
        return Response(307, headers, b"", finished.revision, job.id)

    def cancel(self, job: Job) -> Response:
        """End a request, unless it has ended."""
        done = job.state == "COMPLETED" or model.overdue(job, self._now()) is not None
        if not done and self._store.cancel(job, model.CANCELLED, self._now()):
            return _document(
                202, {"status": "CANCELLATION_REQUESTED", "request_id": job.id}, job.id
            )
        return _document(400, {"status": "ALREADY_COMPLETED", "request_id": job.id}, job.id)

    def _status(self, form: Form, request: Request, job: Job, taken: int) -> dict[str, Any]:
        finished = job.finished or model.overdue(job, self._now())
        shown: dict[str, Any] = {"request_id": job.id, **_addresses(form, request, job.id)}
        if finished is None and job.state == "IN_QUEUE":
            return {**shown, "status": "IN_QUEUE", "queue_position": model.position(job, taken)}
        wanted = wants_logs(request.query)
        shown["logs"] = self._store.logs(job.id) if wanted else []
        if finished is None:
            return {**shown, "status": "IN_PROGRESS"}
        shown |= {"status": "COMPLETED", "metrics": {"inference_time": round(finished.seconds, 3)}}
        if finished.error:
            shown |= {"error": finished.error, "error_type": finished.error_type}
        return shown


def _document(status: int, content: dict[str, Any], request_id: str) -> Response:
    headers = (_JSON, (b"cache-control", b"no-store"))
    return Response(status, headers, json.dumps(content).encode(), None, request_id)


def _addresses(form: Form, request: Request, request_id: str) -> dict[str, str]:
    """Where to ask, under the address by which the caller came."""
    host = request.header(b"host") or ""
    base = f"{request.scheme}://{host}{form.base}{request_id}"
    return {
        "response_url": base + form.answers,
        "status_url": base + "/status",
        "cancel_url": base + "/cancel",
    }


def _start_by(request: Request, now: float) -> float | None:
    said = request.header(START_TIMEOUT)
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise RefusedError(
            f"{START_TIMEOUT.decode()} is '{said[:40]}', and must be a number of seconds above 0."
        )
    return now + seconds


def _written(request: Request, request_id: str, now: float) -> tuple[bytes, bytes | None]:
    """The event, and the body beside it when that is large."""
    if len(request.body) <= model.INLINE_MAX:
        return payload(request, request_id=request_id, now=now), None
    return payload(replace(request, body=b""), request_id=request_id, now=now), request.body
