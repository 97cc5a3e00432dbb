"""Where a decorated function runs when it is called: plain values, no connection is made here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FalServerlessKeyCredentials:
    """A key, as ``fal-serverless key generate`` prints it."""

    key_id: str
    key_secret: str

    def __repr__(self) -> str:
        return f"FalServerlessKeyCredentials(key_id={self.key_id!r}, key_secret=…)"


@dataclass(frozen=True)
class LambdaHost:
    """AWS Lambda, in the caller's own account.

    Attributes:
        url: accepted for programs written for the original; addresses come from the stack.
        stack: name of the CloudFormation stack, or None for the configured one.
        region: AWS region, or None for the configured one.
        profile: AWS profile, or None for the configured one.
        credentials: a key for calls over HTTPS; publishing uses the AWS credentials.
    """

    url: str | None = None
    stack: str | None = None
    region: str | None = None
    profile: str | None = None
    credentials: FalServerlessKeyCredentials | None = None


FalServerlessHost = LambdaHost


@dataclass(frozen=True)
class LocalHost:
    """This machine: the function runs in a fresh virtual environment."""
