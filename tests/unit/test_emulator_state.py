"""What the embedded emulator keeps, when it starts at another port than before."""

from __future__ import annotations

import pytest

from fal_serverless.local.emulator import readdressed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            b"'http://localhost:4566/000000000000/fal-serverless-Queue-BD1B'",
            b"'http://localhost:5001/000000000000/fal-serverless-Queue-BD1B'",
        ),
        (
            b'"http://localhost:4566/_ministack/lambda-layers/000000000000/fal-a"',
            b'"http://localhost:5001/_ministack/lambda-layers/000000000000/fal-a"',
        ),
        (
            b'"http://c09bccd1.execute-api.localhost:4566"',
            b'"http://c09bccd1.execute-api.localhost:5001"',
        ),
    ],
)
def test_its_own_addresses_are_at_the_port_of_today(before: bytes, after: bytes):
    assert readdressed(before, 5001) == after
    assert readdressed(after, 5001) == after


@pytest.mark.parametrize(
    "kept",
    [
        b'{"DATABASE": "http://localhost:4566/tables"}',
        b'{"QUEUE": "http://localhost:9324/000000000000/mine"}',
        b'{"QUEUE": "http://example.com:4566/000000000000/fal-serverless-Queue"}',
    ],
)
def test_addresses_of_users_stay(kept: bytes):
    assert readdressed(kept, 5001) == kept
