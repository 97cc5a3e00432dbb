"""``function logs``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless import logs
from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of
from fal_serverless.cli.function import app
from fal_serverless.errors import UsageError
from fal_serverless.publish import lookup

if TYPE_CHECKING:
    from fal_serverless.workspace import Workspace


@app.command("logs")
def show(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(help="Function, alias or revision; all of them.")] = "",
    lines: Annotated[int, typer.Option(min=1, help="How many, the newest.")] = 100,
    since: Annotated[str, typer.Option(help="How far back, such as 10m, 2h or 7d.")] = "1d",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    request: Annotated[str, typer.Option(help="One request: x-fal-request-id or Lambda's.")] = "",
    errors: Annotated[bool, typer.Option("--errors", help="Requests that failed.")] = False,
) -> None:
    """Show what functions printed, newest last."""
    if follow and (request or errors):
        raise UsageError(
            "--follow shows everything as it comes.",
            reason="--request and --errors need the whole of a request first",
            hint="leave one of them out",
        )
    start = logs.beginning(since, time.time())
    space = connect(ctx)
    wanted = lookup.logged(space.registry, space.user, target)
    as_json = settings_of(ctx).json
    if follow:
        _follow(space, wanted, start, as_json=as_json)
        return
    found = logs.collect(space.logs.since, wanted, start)
    chosen = logs.choose(found, request=request, errors=errors)[-lines:]
    if as_json:
        render.document({"events": [logs.described(event) for event in chosen]})
        return
    for event in chosen:
        render.line(logs.shown(event))
    if not chosen:
        what = f" of request '{request}'" if request else ""
        render.note(f"Nothing was logged{what} in the last {since}.")


def _follow(space: Workspace, wanted: dict[str, str], start: int, *, as_json: bool) -> None:
    if len(wanted) != 1:
        raise UsageError(
            "--follow follows one function.",
            reason=f"there are {len(wanted)}",
            hint="name one: fal-serverless function logs TARGET --follow",
        )
    ((function, version),) = wanted.items()
    attribution = logs.Attribution()
    for event in space.logs.follow(function, start):
        if not logs.of_version(event, version):
            continue
        known = attribution.of(event)
        if as_json:
            render.compact(logs.described(known))
        else:
            render.line(logs.shown(known))
