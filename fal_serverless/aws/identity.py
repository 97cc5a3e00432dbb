"""The caller's AWS identity, from STS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fal_serverless.aws.session import translated
from fal_serverless.users import principal

if TYPE_CHECKING:
    from fal_serverless.aws.session import Session


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who calls AWS.

    Attributes:
        principal: ARN without the session, see ``users.principal``.
    """

    account: str
    arn: str
    principal: str


def caller(session: Session) -> Identity:
    """Ask AWS who the credentials belong to.

    Raises:
        AuthError: there are none, or they are not accepted.
    """
    client = session.client("sts")
    with translated("Checking the AWS credentials"):
        found = client.get_caller_identity()
    return Identity(
        account=str(found["Account"]), arn=str(found["Arn"]), principal=principal(found["Arn"])
    )
