"""``alias list|set|delete``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of
from fal_serverless.cli.function import check_auth, find
from fal_serverless.names import check_alias
from fal_serverless.publish import aliases
from fal_serverless.publish.apply import revision_time
from fal_serverless.publish.lease import lease
from fal_serverless.publish.plan import effective_auth

if TYPE_CHECKING:
    from fal_serverless.aws.lambdas import LambdaFunctions

app = typer.Typer(no_args_is_help=True, help="Names that point at revisions.")


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
    cells = [[row[column] for column in columns] for row in rows]
    render.table(columns, cells, "There are no aliases.")


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
    revision = find(space, target)[0]
    clock = space.publisher.clock
    with (
        lease(space.registry, revision.function, clock),
        lease(space.registry, f"{space.user}-{name}", clock),
    ):
        wanted = effective_auth(mode, space.registry.alias(space.user, name))
        moved = aliases.move(
            space.registry,
            space.functions,
            revision,
            name,
            auth=wanted,
            now=revision_time(clock),
            by="set",
        )
        aliases.retire(space.registry, space.functions, space.user, name)
    about = {"alias": name, "revision": moved.revision, "auth": moved.auth, "url": space.url(name)}
    if settings_of(ctx).json:
        render.document(about)
        return
    render.line(f"Alias '{name}' points at revision '{moved.revision}' ({moved.auth}).")
    render.line(f"URL: {about['url']}")


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


def _reserved(functions: LambdaFunctions, name: str) -> int | None:
    live = functions.get(name)
    return live.reserved if live else None
