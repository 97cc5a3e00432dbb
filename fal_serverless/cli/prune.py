"""``function prune``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless import keys
from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of
from fal_serverless.cli.function import app, find, remove
from fal_serverless.errors import UsageError
from fal_serverless.publish.lease import lease
from fal_serverless.publish.retention import dispensable, needed

if TYPE_CHECKING:
    from fal_serverless.publish.state import Revision
    from fal_serverless.workspace import Workspace


@app.command()
def prune(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(help="Function; all of yours if left out.")] = "",
    keep: Annotated[
        int | None, typer.Option(min=0, help="How many of each function's newest revisions stay.")
    ] = None,
    older_than: Annotated[str, typer.Option(help="Younger ones stay: 30d, 12h …")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing.")] = False,
) -> None:
    """Delete old revisions that no alias, split or rollback of an alias needs."""
    if keep is None and not older_than:
        raise UsageError(
            "Nothing says which revisions may go.",
            reason="neither --keep nor --older-than was given",
            hint="for example: fal-serverless function prune --keep 10 --older-than 30d --dry-run",
        )
    age = keys.parse_duration(older_than) if older_than else 0
    space = connect(ctx)
    names = {item.function for item in find(space, target)} if target else None
    doomed = [
        item
        for item in _dispensable(space, keep or 0, age)
        if names is None or item.function in names
    ]
    if not dry_run:
        for function in sorted({item.function for item in doomed}):
            with lease(space.registry, function, space.publisher.clock):
                # Decided again: an alias may have moved until the lease was ours.
                still = {item.id for item in _dispensable(space, keep or 0, age)}
                doomed = [i for i in doomed if i.function != function or i.id in still]
                remove(space, function, tuple(i for i in doomed if i.function == function))
    _show(doomed, dry_run=dry_run, as_json=settings_of(ctx).json)


def _dispensable(space: Workspace, keep: int, age: int) -> tuple[Revision, ...]:
    revisions = space.registry.revisions(space.user)
    return dispensable(
        revisions,
        needed(revisions, space.registry.aliases(space.user)),
        keep=keep,
        older_than=age,
        now=space.publisher.clock.now(),
    )


def _show(doomed: list[Revision], *, dry_run: bool, as_json: bool) -> None:
    rows = [
        {"name": item.name, "revision": item.id, "created_at": item.created_at} for item in doomed
    ]
    if as_json:
        render.document({"pruned": rows, "dry_run": dry_run})
        return
    render.table(("name", "revision", "created_at"), rows, "Every revision is kept.")
    if rows:
        render.note("Nothing was deleted (--dry-run)." if dry_run else f"Deleted {len(rows)}.")
