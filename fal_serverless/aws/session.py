"""A session with AWS, and the one place where botocore's errors become ours."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from botocore import exceptions as boto
from botocore.config import Config

from fal_serverless._version import __version__
from fal_serverless.aws.botocore_session import BotocoreSession
from fal_serverless.errors import (
    AuthError,
    AwsError,
    ConflictError,
    FalServerlessError,
    NotFoundError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.exceptions import ClientError

CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 6},
    connect_timeout=10,
    read_timeout=65,
    user_agent_extra=f"fal-serverless/{__version__}",
)


class ClientMaker(Protocol):
    """What is needed of a session of boto3; ours does it without importing boto3."""

    @property
    def region_name(self) -> str | None:
        """The Region that is configured."""

    @property
    def client(self) -> Any:
        """Makes the client of a service."""


@dataclass
class Session:
    """Credentials, a Region, perhaps another endpoint; clients are made when first used.

    Attributes:
        endpoint_url: of an emulator, or None for AWS (or what ``AWS_ENDPOINT_URL`` says).
    """

    boto: ClientMaker
    endpoint_url: str | None = None
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str, **config: Any) -> Any:
        """The client of a service, made by the first thing that is asked of it; one is kept."""
        if service not in self._clients:

            def make() -> Any:
                with translated("Connecting to AWS"):
                    return self.boto.client(
                        service,
                        endpoint_url=self.endpoint_url,
                        config=CONFIG.merge(Config(**config)),
                    )

            self._clients[service] = _Later(make)
        return self._clients[service]

    @property
    def region(self) -> str:
        """The Region's name.

        Raises:
            UsageError: none is configured.
        """
        if not self.boto.region_name:
            raise _no_region()
        return str(self.boto.region_name)


class _Later:
    """A client that is made when it is needed: each takes some 30 ms, and few commands need all."""

    _lock = threading.Lock()
    """botocore's sessions make one client at a time."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            with self._lock:
                self._made = self._made or self._make()
        return getattr(self._made, name)


def open_session(*, profile: str | None = None, region: str | None = None) -> Session:
    """A session of the user's own AWS configuration; nothing is sent yet.

    Raises:
        AuthError: there is no such profile.
        UsageError: no Region is configured.
    """
    # AWS's other tools read AWS_REGION; boto3 knows AWS_DEFAULT_REGION only.
    region = region or os.environ.get("AWS_REGION") or None
    with translated("Reading the AWS configuration"):
        session = Session(BotocoreSession(profile=profile, region=region))
        if session.boto.region_name is None:
            raise _no_region()
    return session


def emulator_session(endpoint_url: str, region: str = "us-east-1") -> Session:
    """A session with an emulator, by made-up credentials."""
    return Session(
        BotocoreSession(region=region, keys=("test", "test")),
        endpoint_url=endpoint_url,
    )


def _no_region() -> UsageError:
    return UsageError(
        "No AWS Region is chosen.",
        reason="neither --region, AWS_REGION nor the profile names one",
        hint="add for example --region eu-central-1, or run: aws configure "
        "(or use the embedded stack: --local, FAL_PROFILE=local)",
    )


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn botocore's errors into ours; ``doing`` is a gerund such as "Reading the table".

    Raises:
        AuthError: credentials are missing, expired or insufficient.
        NotFoundError: the thing asked for does not exist.
        ConflictError: it changed, is in use, or exists already.
        AwsError: everything else that AWS or the network refuses.
    """
    try:
        yield
    except boto.ClientError as error:
        raise from_client_error(doing, error) from error
    except boto.BotoCoreError as error:
        raise from_botocore(doing, error) from error


def error_code(error: ClientError) -> str:
    """AWS's name of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN_KEY = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "AuthFailure",
    "MissingAuthenticationToken",
    "IncompleteSignature",
}
_SKEW = {"SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed"}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "NotAuthorized",
    "Forbidden",
    "403",
}
_THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
}
_MISSING = {
    "ResourceNotFoundException",
    "NoSuchBucket",
    "NoSuchKey",
    "NotFound",
    "404",
    "ParameterNotFound",
    "RepositoryNotFoundException",
    "ImageNotFoundException",
}
_CONFLICT = {
    "ResourceConflictException",
    "PreconditionFailedException",
    "ConditionalCheckFailedException",
    "TransactionCanceledException",
    "TransactionConflictException",
    "ResourceInUseException",
    "OperationAbortedException",
    "ConflictException",
}


def from_client_error(doing: str, error: ClientError) -> FalServerlessError:
    """The error of ours that an answer of AWS stands for."""
    code = error_code(error)
    detail = _one_line(str(error.response.get("Error", {}).get("Message", "")) or code)
    failed = f"{doing} failed."
    if code in _EXPIRED:
        return AuthError(
            failed,
            reason="the AWS credentials have expired",
            hint="sign in again, for example: aws sso login",
        )
    if code in _UNKNOWN_KEY:
        return AuthError(
            failed,
            reason=f"AWS does not know the credentials ({code})",
            hint="check the profile: aws sts get-caller-identity",
        )
    if code in _SKEW:
        return AuthError(
            failed,
            reason=f"AWS does not accept the signature ({code})",
            hint="check this machine's clock and the secret access key",
        )
    if code in _DENIED:
        return AuthError(
            failed,
            reason=f"not allowed: {detail}",
            hint="ask for the permissions in infra/deployer-policy.json",
        )
    if code in _THROTTLED:
        return AwsError(
            failed, reason=f"AWS is throttling: {detail}", hint="wait a moment and run it again"
        )
    if code in _MISSING:
        return NotFoundError(
            failed, reason=detail, hint="check --stack, --region and --profile, or deploy the stack"
        )
    if code in _CONFLICT:
        return ConflictError(
            failed, reason=detail, hint="somebody else changed it just now: run the command again"
        )
    if code == "CodeStorageExceededException":
        return AwsError(
            failed,
            reason="the account's Lambda code storage is full in this Region",
            hint="delete old revisions with: fal-serverless function delete",
        )
    return AwsError(
        failed, reason=f"{code}: {detail}", hint="run it again with --debug for the whole answer"
    )


def from_botocore(doing: str, error: boto.BotoCoreError) -> FalServerlessError:
    """The error of ours that a failure before AWS's answer stands for."""
    failed = f"{doing} failed."
    detail = _one_line(str(error))
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError)):
        return AuthError(
            failed,
            reason="no AWS credentials were found",
            hint="run: aws configure (or use the embedded stack: --local, FAL_PROFILE=local)",
        )
    if isinstance(error, boto.ProfileNotFound):
        return AuthError(
            failed, reason=detail, hint="list the profiles with: aws configure list-profiles"
        )
    expired = (
        boto.SSOTokenLoadError,
        boto.UnauthorizedSSOTokenError,
        boto.TokenRetrievalError,
        boto.CredentialRetrievalError,
    )
    if isinstance(error, expired):
        return AuthError(failed, reason=detail, hint="sign in again, for example: aws sso login")
    if isinstance(error, boto.NoRegionError):
        return _no_region()
    if isinstance(error, (boto.HTTPClientError, boto.ConnectionError)):
        return AwsError(
            failed,
            reason=f"no answer: {detail}",
            hint="check the network, the Region and AWS_ENDPOINT_URL (fal-serverless local status)",
        )
    if isinstance(error, boto.WaiterError):
        return AwsError(failed, reason=detail, hint="look at the function in the Lambda console")
    return AwsError(failed, reason=detail, hint="run it again with --debug for the whole trace")


def _one_line(text: str) -> str:
    return " ".join(text.split())
