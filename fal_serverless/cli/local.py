"""``local start|stop|status|reset``: the embedded stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless.cli import render
from fal_serverless.cli.context import settings_of
from fal_serverless.local.embedded import Embedded, Status

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(no_args_is_help=True)


@app.command()
def start(
    ctx: typer.Context,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the gateway; 0: any.")
    ] = None,
    emulator_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the emulator; 0: any.")
    ] = None,
    enforce_iam: Annotated[
        bool, typer.Option("--enforce-iam", help="Let the emulator enforce IAM policies.")
    ] = False,
) -> None:
    """Start the emulator, deploy the template on it, start the gateway."""
    embedded = _embedded(ctx, tell=lambda text: render.note(f"  {text}"))
    _show(ctx, embedded.start(port=port, emulator_port=emulator_port, auth=enforce_iam))


@app.command()
def stop(ctx: typer.Context) -> None:
    """Stop it; what was served is kept."""
    _show(ctx, _embedded(ctx).stop())


@app.command()
def status(ctx: typer.Context) -> None:
    """Say whether it runs."""
    _show(ctx, _embedded(ctx).status())


@app.command()
def reset(ctx: typer.Context) -> None:
    """Stop it, and forget everything that was served on it."""
    _show(ctx, _embedded(ctx).reset())


def _embedded(ctx: typer.Context, tell: Callable[[str], None] = lambda _: None) -> Embedded:
    return Embedded(settings_of(ctx).home, tell)


def _show(ctx: typer.Context, found: Status) -> None:
    if settings_of(ctx).json:
        render.document({**vars(found), "problems": list(found.problems)})
        return
    render.line(f"The embedded stack is {found.state}.")
    for problem in found.problems:
        render.line(f"  {problem}")
    if found.state == "running":
        render.line(f"Gateway:  {found.gateway_url}")
        render.line(f"Emulator: {found.endpoint_url}")
        render.line("Use it with --local, or FAL_PROFILE=local.")
