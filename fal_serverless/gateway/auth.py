"""Credentials out of a request, and whether they open a route. Pure.

Credentials are removed wherever they stand, also those that decided nothing, and everything else
stays byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from fal_serverless import keys

if TYPE_CHECKING:
    from fal_serverless.gateway.protocols import Headers, Route

HEADER_ID = b"x-fal-key-id"
HEADER_SECRET = b"x-fal-key-secret"
QUERY_ID = b"fal_key_id"
QUERY_SECRET = b"fal_key_secret"


@dataclass(frozen=True)
class Credentials:
    """A key as a caller sent it."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Denial:
    """Why a request is not let through; the same value for all that must look the same."""

    status: int
    detail: str
    challenge: bool = False


UNKNOWN_TARGET = Denial(404, "No function is served at this address.")
NO_KEY = Denial(
    401,
    "This function needs a key: send the headers X-Fal-Key-Id and X-Fal-Key-Secret, "
    "or 'Authorization: Key <id>:<secret>'.",
    challenge=True,
)
BAD_KEY = Denial(401, "The key is not valid.", challenge=True)
NOT_YOURS = Denial(403, "The key belongs to another user, and this function is private.")
API_NEEDS_KEY = Denial(
    401,
    "The management API needs a key of scope ADMIN: send the headers X-Fal-Key-Id and "
    "X-Fal-Key-Secret, or 'Authorization: Key <id>:<secret>'.",
    challenge=True,
)
API_NEEDS_ADMIN = Denial(
    403, "The key's scope is API, which calls functions only; the management API needs ADMIN."
)


def take(headers: Headers, query: bytes) -> tuple[Credentials | None, Headers, bytes]:
    """The credentials that count, and headers and query without any.

    Precedence: the header pair, ``Authorization: Key``, the query pair. Half a pair counts as
    none.
    """
    pair: dict[bytes, str] = {}
    authorization: tuple[str, str] | None = None
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name in (HEADER_ID, HEADER_SECRET):
            pair.setdefault(name, value.decode("latin-1").strip())
        elif name == b"authorization" and _is_key(value):
            authorization = authorization or keys.parse_authorization(value.decode("latin-1"))
        elif name == b"referer" and b"?" in value:
            # A browser repeats the address of the page, and with it a key in its query.
            kept.append((name, _clean_url(value)))
        else:
            kept.append((name, value))
    queried, query = _take_query(query)
    found = (
        _pair(pair.get(HEADER_ID), pair.get(HEADER_SECRET))
        or authorization
        or _pair(queried.get(QUERY_ID), queried.get(QUERY_SECRET))
    )
    return (Credentials(*found) if found else None), tuple(kept), query


def decide(
    route: Route | None, record: keys.KeyRecord | None, given: Credentials | None, now: float
) -> Denial | None:
    """Why the request may not pass, or None when it may.

    Args:
        record: the stored key of the id that was given, if there is one.
        now: epoch seconds.
    """
    if route is None:
        return UNKNOWN_TARGET
    if route.auth == "public":
        return None
    if given is None:
        return NO_KEY
    if not keys.check(record, given.secret, now) or record is None:
        return BAD_KEY
    if route.auth != "shared" and record.owner != route.owner:
        return NOT_YOURS
    return None


def decide_management(
    record: keys.KeyRecord | None, given: Credentials | None, now: float
) -> Denial | None:
    """Why a caller may not use the management API, or None when they may; as ``decide``."""
    if given is None:
        return API_NEEDS_KEY
    if not keys.check(record, given.secret, now) or record is None:
        return BAD_KEY
    return None if record.scope == "ADMIN" else API_NEEDS_ADMIN


def _pair(key_id: str | None, secret: str | None) -> tuple[str, str] | None:
    return (key_id, secret) if key_id and secret else None


def _is_key(value: bytes) -> bool:
    """Whether an ``Authorization`` is ours: also a malformed one may hold a secret."""
    return value.strip().partition(b" ")[0].lower() == b"key"


def _take_query(query: bytes) -> tuple[dict[bytes, str], bytes]:
    if b"fal" not in query and b"%" not in query:
        return {}, query
    found: dict[bytes, str] = {}
    kept: list[bytes] = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        plain = _plain(name)
        if plain in (QUERY_ID, QUERY_SECRET):
            found.setdefault(plain, _plain(value).decode("latin-1"))
        else:
            kept.append(part)
    return found, b"&".join(kept)


def _plain(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _clean_url(url: bytes) -> bytes:
    address, _, rest = url.partition(b"?")
    query, hash_sign, fragment = rest.partition(b"#")
    found, cleaned = _take_query(query)
    if not found:
        return url
    return address + (b"?" + cleaned if cleaned else b"") + hash_sign + fragment
