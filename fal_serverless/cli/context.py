"""What commands share: the settings, the wired parts, and click's errors as ours."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

import typer  # noqa: TC002 - typer reads the annotations of callbacks

from fal_serverless.cli.render import Steps
from fal_serverless.errors import FalServerlessError, UsageError

if TYPE_CHECKING:
    from fal_serverless import workspace
    from fal_serverless.settings import Settings

_CONFIDENTIAL = (" secret set", " secrets set")


def settings_of(ctx: typer.Context) -> Settings:
    """The settings of this run."""
    found: Settings = ctx.obj
    return found


def prepare_to_connect() -> None:
    """Import what talks to AWS before a user's file, beside which others may have such names."""
    from fal_serverless import workspace  # noqa: F401


def connect(ctx: typer.Context) -> workspace.Workspace:
    """The parts, wired for the settings of this run."""
    from fal_serverless import workspace

    return workspace.connect(settings_of(ctx), Steps())


def filled(ctx: typer.Context, param: typer.CallbackParam, value: str) -> str:
    """A callback for what means something else when it is left out: it may not be empty.

    A script whose variable is unset would make a key that never ends, or delete of everything.

    Raises:
        UsageError: it was given, and is empty.
    """
    found = ctx.get_parameter_source(param.name or "")
    if value or found is None or found.name != "COMMANDLINE":
        return value
    name = param.opts[0] if param.param_type_name == "option" else (param.name or "").upper()
    raise UsageError(
        f"{name} is empty.",
        reason="'' stands in its place, as where a shell's variable is not set",
        hint=f"give a value, or leave it out; see: {ctx.command_path} --help",
    )


def usage_error(error: Exception) -> FalServerlessError | None:
    """The error of ours for a command line that click could not read, else None."""
    format_message = getattr(error, "format_message", None)
    if format_message is None or not hasattr(error, "exit_code"):
        return None
    command = getattr(getattr(error, "ctx", None), "command_path", "fal-serverless")
    if type(error).__name__ == "NoArgsIsHelpError":
        return UsageError(
            f"'{command}' needs a command.",
            reason="none was given",
            hint=f"see: {command} --help",
        )
    reason = " ".join(str(format_message()).split())
    missing = getattr(error, "param", None) if reason.startswith("Missing ") else None
    if missing is not None and missing.help:
        reason = f"{reason.rstrip('.')}: {missing.help}"
    if command.endswith(_CONFIDENTIAL):
        # What click could not place may be a part of the value.
        reason = "it takes a NAME and perhaps one VALUE; quote a VALUE with spaces"
    hint = f"see: {command} --help"
    if command.endswith(" schedule") and "extra argument" in reason:
        # The shell gave it in words, and the files' names for each asterisk.
        reason = "there are more words than CRON, FILE and FUNC"
        hint = "write the expression in quotes, such as '0 9 * * 1-5'"
    return UsageError("The command line cannot be understood.", reason=reason, hint=hint)


def show_own_traceback(error: BaseException) -> None:
    """The traceback of the user's own file, without our frames above it; a file that cannot be
    parsed has none.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        f for f in frames if "fal_serverless" not in f.filename and "importlib" not in f.filename
    ]
    if own:
        sys.stderr.write("Traceback (most recent call last):\n")
        sys.stderr.write("".join(traceback.format_list(own)))
    sys.stderr.write("".join(traceback.format_exception_only(type(error), error)))
