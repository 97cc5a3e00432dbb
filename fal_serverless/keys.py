"""Keys: how they are made, written, hashed and checked. Pure: entropy and time are passed in.

A key is an id, which is public, and a secret, of which only the SHA-256 is ever stored. A secret
holds 256 random bits, so that a plain hash cannot be searched and no slow one is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fal_serverless.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

Scope = Literal["ADMIN", "API"]
SCOPES: tuple[Scope, ...] = ("ADMIN", "API")
State = Literal["live", "expired", "revoked"]

SECRET_BYTES = 32
LIFE_MAX_Y = 100
NOTE_MAX = 100
"""Characters of a key's name for people."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DURATION = re.compile(r"([0-9]{1,6})([smhdwy])")
_SECONDS = {
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86_400,
    "w": 7 * 86_400,
    "y": 365 * 86_400,
}
# What an unknown id is compared with: no secret has this hash's preimage in reach.
_NOBODY = "0" * 64


@dataclass(frozen=True)
class NewKey:
    """A key just made: the only time that its secret is known.

    Attributes:
        id: a UUID.
        secret: 64 hexadecimal digits.
    """

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class KeyRecord:
    """What is stored of a key.

    Attributes:
        id: public part.
        secret_sha256: hexadecimal.
        owner: user id.
        scope: ``ADMIN`` or ``API``.
        alias: a name for people, or ``""``.
        expires_at: epoch seconds, or None for never.
        revoked: whether its owner took it back.
    """

    id: str
    secret_sha256: str = field(repr=False)
    owner: str
    scope: Scope
    alias: str = ""
    expires_at: int | None = None
    revoked: bool = False


def generate(entropy: Callable[[int], bytes] = secrets.token_bytes) -> NewKey:
    """A new key; ``entropy(n)`` gives n random bytes."""
    return NewKey(str(uuid.UUID(bytes=entropy(16), version=4)), entropy(SECRET_BYTES).hex())


def hash_secret(secret: str) -> str:
    """The SHA-256 of a secret, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def is_key_id(text: str) -> bool:
    """Whether ``text`` can be the id of a key at all (and so may be looked up)."""
    return _ID.fullmatch(text) is not None


def check(record: KeyRecord | None, secret: str, now: float) -> bool:
    """Whether ``secret`` opens the key now (epoch seconds).

    The work is the same for an unknown id, a wrong secret, and a revoked or expired key: one
    hash, one comparison in constant time.
    """
    expected = record.secret_sha256 if record else _NOBODY
    same = hmac.compare_digest(hash_secret(secret).encode(), expected.encode())
    live = record is not None and not record.revoked
    fresh = record is None or record.expires_at is None or now < record.expires_at
    return same & live & fresh


def parse_authorization(value: str) -> tuple[str, str] | None:
    """(id, secret) of an ``Authorization: Key id:secret`` header's value, else None."""
    scheme, _, rest = value.strip().partition(" ")
    key_id, colon, secret = rest.strip().partition(":")
    if scheme.lower() != "key" or not colon or not key_id or not secret:
        return None
    return key_id, secret


def check_scope(scope: str) -> Scope:
    """``scope`` itself, in capitals.

    Raises:
        UsageError: there is no such scope.
    """
    for known in SCOPES:
        if scope.upper() == known:
            return known
    raise UsageError(
        f"There is no scope {scope!r}.",
        reason="a key's scope is ADMIN or API",
        hint="use --scope API for a key that only calls functions",
    )


def check_note(text: str) -> str:
    """``text`` itself, when it can stand beside a key in a list.

    Raises:
        UsageError: it is too long, or more than one line.
    """
    if len(text) > NOTE_MAX or not (text + "x").isprintable():
        raise UsageError(
            "--alias cannot be that.",
            reason=f"it is a name for people: one line of at most {NOTE_MAX} characters",
            hint="give a short one, such as --alias ci, or leave it out",
        )
    return text


def life(text: str) -> int:
    """Seconds of a key's life, of a duration such as ``90d``.

    Raises:
        UsageError: it is no duration, or more than ``LIFE_MAX_Y`` years.
    """
    seconds = parse_duration(text)
    if seconds > LIFE_MAX_Y * _SECONDS["y"]:
        raise UsageError(
            f"A key cannot end in {text}.",
            reason=f"that is more than {LIFE_MAX_Y} years",
            hint="leave --expires out for a key that does not end by itself",
        )
    return seconds


def state(expires_at: int | None, revoked_at: int | None, now: float) -> State:
    """Whether a key opens anything now, and if not, why; times in epoch seconds."""
    if revoked_at is not None:
        return "revoked"
    return "expired" if expires_at is not None and now >= expires_at else "live"


def parse_duration(text: str) -> int:
    """Seconds of a duration such as ``90d``, ``12h``, ``30m``, ``2w`` or ``1y`` (365 days).

    Raises:
        UsageError: it is no duration, or nothing at all.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not seconds:
        raise UsageError(
            f"'{text}' is not a duration.",
            reason="a duration is a number above zero and one of s, m, h, d, w, y",
            hint="write for example 90d",
        )
    return seconds
