"""Who a caller is: an AWS principal in, candidates for a numeric user id out. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

USER_ID_DIGITS = 7
"""Short enough for aliases of 55 characters in one DNS label."""
CANDIDATES_MAX = 50

_ASSUMED = re.compile(r"arn:(aws[\w-]*):sts::(\d+):assumed-role/(.+)/([^/]+)")


def principal(arn: str) -> str:
    """What stays the same for one person or role, whatever session it is in.

    The sessions of a role are one principal; the roles of IAM Identity Center are shared by many
    people, whose session name is their own, so that stays a part of it.
    """
    found = _ASSUMED.fullmatch(arn)
    if found is None:
        return arn
    partition, account, role, session = found.groups()
    base = f"arn:{partition}:iam::{account}:role/{role}"
    return f"{base}/{session}" if role.startswith("AWSReservedSSO_") else base


def user_id_candidates(who: str) -> Iterator[str]:
    """User ids for a principal, best first: digits without a leading zero."""
    low = 10 ** (USER_ID_DIGITS - 1)
    for attempt in range(CANDIDATES_MAX):
        digest = hashlib.sha256(f"{who}\n{attempt}".encode()).digest()
        yield str(low + int.from_bytes(digest[:8], "big") % (9 * low))
