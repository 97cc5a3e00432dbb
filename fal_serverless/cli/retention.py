"""``function retention``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of
from fal_serverless.cli.function import app, find, rule_of
from fal_serverless.errors import UsageError
from fal_serverless.publish.state import KEEP_DAYS_MAX, KEEP_MAX

if TYPE_CHECKING:
    from fal_serverless.publish.state import Rule


@app.command()
def retention(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(help="Function; lists every rule if left out.")] = "",
    keep: Annotated[
        int | None,
        typer.Option(min=1, max=KEEP_MAX, help="How many of its newest revisions stay."),
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option(min=1, max=KEEP_DAYS_MAX, help="How many days each revision stays."),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Keep every revision again.")] = False,
) -> None:
    """Say which revisions of a function stay; the others go after each publish of it."""
    setting = keep is not None or keep_days is not None
    if (setting or off) and (not target or (setting and off)):
        raise UsageError(
            "A rule is set or taken away, of one function.",
            reason="both were asked for" if setting and off else "no function was named",
            hint="for example: fal-serverless function retention predict --keep 10 --keep-days 30",
        )
    space = connect(ctx)
    as_json = settings_of(ctx).json
    if not target:
        _list(space.registry.rules(space.user), as_json=as_json)
        return
    name = find(space, target)[0].name
    rule = rule_of(space, name, keep, keep_days)
    if rule is not None:
        space.registry.put_rule(rule)
    elif off:
        space.registry.delete_rule(space.user, name)
    else:
        rule = space.registry.rule(space.user, name)
    if as_json:
        render.document(_described(rule, name))
    elif rule is None:
        render.line(f"'{name}' keeps every revision.")
    else:
        render.line(f"'{name}' keeps {rule}, and what an alias or a schedule needs.")
        if setting:
            render.note("Others go after its next publish, or with: function prune")


def _list(rules: tuple[Rule, ...], *, as_json: bool) -> None:
    rows = [_described(rule, rule.name) for rule in rules]
    if as_json:
        render.document({"rules": rows})
        return
    columns = ("name", "keep", "keep_days", "by", "at")
    render.table(columns, rows, "Every function keeps every revision.")


def _described(rule: Rule | None, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "keep": (rule.keep or None) if rule else None,
        "keep_days": (rule.keep_days or None) if rule else None,
        "by": rule.by if rule else None,
        "at": rule.at if rule else None,
    }
