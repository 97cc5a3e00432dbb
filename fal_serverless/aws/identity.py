"""The caller's AWS identity, from STS."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from fal_serverless.aws.session import translated
from fal_serverless.frozen import Frozen
from fal_serverless.users import principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from fal_serverless.aws.session import Session


class Identity(Frozen, kw_only=True):
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


def clock_skew(session: Session, now: Callable[[], float] = time.time) -> float | None:
    """Seconds that this machine's clock is ahead of AWS's, or None when AWS names no time.

    The answer is as exact as a request takes, and as the whole seconds of a ``Date`` header.

    Raises:
        AuthError: the credentials are missing or not accepted, as with a clock far off.
    """
    client = session.client("sts")
    with translated("Checking the AWS credentials"):
        found = client.get_caller_identity()
    told = found["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    try:
        return now() - parsedate_to_datetime(told).timestamp() if told else None
    except ValueError:
        return None
