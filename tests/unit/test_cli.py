"""The command line, as far as it needs no AWS."""

from __future__ import annotations

import json

import pytest
import typer

from fal_serverless import settings
from fal_serverless.cli.main import GROUPS, INTERRUPTED, build, execute, hoist
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


def test_a_cron_expression_without_quotes(capsys):
    assert execute(["function", "schedule", "0", "9", "a.py", "b.py", "1-5", "m.py", "f"]) == 2
    assert "in quotes, such as '0 9 * * 1-5'" in capsys.readouterr().err


def test_what_is_missing_is_named_with_what_it_is(capsys):
    assert execute(["key", "generate"]) == 2
    assert "Missing option '--scope': ADMIN or API." in capsys.readouterr().err
    assert execute(["function", "serve", "model.py"]) == 2
    assert "Missing argument 'FUNC': Decorated function" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["function", "serve"], "function serve [OPTIONS] FILE FUNC"),
        (["function", "schedule"], "function schedule [OPTIONS] CRON FILE FUNC"),
        (["alias", "split"], "alias split [OPTIONS] NAME [SHARE]"),
        (["keys", "revoke"], "keys revoke [OPTIONS] KEY_ID"),
    ],
)
def test_help_names_arguments_as_the_documentation_does(words, usage, capsys):
    assert execute([*words, "--help"]) == 0
    assert capsys.readouterr().out.strip().startswith(f"Usage: fal-serverless {usage}")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["serve", "model.py", "f"], "use: fal-serverless function serve"),
        (["rollback", "a"], "use: fal-serverless alias rollback"),
        (["function", "rollback", "a"], "use: fal-serverless alias rollback"),
        (["fn", "list2"], "use: fal-serverless function list"),
        (["fn", "generate"], "use: fal-serverless key generate"),
        (["server", "model.py", "f"], "use: fal-serverless function serve"),
        (["function", "serv"], "use: fal-serverless function serve"),
        (["functions", "list"], "use: fal-serverless function"),
        (["deploy"], "use: fal-serverless stack deploy"),
        (
            ["logs"],
            "use one of: fal-serverless function logs, fal-serverless cron logs",
        ),
        (["lambda"], "see: fal-serverless --help"),
        (["auth", "whoami"], "see: fal-serverless auth --help"),
        (["doctor", "myself"], "see: fal-serverless doctor --help"),
    ],
)
def test_a_command_at_the_wrong_place_is_found(words, hint, capsys):
    assert execute(words) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[2] == f"  Next: {hint}"
    assert all(len(line) < 300 for line in said)


def test_what_there_is_instead_is_listed(capsys):
    assert execute(["list"]) == 2
    said = capsys.readouterr().err
    assert "fal-serverless function list" in said
    assert "fal-serverless key list" in said
    assert execute(["auth", "whoami"]) == 2
    assert "it has: login, hello, logout" in capsys.readouterr().err


def test_options_of_usage_are_none_of_its_commands(capsys):
    assert execute(["usage", "--since", "3d", "workers"]) == 2
    assert "--since stands before 'workers'" in capsys.readouterr().err
    assert execute(["usage", "--since", "never"]) == 2
    assert execute(["usage", "workers", "--since", "never"]) == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["key", "generate", "--scope", "API", "--expires", ""], "--expires"),
        (["alias", "rollback", "a", "--to", ""], "--to"),
        (["alias", "split", "a", "b=10", "--abort-on-errors", ""], "--abort-on-errors"),
        (["function", "prune", "", "--keep", "1"], "TARGET"),
        (["function", "prune", "--keep", "1", "--older-than", ""], "--older-than"),
    ],
)
def test_what_is_empty_is_not_taken_for_left_out(words, named, capsys):
    assert execute(words) == 2
    assert f"Error: {named} is empty." in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--keep", "--keep-days"])
@pytest.mark.parametrize("number", ["0", "1000001", "9" * 40])
def test_rules_keep_a_number_that_can_be_written_down(option, number, capsys):
    for words in (["retention", "predict"], ["serve", "file.py", "predict"]):
        assert execute(["function", *words, option, number]) == 2
        assert f"Invalid value for '{option}'" in capsys.readouterr().err


def test_help_names_the_variables_of_global_options(capsys):
    assert execute(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for name in ("local", "profile", "region", "stack", "json", "debug"):
        assert f"[env var: FAL_{name.upper()}]" in said


def test_an_interrupted_command_says_so(tmp_path, capsys):
    file = tmp_path / "model.py"
    file.write_text("raise KeyboardInterrupt\n")
    status = execute(["--local", "function", "serve", str(file), "f"])
    assert (status, capsys.readouterr().err) == (130, "Interrupted; URLs that worked still do.\n")


def test_an_interruption_is_a_document_too(tmp_path, capsys):
    (tmp_path / "model.py").write_text("raise KeyboardInterrupt\n")
    words = ["function", "serve", str(tmp_path / "model.py"), "predict"]
    assert execute(words) == INTERRUPTED
    assert "Interrupted" in capsys.readouterr().err
    assert execute([*words, "--json"]) == INTERRUPTED
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "interrupted"


def test_a_file_that_cannot_be_parsed_shows_its_line_and_nothing_of_ours(tmp_path, capsys):
    (tmp_path / "model.py").write_text("def broken(:\n    pass\n")
    assert execute(["function", "serve", str(tmp_path / "model.py"), "broken"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f'  File "{tmp_path}/model.py", line 1\n    def broken(:')
    assert "fal_serverless" not in said
    assert "SyntaxError" in said


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


@pytest.mark.parametrize("name", ["bad_name", "1st", "a" * 129, "bäd", "two words"])
def test_what_no_stack_is_called_is_refused_before_anything_is_done(name, tmp_path, capsys):
    environ = {"FAL_HOME": str(tmp_path)}
    with pytest.raises(UsageError, match="name of a stack"):
        settings.load({"stack": name}, environ)
    with pytest.raises(UsageError, match="name of a stack"):
        settings.load({}, {**environ, "FAL_STACK": name})
    assert execute(["stack", "deploy", "--stack", name]) == 2
    assert "FAL_STACK" in capsys.readouterr().err


def test_a_stack_may_be_called(tmp_path):
    for name in ("a", "Mine-2", "a" * 128):
        assert settings.load({"stack": name}, {"FAL_HOME": str(tmp_path)}).stack == name


def options(command, context):
    """All options below a command, each with the context that it is read in."""
    for name, inner in getattr(command, "commands", {}).items():
        below = type(context)(inner, parent=context, info_name=name, **inner.context_settings)
        yield from options(inner, below)
        for parameter in inner.params:
            if parameter.param_type_name == "option":
                yield parameter, below


def test_every_option_has_a_variable_of_its_own(monkeypatch):
    words = [group.name for group in GROUPS]
    root = typer.main.get_command(build(words))
    context = root.make_context("fal-serverless", ["auth", "hello"])
    found = list(options(root, context))
    assert len(found) > 40
    shown = set()
    for option, below in found:
        path = below.command_path.split()[1:]
        aliased = {group.also: group.name for group in GROUPS if group.also}
        path[0] = aliased.get(path[0], path[0])
        word = max(option.opts, key=len).lstrip("-")
        variable = "_".join(["FAL", *path, word]).upper().replace("-", "_")
        monkeypatch.setenv(variable, "1")
        assert option.value_from_envvar(below) is not None, variable
        monkeypatch.delenv(variable)
        assert option.value_from_envvar(below) is None, variable
        shown.add(variable)
    assert {"FAL_FUNCTION_SERVE_ALIAS", "FAL_KEY_GENERATE_EXPIRES", "FAL_DOCTOR_FIX"} <= shown


def test_a_variable_stands_for_an_option_also_by_the_groups_other_name(monkeypatch, capsys):
    monkeypatch.setenv("FAL_ALIAS_SPLIT_STOP", "1")
    for group in ("alias", "aliases"):
        assert execute([group, "split", "name", "x=5"]) == 2
        assert "begun or stopped" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["a", "hush-1"], ["--hush-1"]])
def test_what_is_not_understood_of_a_secret_is_not_repeated(wrong, capsys):
    assert execute(["secret", "set", "NAME", *wrong]) == 2
    said = capsys.readouterr().err
    assert "hush" not in said
    assert "quote a VALUE" in said


def test_debug_adds_the_traceback_and_keeps_the_rest(capsys):
    assert execute(["--debug", "--json", "key", "generate", "--scope", "NO"]) == 2
    said = capsys.readouterr()
    assert "Traceback" in said.err
    assert '"code": "usage"' in said.out


def test_users():
    role = "arn:aws:sts::123456789012:assumed-role/deploy/session-1"
    assert principal(role) == "arn:aws:iam::123456789012:role/deploy"
    person = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Dev_1/ann@example.com"
    assert principal(person).endswith("/ann@example.com")
    first = list(user_id_candidates("a"))
    assert all(len(item) == 7 and item.isdigit() and item[0] != "0" for item in first)
    assert first[0] != next(user_id_candidates("b"))
