"""The values that the gateway and its collaborators exchange, and what those must be able to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from fal_serverless.keys import KeyRecord

PAYLOAD_MAX = 6_291_556
"""Bytes of JSON that Lambda carries each way in a synchronous invocation (6 MB and a little).

Source: Lambda quotas, "Invocation payload (request and response)".
"""

Headers = tuple[tuple[bytes, bytes], ...]
"""Names in lower case, values, in the order received; names may repeat."""


@dataclass(frozen=True)
class Request:
    """One request, as far as transports agree on it.

    Attributes:
        path: raw (percent-encoded), beginning with ``/``; what the function is to see.
        query: raw, without ``?``.
        client: the caller's IP address, or ``""``.
        scheme: ``http`` or ``https``.
    """

    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes = field(default=b"", repr=False)
    client: str = ""
    scheme: str = "https"
    protocol: str = "HTTP/1.1"

    def changed(self, headers: Headers, query: bytes, body: bytes = b"") -> Request:
        """The same request with other headers, query and body."""
        # dataclasses.replace takes several times as long, and this is on every request's way.
        return Request(
            self.method, self.path, query, headers, body, self.client, self.scheme, self.protocol
        )

    def header(self, name: bytes) -> str | None:
        """The first value of a header, or None."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None


@dataclass(frozen=True)
class Response:
    """One answer.

    Attributes:
        headers: without ``content-length``, unless it says more than the body can (``HEAD``).
        revision: the revision that ran, or None when no function ran.
        request_id: of the queued request that it speaks of; None: the id of the HTTP request.
    """

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    revision: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class Route:
    """What a target stands for.

    Attributes:
        function: name of the Lambda function.
        qualifier: its alias or version.
        auth: ``private``, ``public`` or ``shared``; anything else is treated as private.
        mode: ``serve`` or ``port``.
        timeout: of the function, in seconds.
        owner: user id.
        revision: UUID.
    """

    function: str
    qualifier: str
    auth: str
    mode: str
    timeout: int
    owner: str
    revision: str


Outcome = Literal["answered", "throttled", "missing", "too_large", "unready", "timed_out", "failed"]


@dataclass(frozen=True)
class InvokeResult:
    """What came of an invocation.

    Attributes:
        outcome: ``answered``: the function ran (perhaps into an error); ``throttled``,
            ``missing``, ``too_large``, ``unready``: it certainly did not run; ``timed_out``: no
            answer within the time allowed, it may still run; ``failed``: anything else.
        status_code: HTTP status of Lambda's API, or 0 when there was none.
        function_error: ``Handled`` or ``Unhandled`` when the function failed, else None.
        payload: the function's answer, JSON.
        executed_version: the Lambda version that ran.
        retry_after: seconds that Lambda asks to wait, if it said so.
        reason: for the log, never for the caller.
    """

    outcome: Outcome
    status_code: int = 0
    function_error: str | None = None
    payload: bytes = field(default=b"", repr=False)
    executed_version: str | None = None
    retry_after: int | None = None
    reason: str = ""


class Invoker(Protocol):
    """Runs Lambda functions."""

    def invoke(
        self, function: str, qualifier: str, payload: bytes, *, timeout: float
    ) -> InvokeResult:
        """Invoke and wait, for ``timeout`` seconds at most.

        Never sends a request twice that may have run. Raises no network errors: they are
        outcomes.
        """


class AsyncInvoker(Protocol):
    """Runs Lambda functions, and lets others run meanwhile."""

    async def invoke(
        self, function: str, qualifier: str, payload: bytes, *, timeout: float
    ) -> InvokeResult:
        """As ``Invoker.invoke``."""


class RegistrySource(Protocol):
    """Reads the registry."""

    def read(self, target: str | None, key_id: str | None) -> tuple[Route | None, KeyRecord | None]:
        """The route of a target and the key of an id, in one request; None is not asked for.

        Raises:
            AwsError: the registry cannot be read.
        """
