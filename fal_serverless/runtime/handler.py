"""The Lambda handler: loads the bundle during init, then answers events."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fal_serverless.runtime.events import event_of, fits, request_of
from fal_serverless.runtime.loader import BundleError, Loaded, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.runtime.events import Answer, Request


FAILED_FROM = 500
"""Status from which an answer is the function's failure, and not its caller's."""


class Mode(Protocol):
    """One way in which a function answers HTTP requests."""

    def answer(self, request: Request, remaining: float) -> Answer:
        """The answer; ``remaining`` is the time left in seconds."""


class Runtime:
    """One environment: a loaded bundle and its mode, or why it could not be loaded."""

    def __init__(self, root: Path) -> None:
        self.failure = ""
        self.loaded: Loaded | None = None
        self.mode: Mode | None = None
        kept = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "provisioned-concurrency"
        self._first = not kept
        try:
            self.loaded = load(root)
            self.mode = _mode(self.loaded)
        except BundleError as error:
            self.failure = str(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code runs in there
            # Failing init would make Lambda start over and over; each request is told instead.
            import traceback

            traceback.print_exc()
            self.failure = f"loading the function failed: {type(error).__name__}: {error}"

    def handle(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """The answer to one event.

        Raises:
            BundleError: the bundle could not be loaded, or answers no requests; Lambda reports a
                failed invocation.
        """
        scheduled = event.get("fal", {}).get("cron")
        if scheduled:
            return self._scheduled(scheduled, context)
        if self.loaded is None or self.failure:
            raise BundleError(self.failure)
        if self.mode is None:
            raise BundleError("the function is not served: it has no serve=True or exposed_port")
        about = event.get("fal", {})
        # <userid>-<label>
        label = str(about.get("target", "")).partition("-")[2]
        self._told(str(about.get("request_id", "")), label)
        remaining = context.get_remaining_time_in_millis() / 1000 if context else 30.0
        request = request_of(event)
        job = about.get("job")
        if job:
            result = _queued(self.mode, request, remaining, job, self.loaded.revision)
        else:
            result = event_of(self.mode.answer(request, remaining), self.loaded.revision)
        if result["statusCode"] >= FAILED_FROM:
            from fal_serverless.runtime import failures

            # Lambda takes an answer for a success, whatever it says.
            _log_line(f"fal-failed {result['statusCode']} {label}".rstrip())
            failures.note(context)
        return result

    def _told(self, request_id: str, label: str) -> None:
        """Write down what Lambda's own lines of a request do not say.

        The id is the way from the x-fal-request-id of an answer to the lines of its request; the
        label is the alias or revision that was asked for; "(first)" is an environment's first
        request, unless the environment was there before anybody asked.
        """
        first, self._first = self._first, False
        if request_id:
            more = (f" {label}" if label else "") + (" (first)" if label and first else "")
            _log_line(f"fal-request {request_id}{more}")

    def _scheduled(self, job: Mapping[str, Any], context: Any) -> dict[str, Any]:
        from fal_serverless.runtime import cron

        function = self.loaded.function if self.loaded and not self.failure else None
        request = context.aws_request_id if context else ""
        label = self.loaded.revision if self.loaded else ""
        self._told(request, label)
        outcome = cron.run(job, function, failure=self.failure, request=request)
        if outcome == "failed":
            _log_line(f"fal-failed 500 {label}".rstrip())
        return {"outcome": outcome}


def _log_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _queued(
    mode: Mode, request: Request, remaining: float, job: Mapping[str, str], revision: str
) -> dict[str, Any]:
    """The answer to a request from the queue, whose bodies may be larger than Lambda carries."""
    from fal_serverless.runtime import job as queue

    body = queue.fetch(job)
    if body is not None:
        request = request.with_body(body)
    with queue.shown(job["logs"]):
        answer = mode.answer(request, remaining)
    if fits(answer, revision):
        return event_of(answer, revision)
    queue.store(job, answer.body)
    size, answer.body = len(answer.body), b""
    found = event_of(answer, revision)
    found["fal"]["stored"] = size
    return found


def _mode(loaded: Loaded) -> Mode | None:
    """How the bundle answers requests; None for a function that only schedules run."""
    mode = loaded.spec.get("mode")
    if mode == "call":
        return None
    if mode == "serve":
        from fal_serverless.runtime.serve import Serve

        return Serve(loaded)
    if mode == "port":
        from fal_serverless.runtime.port import Port

        return Port(loaded)
    raise BundleError(f"this runtime has no mode {mode!r}: serve the function again")


_runtime: Runtime | None = None


def start() -> Runtime:
    """The environment's runtime, made when it is first needed."""
    global _runtime
    if _runtime is None:
        made = Runtime(Path(os.environ.get("LAMBDA_TASK_ROOT", ".")))
        if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            _check_for_snapshot(made)
        _runtime = made
    return _runtime


def _check_for_snapshot(made: Runtime) -> None:
    """A function that does not load gets no snapshot: publishing it fails, and nothing moves to it.

    Raises:
        BundleError: it did not load.
    """
    from fal_serverless.runtime import restore

    if made.loaded is None or made.mode is None:
        raise BundleError(made.failure)
    restore.register(made.loaded.spec.get("secrets", ()))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """What Lambda calls."""
    return start().handle(event, context)


# Only Lambda sets this: there, loading belongs to init, which is not billed to a request's time.
if os.environ.get("AWS_LAMBDA_RUNTIME_API") or os.environ.get("FAL_LOAD_AT_IMPORT"):
    start()
