"""Where a decorated function runs when it is called: plain values, no connection is made here."""

from __future__ import annotations

from fal_serverless.frozen import Frozen


class FalServerlessKeyCredentials(Frozen, kw_only=True):
    """A key, as ``fal-serverless key generate`` prints it."""

    key_id: str
    key_secret: str

    def __repr__(self) -> str:
        return f"FalServerlessKeyCredentials(key_id={self.key_id!r}, key_secret=…)"


class LambdaHost(Frozen):
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


class LocalHost(Frozen):
    """This machine: the function runs in a fresh virtual environment."""
