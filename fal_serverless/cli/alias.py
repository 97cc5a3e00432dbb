"""``alias list|set|rollback|split|history|delete``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless.cli import render
from fal_serverless.cli.context import connect, filled, settings_of
from fal_serverless.cli.function import check_auth, find
from fal_serverless.errors import FalServerlessError, UsageError
from fal_serverless.names import check_alias, is_revision_id
from fal_serverless.publish import aliases, lookup, moves, splits
from fal_serverless.publish.apply import revision_time
from fal_serverless.publish.lease import lease

if TYPE_CHECKING:
    from fal_serverless.aws.lambdas import LambdaFunctions
    from fal_serverless.publish.state import Alias, Revision
    from fal_serverless.workspace import Workspace

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the aliases and what they point at."""
    space = connect(ctx)
    found = space.registry.aliases(space.user)
    reserved = {name: _reserved(space.functions, name) for name in {i.function for i in found}}
    rows = [
        {
            "alias": item.name,
            "revision": item.revision,
            "auth": item.auth,
            "max_concurrency": reserved[item.function],
            "min_concurrency": item.min_concurrency,
            "split": {item.split[0]: item.split[1]} if item.split else None,
            "abort_on_errors": item.abort_on_errors,
            "alarm": item.alarm or None,
        }
        for item in found
    ]
    if settings_of(ctx).json:
        render.document({"aliases": rows})
        return
    shown = [
        {**row, "split": _percent_of(item.split)} for row, item in zip(rows, found, strict=True)
    ]
    columns = ("alias", "revision", "auth", "max_concurrency", "split", "abort_on_errors")
    render.table(columns, shown, "There are no aliases.")


@app.command("set")
def set_(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Alias, made when it is new.")],
    target: Annotated[str, typer.Argument(help="Revision, or function (its newest revision).")],
    auth: Annotated[str, typer.Option(help="private, public or shared.")] = "",
) -> None:
    """Point an alias at a revision that exists."""
    mode = check_auth(auth)
    space = connect(ctx)
    check_alias(name, space.user)
    moved = moves.point(
        space.registry,
        space.functions,
        space.publisher.alarms,
        space.publisher.clock,
        find(space, target)[0],
        name,
        auth=mode,
        by=space.identity.principal,
        left=_note_left,
    )
    _show(ctx, space, moved)


@app.command()
def rollback(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Alias.")],
    to: Annotated[
        str,
        typer.Option("--to", callback=filled, help="Revision; the one before, if left out."),
    ] = "",
) -> None:
    """Point an alias back at the revision it had before; a split ends."""
    space = connect(ctx)
    moved = moves.roll_back(
        space.registry,
        space.functions,
        space.publisher.alarms,
        space.publisher.clock,
        space.user,
        name,
        to=to,
        by=space.identity.principal,
        left=_note_left,
    )
    _show(ctx, space, moved)


@app.command()
def split(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Alias.")],
    share: Annotated[str, typer.Argument(help="REVISION=PERCENT.")] = "",
    stop: Annotated[bool, typer.Option("--stop", help="End the split.")] = False,
    abort_on_errors: Annotated[
        str,
        typer.Option(
            callback=filled,
            help="Share of its requests that fail, such as 5%, that ends the split.",
        ),
    ] = "",
) -> None:
    """Send a percentage of an alias's requests to a second revision of the same function."""
    if stop == bool(share) or (stop and abort_on_errors):
        raise UsageError(
            "A split is begun or stopped.",
            reason="give REVISION=PERCENT (perhaps with --abort-on-errors), or --stop, not both",
            hint=f"for example: fal-serverless alias split {name} REVISION=10",
        )
    limit = splits.parse_percent(abort_on_errors) if abort_on_errors else None
    space = connect(ctx)
    second = _share(space, share) if share else None
    now, by = revision_time(space.publisher.clock), space.identity.principal
    parts = (space.registry, space.functions, space.publisher.alarms)
    with lease(space.registry, f"{space.user}-{name}", space.publisher.clock):
        alias = aliases.find(space.registry, space.user, name)
        if second is None:
            after = splits.end(*parts, alias, now=now, by=by)
        else:
            stack = space.outputs.name
            after = splits.begin(
                *parts, alias, *second, now=now, by=by, abort_on_errors=limit, stack=stack
            )
    _show_split(ctx, after)


@app.command()
def history(ctx: typer.Context, name: Annotated[str, typer.Argument(help="Alias.")]) -> None:
    """List who moved or split an alias when, newest first."""
    space = connect(ctx)
    alias = aliases.find(space.registry, space.user, name)
    rows = [
        {
            "at": event.at,
            "action": event.action,
            "revision": event.revision,
            "split": {event.split[0]: event.split[1]} if event.split else None,
            "by": event.by,
        }
        for event in alias.events
    ]
    if settings_of(ctx).json:
        render.document({"alias": name, "history": rows})
        return
    shown = [
        {**row, "split": _percent_of(event.split)}
        for row, event in zip(rows, alias.events, strict=True)
    ]
    render.table(("at", "action", "revision", "split", "by"), shown, "It never moved.")


@app.command()
def delete(ctx: typer.Context, name: Annotated[str, typer.Argument(help="Alias.")]) -> None:
    """Delete an alias; its revisions stay, at their own URLs."""
    space = connect(ctx)
    alias = aliases.find(space.registry, space.user, name)
    with lease(space.registry, f"{space.user}-{name}", space.publisher.clock):
        aliases.delete(space.registry, space.functions, space.publisher.alarms, space.user, name)
    if settings_of(ctx).json:
        render.document({"deleted": name, "revision": alias.revision})
        return
    render.line(f"Deleted alias '{name}'; revision '{alias.revision}' stays.")


def _note_left(error: FalServerlessError) -> None:
    render.note(f"  note: something of before is left: {error.message} {error.reason}")


def _show(ctx: typer.Context, space: Workspace, moved: Alias) -> None:
    url = space.url(moved.name)
    if settings_of(ctx).json:
        about = {"alias": moved.name, "revision": moved.revision, "auth": moved.auth, "url": url}
        render.document(about)
        return
    render.line(f"Alias '{moved.name}' points at revision '{moved.revision}' ({moved.auth}).")
    render.line(f"URL: {url}")


def _percent_of(split: tuple[str, int] | None) -> str:
    return f"{split[1]}% to {split[0]}" if split else ""


def _show_split(ctx: typer.Context, after: Alias) -> None:
    if settings_of(ctx).json:
        shares = {after.split[0]: after.split[1]} if after.split else None
        about = {"alias": after.name, "revision": after.revision, "split": shares}
        limit = {"abort_on_errors": after.abort_on_errors, "alarm": after.alarm or None}
        render.document({**about, **limit})
    elif after.split:
        render.line(f"Alias '{after.name}': {after.split[1]}% to revision '{after.split[0]}',")
        render.line(f"{100 - after.split[1]}% to revision '{after.revision}'.")
        if after.abort_on_errors is not None:
            render.line(f"It ends by itself when more than {after.abort_on_errors:g}% fail.")
    else:
        render.line(f"Alias '{after.name}': everything to revision '{after.revision}'.")


def _share(space: Workspace, text: str) -> tuple[Revision, int]:
    revision, equals, percent = text.rpartition("=")
    if not equals or not percent.isdecimal() or not is_revision_id(revision):
        raise UsageError(
            f"'{text}' is not a share.",
            reason="a share is a revision id, '=', and a whole percentage",
            hint="for example: 21847a72-93e6-4227-ae6f-56bf3a90142d=10",
        )
    return lookup.find_revision(space.registry, space.user, revision), int(percent)


def _reserved(functions: LambdaFunctions, name: str) -> int | None:
    live = functions.get(name)
    return live.reserved if live else None
