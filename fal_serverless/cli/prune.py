"""``function prune``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless import keys
from fal_serverless.cli import render
from fal_serverless.cli.context import connect, filled, settings_of
from fal_serverless.cli.function import app, find
from fal_serverless.errors import UsageError
from fal_serverless.publish import prune as pruning
from fal_serverless.publish.retention import dispensable, spared

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fal_serverless.publish.prune import Choose
    from fal_serverless.publish.state import Revision, Rule
    from fal_serverless.workspace import Workspace


@app.command()
def prune(
    ctx: typer.Context,
    target: Annotated[
        str, typer.Argument(callback=filled, help="Function; all of yours if left out.")
    ] = "",
    keep: Annotated[
        int | None, typer.Option(min=0, help="How many of each function's newest revisions stay.")
    ] = None,
    older_than: Annotated[
        str, typer.Option(callback=filled, help="Younger ones stay: 30d, 12h …")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing.")] = False,
) -> None:
    """Delete old revisions that nothing needs: by these options, else by the functions' rules."""
    age = keys.parse_duration(older_than) if older_than else 0
    space = connect(ctx)
    names = {item.name for item in find(space, target)} if target else None
    now = space.publisher.clock.now()
    if keep is None and not older_than:
        choose = _by_rules(_rules(space, names, target), now)
    else:
        choose = _by_options(names, keep or 0, age, now)
    if dry_run:
        gone = pruning.chosen(space.registry, space.user, choose)
    else:
        gone = pruning.prune(space.publisher, space.user, choose)
    _show(gone, dry_run=dry_run, as_json=settings_of(ctx).json)


def _by_options(names: set[str] | None, keep: int, age: int, now: float) -> Choose:
    def choose(revisions: Sequence[Revision], needed: Collection[str]) -> tuple[Revision, ...]:
        mine = [item for item in revisions if names is None or item.name in names]
        return dispensable(mine, needed, keep=keep, older_than=age, now=now)

    return choose


def _by_rules(rules: Sequence[Rule], now: float) -> Choose:
    return lambda revisions, needed: spared(revisions, needed, rules, now)


def _rules(space: Workspace, names: set[str] | None, target: str) -> tuple[Rule, ...]:
    found = space.registry.rules(space.user)
    rules = tuple(rule for rule in found if names is None or rule.name in names)
    if rules:
        return rules
    whose = f"'{target}' has no rule" if target else "no function has a rule"
    raise UsageError(
        "Nothing says which revisions may go.",
        reason=f"neither --keep nor --older-than was given, and {whose}",
        hint="for example: fal-serverless function prune --keep 10 --older-than 30d --dry-run",
    )


def _show(gone: Sequence[Revision], *, dry_run: bool, as_json: bool) -> None:
    rows = [
        {"name": item.name, "revision": item.id, "created_at": item.created_at} for item in gone
    ]
    if as_json:
        render.document({"pruned": rows, "dry_run": dry_run})
        return
    render.table(("name", "revision", "created_at"), rows, "Every revision is kept.")
    if rows:
        render.note("Nothing was deleted (--dry-run)." if dry_run else f"Deleted {len(rows)}.")
