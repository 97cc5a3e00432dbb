from __future__ import annotations

import hashlib
import uuid

import pytest

from fal_serverless import keys
from fal_serverless.errors import UsageError

NOW = 1_800_000_000.0


def record(secret: str = "s3cret", **changes: object) -> keys.KeyRecord:
    values = {"id": "k1", "secret_sha256": keys.hash_secret(secret), "owner": "1", "scope": "API"}
    return keys.KeyRecord(**{**values, **changes})  # type: ignore[arg-type]


def test_generated_keys_have_a_uuid_and_a_secret_of_256_bits() -> None:
    key = keys.generate()
    assert uuid.UUID(key.id).version == 4
    assert len(bytes.fromhex(key.secret)) == 32
    assert keys.is_key_id(key.id)
    assert keys.generate() != key


@pytest.mark.parametrize("text", ["0d", "-1d", "soon", "1.5d", "101y", "999999y", "36501d"])
def test_lives_that_no_key_has(text: str) -> None:
    with pytest.raises(UsageError):
        keys.life(text)


def test_lives_and_states_of_keys() -> None:
    assert keys.life("90d") == 90 * 86_400
    assert keys.life("100y") == keys.life("36500d")
    assert keys.state(None, None, NOW) == "live"
    assert keys.state(int(NOW) + 1, None, NOW) == "live"
    assert keys.state(int(NOW), None, NOW) == "expired"
    assert keys.state(int(NOW), int(NOW), NOW) == "revoked"


def test_entropy_is_passed_in() -> None:
    made = keys.generate(lambda size: b"\x01" * size)
    assert made.secret == "01" * 32
    assert made == keys.generate(lambda size: b"\x01" * size)


def test_secrets_do_not_show_in_representations() -> None:
    key = keys.generate()
    assert key.secret not in repr(key)
    assert keys.hash_secret("s3cret") not in repr(record())


def test_hash_is_sha256_in_hexadecimal() -> None:
    assert keys.hash_secret("abc") == hashlib.sha256(b"abc").hexdigest()
    assert len(keys.hash_secret("ünïcode \udcff")) == 64


@pytest.mark.parametrize(
    ("stored", "secret", "passes"),
    [
        (record(), "s3cret", True),
        (record(), "s3cret ", False),
        (record(), "", False),
        (record(revoked=True), "s3cret", False),
        (record(expires_at=int(NOW) + 1), "s3cret", True),
        (record(expires_at=int(NOW)), "s3cret", False),
        (record(secret_sha256=""), "s3cret", False),
        (None, "s3cret", False),
    ],
)
def test_check(stored: keys.KeyRecord | None, secret: str, passes: bool) -> None:
    assert keys.check(stored, secret, NOW) is passes


@pytest.mark.parametrize(
    ("value", "pair"),
    [
        ("Key a:b", ("a", "b")),
        ("key  a:b:c ", ("a", "b:c")),
        ("Key a", None),
        ("Key :b", None),
        ("Key a:", None),
        ("Bearer a:b", None),
        ("Keya:b", None),
        ("", None),
    ],
)
def test_parse_authorization(value: str, pair: tuple[str, str] | None) -> None:
    assert keys.parse_authorization(value) == pair


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90d", 7_776_000),
        ("12h", 43_200),
        ("30m", 1800),
        ("45s", 45),
        ("2W", 1_209_600),
        ("1y", 31_536_000),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    assert keys.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "0d", "1.5d", "90 days", "1d2h", "٣d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        keys.parse_duration(text)
    assert "90d" in caught.value.hint


@pytest.mark.parametrize("text", ["a" * 101, "two\nlines", "bell\a"])
def test_what_cannot_stand_beside_a_key(text: str) -> None:
    with pytest.raises(UsageError, match="--alias"):
        keys.check_note(text)


@pytest.mark.parametrize("text", ["", "CI of Ünal's team", "a" * 100])
def test_what_can(text: str) -> None:
    assert keys.check_note(text) == text


def test_scopes() -> None:
    assert keys.check_scope("api") == "API"
    with pytest.raises(UsageError) as caught:
        keys.check_scope("ROOT")
    assert "ADMIN" in caught.value.reason


@pytest.mark.parametrize("text", ["", "a" * 65, "a b", "a#b", "é", "a\n"])
def test_what_is_no_key_id(text: str) -> None:
    assert not keys.is_key_id(text)
