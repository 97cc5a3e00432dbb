"""Names: aliases, targets and Lambda function names."""

from __future__ import annotations

import pytest

from fal_serverless.errors import SpecError, UsageError
from fal_serverless.names import (
    LAMBDA_NAME_MAX,
    check_alias,
    is_revision_id,
    lambda_function_name,
    parse_target,
)

REVISION = "21847a72-93e6-4227-ae6f-56bf3a90142d"


@pytest.mark.parametrize("alias", ["a", "call", "my-model-2", "0", "a" * 55])
def test_good_aliases_are_kept(alias: str) -> None:
    assert check_alias(alias, "1714827") == alias


@pytest.mark.parametrize(
    ("alias", "reason", "hint"),
    [
        ("", "empty", "--alias"),
        ("call_text", "a-z, 0-9", "'call-text'"),
        ("-a", "begins and ends", "'a'"),
        ("Ä", "a-z", "'predict'"),
        (REVISION, "revision id", "UUID"),
        ("a" * 56, "room for 55", "--alias " + "a" * 55),
    ],
)
def test_bad_aliases_say_why_and_what_to_do(alias: str, reason: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_alias(alias, "1714827")
    assert reason in caught.value.reason
    assert hint in caught.value.hint


def test_target_is_split_at_the_first_hyphen() -> None:
    assert parse_target("123-my-model") == ("123", "my-model")
    assert parse_target(f"123-{REVISION}") == ("123", REVISION)
    assert parse_target("123-CALL") == ("123", "call")


@pytest.mark.parametrize(
    "label", ["", "123", "abc-call", "123-", "-call", "1-" + "a" * 62, "1-a_b"]
)
def test_what_is_no_target(label: str) -> None:
    assert parse_target(label) is None


def test_revision_ids_are_lower_case_uuids() -> None:
    assert is_revision_id(REVISION)
    assert not is_revision_id(REVISION.upper())


def test_function_names_fit_and_do_not_collide() -> None:
    assert lambda_function_name("1714827", "call_text", "layer") == "fal-1714827-call_text-z"
    assert lambda_function_name("1714827", "call_text", "image") == "fal-1714827-call_text-i"
    assert lambda_function_name("1", "Call", "none") != lambda_function_name("1", "call", "none")
    long_a = lambda_function_name("1714827", "a" * 80, "layer")
    long_b = lambda_function_name("1714827", "a" * 81, "layer")
    assert len(long_a) <= LAMBDA_NAME_MAX
    assert long_a != long_b


def test_a_user_id_that_leaves_no_room() -> None:
    with pytest.raises(SpecError, match="too long"):
        lambda_function_name("1" * 60, "f", "layer")
