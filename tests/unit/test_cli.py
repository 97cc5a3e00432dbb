"""The command line, as far as it needs no AWS."""

from __future__ import annotations

import pytest

from fal_serverless import settings
from fal_serverless.cli.main import execute, hoist
from fal_serverless.errors import UsageError
from fal_serverless.users import principal, user_id_candidates


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["key", "list", "--json"], ["--json", "key", "list"]),
        (["fn", "list", "--stack", "s", "--local"], ["--stack", "s", "--local", "fn", "list"]),
        (["fn", "list", "--stack=s"], ["--stack=s", "fn", "list"]),
        (["x", "--", "--json"], ["x", "--", "--json"]),
    ],
)
def test_global_options_may_stand_anywhere(given, expected):
    assert hoist(given) == expected


def test_version(capsys):
    assert execute(["--version"]) == 0
    assert capsys.readouterr().out.startswith("fal-serverless ")


def test_usage_errors_have_three_lines(capsys):
    assert execute(["key", "generate"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.strip().partition(":")[0] for line in lines] == ["Error", "Why", "Next"]


def test_settings(tmp_path):
    (tmp_path / "config.toml").write_text('region = "eu-west-1"\nstack = "file"\n')
    environ = {"FAL_HOME": str(tmp_path), "FAL_STACK": "variable", "FAL_JSON": "1"}
    found = settings.load({"stack": "flag"}, environ)
    assert (found.region, found.stack, found.json) == ("eu-west-1", "flag", True)
    assert settings.load({}, environ).stack == "variable"
    assert settings.load({"profile": "local"}, environ).local
    with pytest.raises(UsageError, match="FAL_JSON"):
        settings.load({}, {**environ, "FAL_JSON": "maybe"})
    (tmp_path / "config.toml").write_text("regoin = 1\n")
    with pytest.raises(UsageError, match="regoin"):
        settings.load({}, environ)


def test_users():
    role = "arn:aws:sts::123456789012:assumed-role/deploy/session-1"
    assert principal(role) == "arn:aws:iam::123456789012:role/deploy"
    person = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Dev_1/ann@example.com"
    assert principal(person).endswith("/ann@example.com")
    first = list(user_id_candidates("a"))
    assert all(len(item) == 7 and item.isdigit() and item[0] != "0" for item in first)
    assert first[0] != next(user_id_candidates("b"))
