from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_serverless import keys
from fal_serverless.gateway import auth
from fal_serverless.gateway.auth import Credentials, decide, take
from fal_serverless.gateway.protocols import Route

NOW = 1_800_000_000.0
PAIR = ((b"x-fal-key-id", b"h"), (b"x-fal-key-secret", b"hs"))
KEY = ((b"authorization", b"Key a:as"),)
QUERY = b"fal_key_id=q&fal_key_secret=qs"


def route(mode: str = "private") -> Route:
    return Route("fal-1-f-z", "call", mode, "serve", 30, "1", "r")


def key(owner: str = "1", secret: str = "s", **changes: object) -> keys.KeyRecord:
    values = {"id": "k", "secret_sha256": keys.hash_secret(secret), "owner": owner, "scope": "API"}
    return keys.KeyRecord(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "query", "found"),
    [
        (PAIR + KEY, QUERY, ("h", "hs")),
        (KEY + PAIR, QUERY, ("h", "hs")),
        (KEY, QUERY, ("a", "as")),
        ((), QUERY, ("q", "qs")),
        (PAIR[:1], QUERY, ("q", "qs")),
        (PAIR[:1], b"fal_key_secret=x", None),
        ((), b"fal%5Fkey_id=q%2B1&fal_key_secret=a+b", ("q+1", "a b")),
        (((b"authorization", b"Key nonsense"),), b"", None),
        ((), b"", None),
    ],
)
def test_precedence(
    headers: tuple[tuple[bytes, bytes], ...], query: bytes, found: tuple[str, str] | None
) -> None:
    given, kept, rest = take(headers, query)
    assert given == (Credentials(*found) if found else None)
    assert kept == ()
    assert rest == b""


def test_everything_else_stays_byte_for_byte() -> None:
    headers = (
        (b"host", b"h"),
        (b"authorization", b"Bearer Key a:b"),
        (b"x-fal-key-id", b"1"),
        (b"accept", b"a"),
        (b"authorization", b"kEy a:b"),
        (b"accept", b"b, c"),
        (b"x-fal-key-idea", b"kept"),
    )
    query = b"b=%41&a&=&&fal_key_id=1&a=+&x=fal_key_id&fal_key_secret&FAL_KEY_ID=2&%zz=\xff&a=;"
    _, kept, rest = take(headers, query)
    assert kept == (
        (b"host", b"h"),
        (b"authorization", b"Bearer Key a:b"),
        (b"accept", b"a"),
        (b"accept", b"b, c"),
        (b"x-fal-key-idea", b"kept"),
    )
    assert rest == b"b=%41&a&=&&a=+&x=fal_key_id&FAL_KEY_ID=2&%zz=\xff&a=;"


@given(st.binary(max_size=60).filter(lambda query: b"fal_key" not in unquote_to_bytes(query)))
def test_queries_without_credentials_are_never_touched(query: bytes) -> None:
    assert take((), query)[2] == query


def test_keys_that_browsers_repeat_are_removed() -> None:
    url = b"https://h/docs?x=%41&fal_key_id=1&fal_key_secret=2#f?fal_key_id=3"
    _, kept, _ = take(((b"referer", url),), b"")
    assert kept == ((b"referer", b"https://h/docs?x=%41#f?fal_key_id=3"),)
    other = ((b"referer", b"https://h/?"),)
    assert take(other, b"")[1] == other


def test_secrets_do_not_show_in_representations() -> None:
    assert "hs" not in repr(Credentials("id", "hs"))


@pytest.mark.parametrize(
    ("mode", "record", "secret", "denial"),
    [
        ("public", None, None, None),
        ("public", key(revoked=True), "wrong", None),
        ("private", None, None, auth.NO_KEY),
        ("shared", None, None, auth.NO_KEY),
        ("private", None, "s", auth.BAD_KEY),
        ("private", key(), "wrong", auth.BAD_KEY),
        ("private", key(revoked=True), "s", auth.BAD_KEY),
        ("private", key(expires_at=1), "s", auth.BAD_KEY),
        ("private", key(owner="2", revoked=True), "s", auth.BAD_KEY),
        ("private", key(owner="2"), "wrong", auth.BAD_KEY),
        ("private", key(owner="2"), "s", auth.NOT_YOURS),
        ("shared", key(owner="2"), "s", None),
        ("shared", key(owner="2", revoked=True), "s", auth.BAD_KEY),
        ("private", key(), "s", None),
        ("whatever", key(owner="2"), "s", auth.NOT_YOURS),
        ("whatever", None, None, auth.NO_KEY),
    ],
)
def test_decisions(
    mode: str, record: keys.KeyRecord | None, secret: str | None, denial: auth.Denial | None
) -> None:
    sent = Credentials("k", secret) if secret is not None else None
    assert decide(route(mode), record, sent, NOW) == denial


def test_unknown_targets_look_the_same_with_and_without_a_key() -> None:
    assert decide(None, None, None, NOW) is auth.UNKNOWN_TARGET
    assert decide(None, key(), Credentials("k", "s"), NOW) is auth.UNKNOWN_TARGET
