"""Invoking Lambda with less in between: a signature, and one exchange on an open connection.

A client of botocore spends several times as long on each invocation as this does, on models,
hooks and retries that an invocation has no use for.
"""

from __future__ import annotations

import json
import time
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from fal_serverless.aws import ambient
from fal_serverless.aws.http1 import NoAnswerError, WireError
from fal_serverless.aws.signing import Signer
from fal_serverless.aws.wire import Wire
from fal_serverless.errors import AuthError, AwsError
from fal_serverless.gateway.protocols import InvokeResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from fal_serverless.aws.http1 import Answer
    from fal_serverless.aws.signing import Credentials
    from fal_serverless.gateway.protocols import Outcome

CONNECT_S = 2.0
_TYPE = {"content-type": "application/json"}

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


class Requests:
    """What is sent to invoke a function, signed."""

    def __init__(
        self,
        credentials: Credentials,
        region: str,
        host: str,
        prefix: str,
        trace: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Nothing is asked of the credentials yet.

        Args:
            host: as the ``Host`` header says it.
            prefix: path in front of the API's.
            trace: value of ``X-Amzn-Trace-Id``, or None.
        """
        self._signer = Signer(credentials, "lambda", region, host)
        self._prefix = prefix
        self._trace = trace

    def signed(self, function: str, qualifier: str, payload: bytes) -> tuple[str, dict[str, str]]:
        """(path and query, headers).

        Raises:
            AuthError: the credentials cannot be refreshed.
        """
        path, query = _address(self._prefix, function, qualifier)
        try:
            headers = self._signer.headers(path, query, _TYPE, payload)
        except Exception as error:
            if not ambient.is_botocores(error):
                raise
            raise AuthError(
                "The invocation cannot be signed.",
                reason=str(error),
                hint="check the credentials with: aws sts get-caller-identity",
            ) from error
        trace = self._trace()
        if trace:
            headers["x-amzn-trace-id"] = trace
        return f"{path}?{query}", headers


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
        self.endpoint = endpoint_url.rstrip("/")
        self._wire = Wire(self.endpoint, ca_certs=ca_certs, connections=connections, clock=clock)
        self._requests = Requests(credentials, region, self._wire.host, self._wire.prefix, trace)

    def invoke(
        self, function: str, qualifier: str, payload: bytes, *, timeout: float
    ) -> InvokeResult:
        """Invoke ``function:qualifier`` and wait for its answer, ``timeout`` seconds at most.

        A request is sent once: only a connection that was never made is tried again. Network
        errors are outcomes, see ``InvokeResult``.

        Raises:
            AuthError: the credentials cannot be refreshed.
        """
        target, headers = self._requests.signed(function, qualifier, payload)
        connect = min(CONNECT_S, timeout)
        try:
            answer = self._wire.post(target, headers, payload, connect=connect, timeout=timeout)
        except WireError as error:
            return unanswered(error)
        return result_of(answer)

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()


def open_invoker(
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    trace: Callable[[], str | None] = lambda: None,
) -> LambdaInvoker:
    """An invoker with the credentials, Region and endpoint of this process.

    Inside Lambda they are those of its environment. Elsewhere they are what botocore finds: the
    endpoint is the argument, else what its configuration says (``AWS_ENDPOINT_URL_LAMBDA``,
    ``AWS_ENDPOINT_URL``, a profile), else the Region's own.

    Raises:
        AuthError: there are no credentials.
        AwsError: no Region is configured, or the configuration cannot be read.
    """
    found = place(region, endpoint_url)
    return LambdaInvoker(
        found.credentials, found.region, found.endpoint, ca_certs=found.ca_certs, trace=trace
    )


def place(region: str | None, endpoint_url: str | None) -> ambient.Place:
    """Where Lambda is, and who asks; as ``open_invoker``.

    Raises:
        AuthError: there are no credentials.
        AwsError: no Region is configured, or the configuration cannot be read.
    """
    return ambient.of_lambda("lambda", region, endpoint_url) or _by_botocore(region, endpoint_url)


def _by_botocore(region: str | None, endpoint_url: str | None) -> ambient.Place:
    import botocore.session
    from botocore.exceptions import BotoCoreError
    from botocore.httpsession import get_cert_path

    try:
        session = botocore.session.get_session()
        region = region or session.get_config_variable("region")
        credentials = session.get_credentials()
        ca_bundle = session.get_config_variable("ca_bundle")
        # A client knows every rule about endpoints, and is not needed for anything else.
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
    return ambient.Place(
        credentials, region, client.meta.endpoint_url, ca_bundle or get_cert_path(True)
    )


def _unusable(reason: str) -> AwsError:
    return AwsError(
        "Lambda cannot be reached.",
        reason=reason,
        hint="set AWS_REGION, or run: aws configure",
    )


@lru_cache(maxsize=1024)
def _address(prefix: str, function: str, qualifier: str) -> tuple[str, str]:
    """(path, query)."""
    path = f"{prefix}/2015-03-31/functions/{quote(function, safe='')}/invocations"
    return path, f"Qualifier={quote(qualifier, safe='')}"


def unanswered(error: WireError) -> InvokeResult:
    """What a broken exchange comes to."""
    return InvokeResult(
        "timed_out" if isinstance(error, NoAnswerError) else "failed", reason=str(error)
    )


def result_of(response: Answer) -> InvokeResult:
    """What Lambda's answer comes to."""
    headers = response.headers
    if response.status == 200:
        return InvokeResult(
            "answered",
            200,
            function_error=headers.get("x-amz-function-error"),
            payload=response.body,
            executed_version=headers.get("x-amz-executed-version"),
        )
    code = _error_code(headers.get("x-amzn-errortype", ""), response.body)
    outcome = _OUTCOMES.get(code) or _STATUSES.get(response.status, "failed")
    wait = headers.get("retry-after", "")
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
