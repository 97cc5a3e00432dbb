"""Runs what was queued: at least once, by one worker at a time, to an end in any case.

A message only says which request to look at; what is to be done follows from the record. So a
message that comes twice, late or after a crash does no harm, and every path that leaves work to be
done first sends the message that will do it, and only then lets go of the one at hand.
"""

from __future__ import annotations

import json
import math
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fal_serverless.errors import FalServerlessError
from fal_serverless.gateway import answer
from fal_serverless.gateway.protocols import PAYLOAD_MAX
from fal_serverless.gateway.queue import model, webhook
from fal_serverless.gateway.queue.model import Finished, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fal_serverless.gateway.protocols import Invoker, InvokeResult, RegistrySource, Route
    from fal_serverless.gateway.queue.deliver import Deliver
    from fal_serverless.gateway.queue.model import Job, Work

BEAT_S = 10.0
"""How often a worker says that it lives; three times within a lease."""
SPARE_S = 15.0
"""What the worker needs of its own time after the function, to write down what came of it."""
PAUSE_MAX_S = 60


class Worker:
    """Works on messages, each to its end. Safe for several threads."""

    def __init__(
        self,
        store: Work,
        registry: RegistrySource,
        invoker: Invoker,
        deliver: Deliver,
        log: Callable[..., None],
        *,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        beat: float = BEAT_S,
    ) -> None:
        """Nothing is asked yet.

        Args:
            log: takes what happened and fields.
            now: epoch seconds.
            beat: seconds between two signs of life.
        """
        self._store = store
        self._registry = registry
        self._invoker = invoker
        self._deliver = deliver
        self._log = log
        self._now = now
        self._new_id = new_id
        self._beat = beat

    def work(self, message: dict[str, Any], receipt: str, remaining: float) -> None:
        """Do what a message asks for; afterwards it may be deleted.

        Args:
            receipt: of the message, to hide it while it is worked on.
            remaining: seconds that this worker has left.

        Raises:
            AwsError: the message must come again.
        """
        if "webhook" in message:
            self._notify(str(message["webhook"]), int(message.get("attempt", 1)))
        else:
            self._request(str(message["request"]), receipt, remaining)

    def _request(self, request_id: str, receipt: str, remaining: float) -> None:
        job = self._store.load(request_id)
        if job is None:
            return
        if not job.attempts and not job.waits:
            self._store.took(job)
        now = self._now()
        if job.state == "COMPLETED":
            self._set_going(job)
            return
        ended = model.overdue(job, now)
        if ended is None and job.lease_until > now:
            self._again(job, math.ceil(job.lease_until - now) + 1)
            return
        if ended is None and job.attempts >= model.ATTEMPTS:
            ended = failure(
                502, f"The request was begun {job.attempts} times, and lost each time.", "crashed"
            )
        if ended is not None:
            self._finish(job, "", ended)
            return
        holder = self._new_id()
        if not self._store.claim(job, holder, now + model.LEASE_S):
            # Somebody else changed it a moment ago: looked at again, the record says what is next.
            self._again(job, 1)
            return
        with self._alive(job, holder, receipt):
            self._attempt(replace(job, attempts=job.attempts + 1), holder, remaining)

    def _attempt(self, job: Job, holder: str, remaining: float) -> None:
        route, _ = self._registry.read(job.target, None)
        if route is None:
            gone = "The function was deleted before its turn came."
            self._finish(job, holder, failure(404, gone, "deleted"))
            return
        event = json.loads(job.event)
        # With the addresses of what does not fit into it.
        event["fal"]["job"] = self._store.places(job)
        event["fal"]["target"] = job.target
        written = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        if len(written) > PAYLOAD_MAX:
            self._finish(job, holder, failure(413, "The request is too large.", "too_large"))
            return
        allowed = max(1.0, min(route.timeout + 10.0, remaining - SPARE_S))
        began = self._now()
        result = self._invoker.invoke(route.function, route.qualifier, written, timeout=allowed)
        seconds = self._now() - began
        if result.outcome in ("throttled", "unready"):
            pause = min(2**job.waits, PAUSE_MAX_S)
            self._back(job, holder, attempts=job.attempts - 1, waits=job.waits + 1, pause=pause)
        elif self._died(result, route) and job.attempts < model.ATTEMPTS:
            self._log("attempt failed", request_id=job.id, attempt=job.attempts)
            self._back(job, holder, attempts=job.attempts, waits=job.waits, pause=job.attempts)
        else:
            method = event["requestContext"]["http"]["method"]
            ended = self._ended(job.id, route, method, result, allowed, seconds)
            self._finish(job, holder, ended)

    def _died(self, result: InvokeResult, route: Route) -> bool:
        """Whether the function was lost on the way: another attempt may succeed.

        A timeout is none of these. It would be reached again, at the same price.
        """
        if result.outcome == "failed":
            return True
        if result.outcome != "answered" or not result.function_error:
            return False
        return answer.of_result(result, route, "POST", waited=0).status == 502

    def _ended(
        self,
        request_id: str,
        route: Route,
        method: str,
        result: InvokeResult,
        allowed: float,
        seconds: float,
    ) -> Finished:
        if result.outcome == "timed_out":
            text = f"The function did not answer within {allowed:g} s."
            return failure(504, text, "timeout", seconds=seconds)
        made = answer.of_result(result, route, method, waited=allowed)
        crashed = result.outcome != "answered" or result.function_error is not None
        if crashed and made.status == 504:
            text = f"The function exceeded its timeout of {route.timeout} s."
            return failure(504, text, "timeout", seconds=seconds)
        stored, body = _stored(result), made.body
        if not stored and len(body) > model.INLINE_MAX:
            self._store.put_answer(request_id, body)
            stored, body = len(body), b""
        error, error_type = _error(made.status, made.body, crashed=crashed)
        headers = made.headers
        if error and not any(name == b"x-fal-error-type" for name, _ in headers):
            headers = (*headers, (b"x-fal-error-type", error_type.encode("latin-1", "replace")))
        return Finished(
            status=made.status,
            headers=headers,
            body=body,
            stored=stored,
            error=error,
            error_type=error_type,
            revision=made.revision,
            seconds=seconds,
        )

    def _again(self, job: Job, delay: int) -> None:
        self._store.send({"request": job.id}, job.target, delay)

    def _back(self, job: Job, holder: str, *, attempts: int, waits: int, pause: int) -> None:
        self._again(job, pause)
        self._store.release(job, holder, attempts=attempts, waits=waits)

    def _finish(self, job: Job, holder: str, finished: Finished) -> None:
        kept = self._store.finish(job, holder, finished, self._now())
        self._log(
            "finished" if kept else "dropped",
            request_id=job.id,
            target=job.target,
            status=finished.status,
            error_type=finished.error_type,
            attempts=job.attempts,
            seconds=round(finished.seconds, 3),
        )
        if kept:
            self._set_going(replace(job, notify=bool(job.webhook)))
        elif not holder:
            self._again(job, 1)

    def _set_going(self, job: Job) -> None:
        if job.notify:
            self._store.send({"webhook": job.id, "attempt": 1}, job.target, 0)
            self._store.notified(job.id)

    def _notify(self, request_id: str, attempt: int) -> None:
        """Call a webhook once, and say when to try again if it did not take the call."""
        job = self._store.load(request_id)
        if job is None or job.finished is None or not job.webhook:
            return
        finished = job.finished
        body: bytes | None = finished.body
        if finished.stored:
            small = finished.stored <= webhook.PAYLOAD_MAX
            body = self._store.answer(job.id) if small else None
        said = webhook.message(job.id, finished, body)
        now = self._now()
        keys = self._store.secrets(job.caller or job.owner, now)
        headers = webhook.signed(job.id, said, keys, now)
        outcome = self._deliver(job.webhook, headers, said)
        last = outcome.final or attempt > len(webhook.PAUSES_S)
        self._log(
            "webhook",
            request_id=job.id,
            attempt=attempt,
            delivered=outcome.delivered,
            reason=outcome.reason,
            given_up=last and not outcome.delivered,
        )
        if not outcome.delivered and not last:
            again = {"webhook": job.id, "attempt": attempt + 1}
            self._store.send(again, job.target, webhook.PAUSES_S[attempt - 1])

    @contextmanager
    def _alive(self, job: Job, holder: str, receipt: str) -> Iterator[None]:
        """Say that this worker lives, as long as it works on a request."""
        over = threading.Event()
        self._hide(job, receipt)

        def beat() -> None:
            while not over.wait(self._beat):
                try:
                    if not self._store.renew(job.id, holder, self._now() + model.LEASE_S):
                        return
                except FalServerlessError as error:
                    self._log("no sign of life", request_id=job.id, reason=error.reason)
                self._hide(job, receipt)

        thread = threading.Thread(target=beat, name="beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _hide(self, job: Job, receipt: str) -> None:
        try:
            self._store.hide(receipt, model.LEASE_S + 5)
        except FalServerlessError as error:
            # It comes back too early or too late: the record decides what is done then.
            self._log("not hidden", request_id=job.id, reason=error.reason)


def _stored(result: InvokeResult) -> int:
    """Bytes of a body that the function stored itself, else 0."""
    if b'"stored"' not in result.payload:
        return 0
    try:
        size = json.loads(result.payload)["fal"]["stored"]
    except (ValueError, KeyError, TypeError):
        return 0
    return size if type(size) is int and size > 0 else 0


def _error(status: int, body: bytes, *, crashed: bool) -> tuple[str, str]:
    """(what went wrong, in which class) of an answer; two empty strings below 400."""
    if status < 400:
        return "", ""
    try:
        said = json.loads(body)
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    detail = said.get("detail") or f"The function answered {status}."
    kinds = {422: "validation_error"}
    kind = said.get("error_type") or kinds.get(status, "crashed" if crashed else f"http_{status}")
    text = detail if isinstance(detail, str) else json.dumps(detail)
    return text[:2_000], str(kind)[:200]
