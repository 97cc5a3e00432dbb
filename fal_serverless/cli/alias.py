"""``alias list|set|rollback|split|history|delete``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of
from fal_serverless.cli.function import check_auth, find
from fal_serverless.errors import UsageError
from fal_serverless.names import check_alias, is_revision_id
from fal_serverless.publish import aliases, lookup, moves
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
    rows = [
        {
            "alias": item.name,
            "revision": item.revision,
            "auth": item.auth,
            "max_concurrency": _reserved(space.functions, item.function),
            "split": {item.split[0]: item.split[1]} if item.split else None,
        }
        for item in space.registry.aliases(space.user)
    ]
    if settings_of(ctx).json:
        render.document({"aliases": rows})
        return
    columns = ("alias", "revision", "auth", "max_concurrency", "split")
    render.table(columns, rows, "There are no aliases.")


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
        space.publisher.clock,
        find(space, target)[0],
        name,
        auth=mode,
        by="set",
    )
    _show(ctx, space, moved)


@app.command()
def rollback(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Alias.")],
    to: Annotated[str, typer.Option("--to", help="Revision; the one before, if left out.")] = "",
) -> None:
    """Point an alias back at the revision it had before; a split ends."""
    space = connect(ctx)
    clock = space.publisher.clock
    moved = moves.roll_back(space.registry, space.functions, clock, space.user, name, to=to)
    _show(ctx, space, moved)


@app.command()
def split(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Alias.")],
    share: Annotated[str, typer.Argument(help="REVISION=PERCENT.")] = "",
    stop: Annotated[bool, typer.Option("--stop", help="End the split.")] = False,
) -> None:
    """Send a percentage of an alias's requests to a second revision of the same function."""
    if stop == bool(share):
        raise UsageError(
            "A split is begun or stopped.",
            reason="give REVISION=PERCENT, or --stop, and not both",
            hint=f"for example: fal-serverless alias split {name} REVISION=10",
        )
    space = connect(ctx)
    second = _share(space, share) if share else None
    with lease(space.registry, f"{space.user}-{name}", space.publisher.clock):
        alias = aliases.find(space.registry, space.user, name)
        first = lookup.find_revision(space.registry, space.user, alias.revision)
        after = aliases.split(
            space.registry,
            space.functions,
            alias,
            second,
            version=first.version,
            now=revision_time(space.publisher.clock),
        )
    if settings_of(ctx).json:
        shares = {after.split[0]: after.split[1]} if after.split else None
        render.document({"alias": name, "revision": after.revision, "split": shares})
    elif after.split:
        render.line(f"Alias '{name}': {after.split[1]}% to revision '{after.split[0]}',")
        render.line(f"{100 - after.split[1]}% to revision '{after.revision}'.")
    else:
        render.line(f"Alias '{name}': everything to revision '{after.revision}'.")


@app.command()
def history(ctx: typer.Context, name: Annotated[str, typer.Argument(help="Alias.")]) -> None:
    """List where an alias pointed before, newest first."""
    space = connect(ctx)
    alias = aliases.find(space.registry, space.user, name)
    rows = [{"revision": alias.revision, "at": alias.moved_at, "moved_away_by": None}]
    rows += [
        {"revision": move.revision, "at": move.at, "moved_away_by": move.by}
        for move in alias.history
    ]
    if settings_of(ctx).json:
        render.document({"alias": name, "history": rows})
        return
    columns = ("revision", "at", "moved_away_by")
    render.table(columns, rows, "It never moved.")


@app.command()
def delete(ctx: typer.Context, name: Annotated[str, typer.Argument(help="Alias.")]) -> None:
    """Delete an alias; its revisions stay, at their own URLs."""
    space = connect(ctx)
    alias = aliases.find(space.registry, space.user, name)
    with lease(space.registry, f"{space.user}-{name}", space.publisher.clock):
        aliases.delete(space.registry, space.functions, space.user, name)
    if settings_of(ctx).json:
        render.document({"deleted": name, "revision": alias.revision})
        return
    render.line(f"Deleted alias '{name}'; revision '{alias.revision}' stays.")


def _show(ctx: typer.Context, space: Workspace, moved: Alias) -> None:
    url = space.url(moved.name)
    if settings_of(ctx).json:
        about = {"alias": moved.name, "revision": moved.revision, "auth": moved.auth, "url": url}
        render.document(about)
        return
    render.line(f"Alias '{moved.name}' points at revision '{moved.revision}' ({moved.auth}).")
    render.line(f"URL: {url}")


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
