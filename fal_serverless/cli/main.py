"""The entry point: global options, the groups of commands, exit codes."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fal_serverless import __version__, settings
from fal_serverless.cli import context, render
from fal_serverless.cli.command import Command
from fal_serverless.cli.misplaced import misplaced, unknown_command
from fal_serverless.errors import FalServerlessError, UsageError
from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
PREFIX = "FAL"
"""Of the environment variable that each option has: FAL_<GROUP>_<COMMAND>_<OPTION>."""
_FLAGS = ("--local", "--json", "--debug")
_HELP = {"-h", "--help"}
_COMPLETION = "_FAL_SERVERLESS_COMPLETE"
_VALUES = ("--profile", "--region", "--stack")


class Group(Frozen):
    """A group of commands; its modules are imported when one of its commands is run.

    Attributes:
        name: and ``also``, which is not shown.
        modules: of ``fal_serverless.cli``; the first one holds the group, and the names of the
            others end as their commands are called.
    """

    name: str
    help: str
    also: str = ""
    modules: tuple[str, ...] = ()


GROUPS = (
    Group(
        "function",
        "Serve functions, and look at what is served.",
        "fn",
        ("function", "logs", "prune", "retention", "schedule"),
    ),
    Group("cron", "Schedules of functions, and their runs.", "crons"),
    Group("alias", "Names that point at revisions.", "aliases"),
    Group("key", "Keys for private and shared functions.", "keys"),
    Group("secret", "Secrets that functions find in environment variables.", "secrets"),
    Group("auth", "Who you are for the stack."),
    Group("stack", "The stack in your AWS account.", modules=("stack", "stack_delete")),
    Group("local", "The embedded stack on this machine."),
    Group("usage", "What functions and keys did, and what it costs."),
    Group("doctor", "Check everything that a URL needs, and say what to do."),
)


def build(words: Sequence[str]) -> typer.Typer:
    """The command line for ``words``: only the commands that they name are imported.

    Everything together takes most of a second to import, and a list of commands needs none of it.
    """
    app = typer.Typer(
        name="fal-serverless",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": PREFIX},
        help="Give a Python function a URL in your own AWS account.",
    )
    app.callback()(main)
    for group in GROUPS:
        app.add_typer(_commands(group, group.name, words), name=group.name, help=group.help)
        if group.also:
            # The variables of options are those of the group's own name.
            same = {"auto_envvar_prefix": f"{PREFIX}_{group.name.upper()}"}
            app.add_typer(
                _commands(group, group.also, words),
                name=group.also,
                help=group.help,
                hidden=True,
                context_settings=same,
            )
    return app


def _commands(group: Group, name: str, words: Sequence[str]) -> typer.Typer:
    """The group's commands if ``words`` call it by this name; else none, which its help needs."""
    # Completion reads the words from its own variable.
    if _COMPLETION in os.environ:
        return _load(group, ())
    if name in words:
        return _load(group, words)
    empty = typer.Typer()
    empty.callback()(lambda: None)
    return empty


def _load(group: Group, words: Sequence[str]) -> typer.Typer:
    """The group's commands; of its further modules those that ``words`` name, if they name any."""
    first, *others = group.modules or (group.name,)
    found: typer.Typer = import_module(f"fal_serverless.cli.{first}").app
    commands = found.registered_commands
    named = {item.name or getattr(item.callback, "__name__", "") for item in commands}
    named |= {name.rpartition("_")[2] for name in others}
    # A list of commands has all of them, and so has the answer to an unknown one.
    everything = named.isdisjoint(words) or not _HELP.isdisjoint(words)
    for name in others:
        if everything or name.rpartition("_")[2] in words:
            import_module(f"fal_serverless.cli.{name}")
    for command in found.registered_commands:
        command.cls = Command
    return found


def _version(wanted: bool) -> None:
    if wanted:
        render.line(f"fal-serverless {__version__}")
        raise typer.Exit


# Their variables are read by the settings, which know the config file as well.
_option = partial(typer.Option, allow_from_autoenv=False)


def main(
    ctx: typer.Context,
    local: Annotated[
        bool, _option("--local", help="Use the embedded stack.  [env var: FAL_LOCAL]")
    ] = False,
    profile: Annotated[
        str, _option(help="AWS profile; 'local' is the embedded stack.  [env var: FAL_PROFILE]")
    ] = "",
    region: Annotated[str, _option(help="AWS Region.  [env var: FAL_REGION]")] = "",
    stack: Annotated[
        str, _option(help="Name of the CloudFormation stack.  [env var: FAL_STACK]")
    ] = "",
    json: Annotated[
        bool, _option("--json", help="Print one JSON document.  [env var: FAL_JSON]")
    ] = False,
    debug: Annotated[
        bool, _option("--debug", help="Print tracebacks.  [env var: FAL_DEBUG]")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, _option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Global options; each has a FAL_… environment variable, and may stand anywhere."""
    flags = {
        "local": local,
        "profile": profile,
        "region": region,
        "stack": stack,
        "json": json,
        "debug": debug,
    }
    ctx.obj = settings.load(flags, os.environ)


def hoist(arguments: Sequence[str]) -> list[str]:
    """Global options moved to the front, so that they may stand anywhere before ``--``. Pure."""
    front: list[str] = []
    rest: list[str] = []
    queue = list(arguments)
    while queue:
        word = queue.pop(0)
        if word == "--":
            rest += [word, *queue]
            break
        if word in _FLAGS or word.startswith(tuple(f"{name}=" for name in _VALUES)):
            front.append(word)
        elif word in _VALUES and queue:
            front += [word, queue.pop(0)]
        else:
            rest.append(word)
    return front + rest


def execute(arguments: Sequence[str]) -> int:
    """Run one command; its exit status."""
    words = hoist(arguments)
    debug = "--debug" in words or settings.is_on(os.environ.get("FAL_DEBUG", ""))
    as_json = "--json" in words or settings.is_on(os.environ.get("FAL_JSON", ""))
    try:
        result: Any = build(words)(words, standalone_mode=False, prog_name="fal-serverless")
        if result == INTERRUPTED:
            # Typer makes this status of Ctrl-C in a command, and says nothing.
            raise KeyboardInterrupt
    except FalServerlessError as failure:
        if debug:
            traceback.print_exception(failure)
        elif failure.__cause__ is not None and failure.code == "discovery":
            context.show_own_traceback(failure.__cause__)
        render.error(failure, as_json=as_json)
        return failure.exit_code
    except (KeyboardInterrupt, typer.Abort):
        # What is followed ends so, and a document more would be taken for an event.
        _tell_interrupted(as_json=as_json and "--follow" not in words and "-f" not in words)
        return INTERRUPTED
    except Exception as failure:
        wrong = _unknown(failure) or context.usage_error(failure)
        if wrong is None:
            raise
        render.error(wrong, as_json=as_json)
        return UsageError.exit_code
    return result if isinstance(result, int) else 0


def _unknown(failure: Exception) -> UsageError | None:
    """The error for a word that is no command where it stands, or None for another failure."""
    word = unknown_command(failure)
    if not word:
        return None
    whole = typer.main.get_command(build([group.name for group in GROUPS]))
    commands = getattr(whole, "commands", {})
    groups = {group.name: list(getattr(commands[group.name], "commands", {})) for group in GROUPS}
    path = getattr(getattr(failure, "ctx", None), "command_path", "fal-serverless")
    inside = path.partition(" ")[2]
    names = {group.also: group.name for group in GROUPS if group.also}
    return misplaced(word, path, groups, names.get(inside, inside))


def _tell_interrupted(*, as_json: bool) -> None:
    if as_json:
        described = {
            "code": "interrupted",
            "message": "Interrupted.",
            "reason": "somebody ended the command",
            "hint": "URLs that worked still do; run it again, which finishes what it began",
        }
        render.document({"error": described})
        return
    render.note("Interrupted; URLs that worked still do.")


def run() -> None:
    """The console script.

    What a command makes lives until it ends: collecting garbage at Python's own pace would look at
    all of it again and again, a fifth of the time of a command that imports botocore.
    """
    gc.set_threshold(50_000, 20, 100)
    status = execute(sys.argv[1:])
    # Python's end need not look at it either.
    gc.freeze()
    sys.exit(status)
