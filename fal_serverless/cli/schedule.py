"""``function schedule``."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless import cron, publish
from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of
from fal_serverless.cli.cron import next_run
from fal_serverless.cli.function import app
from fal_serverless.cli.packaged import (
    DryRun,
    File,
    Func,
    Kind,
    Message,
    Trim,
    check_package,
    packaged,
    send,
    show_plan,
)
from fal_serverless.discover import discover
from fal_serverless.errors import FalServerlessError
from fal_serverless.publish import schedules
from fal_serverless.publish.apply import revision_time
from fal_serverless.publish.lease import lease

if TYPE_CHECKING:
    from fal_serverless.package import Package
    from fal_serverless.publish import Prepared
    from fal_serverless.publish.apply import Outcome
    from fal_serverless.publish.schedules import Schedule
    from fal_serverless.workspace import Workspace


@app.command()
def schedule(
    ctx: typer.Context,
    expression: Annotated[
        str,
        typer.Argument(
            metavar="CRON", help="Five fields in UTC, in quotes, such as '0 9 * * 1-5'."
        ),
    ],
    file: File,
    func: Func,
    message: Message = "",
    package: Kind = "auto",
    trim: Trim = False,
    dry_run: DryRun = False,
) -> None:
    """Publish a revision of FUNC in FILE, and run it at the times of CRON.

    A function's schedule of the same times is moved to the new revision; other times make one more.
    """
    settings = settings_of(ctx)
    rules = cron.rules(cron.parse(expression))
    check_package(package)
    found = discover(file, func)
    spec = found.function.spec()
    schedules.check_schedulable(found.function.function, spec)
    space = connect(ctx)
    space.secrets.require(spec.secrets)
    with packaged(found, space, settings, package, trim=trim, dry=dry_run) as built:
        wanted = publish.want(built, space.target, revision=str(uuid.uuid4()))
        prepared = publish.prepare(wanted, space.publisher, space.user)
        if dry_run:
            more = tuple(f"schedule it: {rule.expression}" for rule in rules)
            show_plan(prepared, built, as_json=settings.json, more=more)
            return
        made, before, outcome = _apply(space, prepared, built, expression, message)
    _show(made, before, outcome, as_json=settings.json)


def _apply(
    space: Workspace, prepared: Prepared, built: Package, expression: str, message: str
) -> tuple[Schedule, Schedule | None, Outcome]:
    """The schedule, what it was before, and what was published; see ``publish.schedules``."""
    clock, name = space.publisher.clock, built.spec.name
    with lease(space.registry, schedules.lease_name(space.user, name), clock) as held:
        begun, before = schedules.begin(
            space.registry,
            space.user,
            name,
            expression,
            prepared.wanted.revision,
            revision_time(clock),
        )
        try:
            outcome = send(space, prepared, built, message=message)
        except FalServerlessError:
            schedules.withdraw(space.registry, begun, before)
            raise
        try:
            held.check()
            made = schedules.finish(
                space.registry, space.scheduler, begun, outcome.revision, revision_time(clock)
            )
        except FalServerlessError:
            render.note(
                f"Schedule '{begun.id}' is unfinished: run the command again, "
                f"or cancel it with: fal-serverless cron cancel {begun.id}"
            )
            raise
    return made, before, outcome


def _show(made: Schedule, before: Schedule | None, outcome: Outcome, *, as_json: bool) -> None:
    coming = next_run(made)
    moved_from = before.revision if before else ""
    if as_json:
        render.document(
            {
                "id": made.id,
                "expression": made.expression,
                "name": made.name,
                "revision": made.revision,
                "moved_from": moved_from or None,
                "next_run": coming,
                "function": made.function,
                "version": made.version,
                "rules": [rule.expression for rule in cron.rules(cron.parse(made.expression))],
                "steps": [{"step": item.step, "seconds": item.seconds} for item in outcome.steps],
            }
        )
        return
    verb = "Moved the schedule of" if moved_from else "Scheduled"
    render.line(f"{verb} function '{made.name}' (cron='{made.id}', revision='{made.revision}').")
    render.line(f"Next run: {coming}")
