"""``auth login|logout|hello``."""

from __future__ import annotations

import typer

from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of

app = typer.Typer(no_args_is_help=True)


@app.command()
def login(ctx: typer.Context) -> None:
    """Register your AWS identity as a user; a first serve does that as well."""
    hello(ctx)


@app.command()
def hello(ctx: typer.Context) -> None:
    """Say who you are: your user id, and the AWS principal it belongs to."""
    space = connect(ctx)
    about = {"user_id": space.user, "principal": space.identity.principal}
    if settings_of(ctx).json:
        render.document(about)
        return
    render.line(f"Hello, user {space.user} ({space.identity.principal}).")


@app.command()
def logout(ctx: typer.Context) -> None:
    """Explain how to end the AWS session: the command keeps no credentials of its own."""
    if settings_of(ctx).json:
        render.document({"stored_credentials": False})
        return
    render.line("fal-serverless keeps no credentials. To end the AWS session: aws sso logout")
