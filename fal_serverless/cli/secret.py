"""``secret set|list|delete``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of
from fal_serverless.values import check_secret_name

app = typer.Typer(no_args_is_help=True)


@app.command("set")
def set_(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the environment variable.")],
    value: Annotated[
        str | None, typer.Argument(help="The value; better left out, and typed or piped in.")
    ] = None,
) -> None:
    """Store a secret, or give it a new value; new environments of functions read it then."""
    check_secret_name(name)
    given = value if value is not None else _read(name)
    space = connect(ctx)
    version = space.secrets.set(name, given)
    if settings_of(ctx).json:
        render.document({"name": name, "version": version})
        return
    render.line(f"Stored secret '{name}' (version {version}).")


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List your secrets, without their values."""
    space = connect(ctx)
    rows = [
        {
            "name": item.name,
            "version": item.version,
            "updated_at": item.updated_at.isoformat(timespec="seconds"),
        }
        for item in space.secrets.list()
    ]
    if settings_of(ctx).json:
        render.document({"secrets": rows})
        return
    columns = ("name", "version", "updated_at")
    render.table(columns, rows, "There are no secrets.")


@app.command()
def delete(ctx: typer.Context, name: Annotated[str, typer.Argument(help="Secret.")]) -> None:
    """Delete a secret; functions that name it do not start any more."""
    space = connect(ctx)
    space.secrets.delete(name)
    if settings_of(ctx).json:
        render.document({"deleted": name})
        return
    render.line(f"Deleted secret '{name}'.")


def _read(name: str) -> str:
    if sys.stdin.isatty():
        typed: str = typer.prompt(f"Value of {name}", hide_input=True, err=True)
        return typed
    # A file's last line end is the editor's, not the secret's.
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")
