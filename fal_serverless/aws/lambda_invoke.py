"""Invoking Lambda with less in between: botocore signs, urllib3 sends.

A client of botocore spends twice as long on each invocation as this does, on models, hooks and
retries that an invocation has no use for.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import botocore.session
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path

from fal_serverless.errors import AuthError, AwsError
from fal_serverless.gateway.protocols import InvokeResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.credentials import Credentials

    from fal_serverless.gateway.protocols import Outcome

_CONNECT_S = 2.0
# A frozen environment or a load balancer may have lost an idle connection without a word, and a
# request written to it would be neither sent nor safe to send again.
_IDLE_S = 15.0
# Only a connection that was never made is tried again: anything later may have run the function.
_RETRIES = urllib3.Retry(total=None, connect=1, read=False, redirect=False, status=False, other=0)

# Lambda API reference, Invoke, Errors.
_OUTCOMES: dict[str, Outcome] = {
    "TooManyRequestsException": "throttled",
    "ResourceNotFoundException": "missing",
    "RequestTooLargeException": "too_large",
    "ResourceConflictException": "unready",
    "ResourceNotReadyException": "unready",
    "SnapStartNotReadyException": "unready",
}
_STATUSES: dict[int, Outcome] = {
    404: "missing",
    409: "unready",
    413: "too_large",
    429: "throttled",
}


class LambdaInvoker:
    """Invokes functions over pooled connections; may be used by several threads."""

    def __init__(
        self,
        credentials: Credentials,
        region: str,
        endpoint_url: str,
        *,
        ca_certs: str | None = None,
        connections: int = 64,
        clock: Callable[[], float] = time.time,
        trace: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            credentials: asked for each request, so that they refresh themselves.
            endpoint_url: such as ``https://lambda.eu-central-1.amazonaws.com``.
            ca_certs: file of the certificate authorities to trust, or None for the system's.
            connections: kept open at most.
            clock: epoch seconds (the monotonic clock stands still in a frozen environment).
            trace: value of ``X-Amzn-Trace-Id``, or None.
        """
        self._credentials = credentials
        self._region = region
        self.endpoint = endpoint_url.rstrip("/")
        self._prefix = urlsplit(self.endpoint).path
        self._clock = clock
        self._trace = trace
        self._connections = connections
        self._ca_certs = ca_certs
        self._used = clock()
        self._pool = self._new_pool()

    def invoke(
        self, function: str, qualifier: str, payload: bytes, *, timeout: float
    ) -> InvokeResult:
        """Invoke ``function:qualifier`` and wait for its answer, ``timeout`` seconds at most.

        Network errors are outcomes, see ``InvokeResult``.

        Raises:
            AuthError: the credentials cannot be refreshed.
        """
        path = (
            f"/2015-03-31/functions/{quote(function, safe='')}/invocations"
            f"?Qualifier={quote(qualifier, safe='')}"
        )
        headers = self._signed(self.endpoint + path, payload)
        try:
            response = self._fresh_pool().urlopen(
                "POST",
                self._prefix + path,
                body=payload,
                headers=headers,
                retries=_RETRIES,
                redirect=False,
                timeout=urllib3.Timeout(connect=min(_CONNECT_S, timeout), read=timeout),
            )
        except urllib3.exceptions.ReadTimeoutError:
            return InvokeResult("timed_out", reason=f"no answer within {timeout:.1f} s")
        except urllib3.exceptions.HTTPError as error:
            return InvokeResult("failed", reason=f"{type(error).__name__}: {error}")
        finally:
            self._used = self._clock()
        return _result(response)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _fresh_pool(self) -> urllib3.HTTPConnectionPool:
        if not 0 <= self._clock() - self._used < _IDLE_S:
            # Connections that are in use close when they come back to the old pool.
            old, self._pool = self._pool, self._new_pool()
            old.close()
        return self._pool

    def _new_pool(self) -> urllib3.HTTPConnectionPool:
        more = {"ca_certs": self._ca_certs} if self.endpoint.startswith("https:") else {}
        return urllib3.connection_from_url(
            self.endpoint, maxsize=self._connections, block=False, **more
        )

    def _signed(self, url: str, payload: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        trace = self._trace()
        if trace:
            headers["X-Amzn-Trace-Id"] = trace
        request = AWSRequest("POST", url, headers, payload)
        try:
            frozen = self._credentials.get_frozen_credentials()
            SigV4Auth(frozen, "lambda", self._region).add_auth(request)
        except BotoCoreError as error:
            raise AuthError(
                "The invocation cannot be signed.",
                reason=str(error),
                hint="check the credentials with: aws sts get-caller-identity",
            ) from error
        return dict(request.headers.items())


def open_invoker(
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    trace: Callable[[], str | None] = lambda: None,
) -> LambdaInvoker:
    """An invoker with the credentials, Region and endpoint that botocore finds.

    The endpoint is the argument, else what botocore's configuration says
    (``AWS_ENDPOINT_URL_LAMBDA``, ``AWS_ENDPOINT_URL``, a profile), else the Region's own.

    Raises:
        AuthError: there are no credentials.
        AwsError: no Region is configured, or the configuration cannot be read.
    """
    try:
        session = botocore.session.get_session()
        region = region or session.get_config_variable("region")
        credentials = session.get_credentials()
        ca_bundle = session.get_config_variable("ca_bundle")
        # A client knows every rule about endpoints, and is not needed for anything else; it
        # takes 20 ms once, since the gateway's other client has read most of the same data.
        client = session.create_client("lambda", region_name=region, endpoint_url=endpoint_url)
    except BotoCoreError as error:
        raise _unusable(str(error)) from error
    if not region:
        raise _unusable("no Region is configured")
    if credentials is None:
        raise AuthError(
            "There are no AWS credentials.",
            reason="neither the environment, a profile nor a role has any",
            hint="run: aws configure",
        )
    return LambdaInvoker(
        credentials,
        region,
        client.meta.endpoint_url,
        ca_certs=ca_bundle or get_cert_path(True),
        trace=trace,
    )


def _unusable(reason: str) -> AwsError:
    return AwsError(
        "Lambda cannot be reached.",
        reason=reason,
        hint="set AWS_REGION, or run: aws configure",
    )


def _result(response: urllib3.BaseHTTPResponse) -> InvokeResult:
    headers = response.headers
    if response.status == 200:
        return InvokeResult(
            "answered",
            200,
            function_error=headers.get("X-Amz-Function-Error"),
            payload=response.data,
            executed_version=headers.get("X-Amz-Executed-Version"),
        )
    code = _error_code(headers.get("x-amzn-errortype", ""), response.data)
    outcome = _OUTCOMES.get(code) or _STATUSES.get(response.status, "failed")
    wait = headers.get("Retry-After", "")
    return InvokeResult(
        outcome,
        response.status,
        retry_after=int(wait) if wait.isdecimal() else None,
        reason=f"{response.status} {code}".strip(),
    )


def _error_code(header: str, body: bytes) -> str:
    """AWS's name of an error: the header says it, an emulator may say it in the body alone."""
    if header:
        return header.partition(":")[0]
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    found = said.get("__type") or said.get("code") if isinstance(said, dict) else None
    return str(found or "").rpartition("#")[2]
