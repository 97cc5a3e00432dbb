"""``cron list|activations|logs|cancel``."""

from __future__ import annotations

import dataclasses
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless import cron, logs
from fal_serverless.activations import activations as runs_of
from fal_serverless.aws.queue_depth import count
from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of
from fal_serverless.errors import FalServerlessError, NotFoundError
from fal_serverless.publish import schedules
from fal_serverless.publish.lease import lease

if TYPE_CHECKING:
    from fal_serverless.activations import Activation
    from fal_serverless.logs import LogEvent
    from fal_serverless.publish.schedules import Schedule
    from fal_serverless.workspace import Workspace

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the schedules, and when each runs next (in UTC)."""
    space = connect(ctx)
    rows = [
        {
            "id": item.id,
            "expression": item.expression,
            "name": item.name,
            "revision": item.revision or None,
            "state": item.state,
            "next_run": next_run(item),
            "function": item.function or None,
            "created_at": item.created_at,
        }
        for item in space.registry.schedules(space.user)
    ]
    undelivered = _undelivered(space)
    if settings_of(ctx).json:
        render.document({"crons": rows, "undelivered": undelivered})
        return
    columns = ("id", "expression", "name", "revision", "state", "next_run")
    render.table(columns, rows, "Nothing is scheduled yet.")
    if undelivered:
        render.note(
            f"{undelivered} runs of this stack could not be handed to Lambda: run "
            "fal-serverless doctor"
        )


@app.command()
def activations(
    ctx: typer.Context,
    schedule: Annotated[str, typer.Argument(metavar="ID", help="Schedule.")],
    since: Annotated[str, typer.Option(help="How far back, such as 12h or 30d.")] = "7d",
    limit: Annotated[int, typer.Option(min=1, help="How many, the latest.")] = 50,
) -> None:
    """List the runs of a schedule, the latest first: when each began and ended, and how."""
    start = logs.beginning(since, time.time())
    space = connect(ctx)
    found = schedules.find(space.registry, space.user, schedule)
    runs = _runs(_events(space, found, start), found)[:limit]
    if settings_of(ctx).json:
        render.document({"activations": [dataclasses.asdict(run) for run in runs]})
        return
    columns = ("id", "scheduled_at", "started_at", "ended_at", "outcome", "error", "seconds")
    rows = [dataclasses.asdict(run) for run in runs]
    render.table(columns, rows, f"It has not run in the last {since}.")


@app.command("logs")
def show(
    ctx: typer.Context,
    schedule: Annotated[str, typer.Argument(metavar="ID", help="Schedule.")],
    activation: Annotated[str, typer.Argument(help="Its run, as 'cron activations' lists it.")],
    since: Annotated[str, typer.Option(help="How far back, such as 12h or 30d.")] = "7d",
) -> None:
    """Show what the function printed in one run."""
    start = logs.beginning(since, time.time())
    space = connect(ctx)
    found = schedules.find(space.registry, space.user, schedule)
    events = _events(space, found, start)
    run = next((run for run in _runs(events, found) if run.id == activation), None)
    if run is None:
        raise NotFoundError(
            f"There is no run '{activation}' of schedule '{schedule}'.",
            reason=f"none of that id was logged in the last {since}",
            hint=f"list them with: fal-serverless cron activations {schedule} --since {since}",
        )
    mine = [event for event in events if event.request in run.requests]
    if settings_of(ctx).json:
        render.document({"events": [logs.described(event) for event in mine]})
        return
    for event in mine:
        render.line(logs.shown(event))


@app.command()
def cancel(
    ctx: typer.Context, schedule: Annotated[str, typer.Argument(metavar="ID", help="Schedule.")]
) -> None:
    """Take a schedule away; its revision stays, and a run that has begun ends by itself."""
    space = connect(ctx)
    found = schedules.find(space.registry, space.user, schedule)
    name = schedules.lease_name(space.user, found.name)
    with lease(space.registry, name, space.publisher.clock):
        found = schedules.find(space.registry, space.user, schedule)
        schedules.cancel(space.registry, space.scheduler, found)
    if settings_of(ctx).json:
        about = {"cancelled": found.id, "name": found.name, "revision": found.revision or None}
        render.document(about)
        return
    render.line(f"Cancelled schedule '{found.id}' ({found.expression}) of '{found.name}'.")


def next_run(schedule: Schedule) -> str | None:
    """When it fires next, ISO 8601 in UTC; None where that is not sure."""
    if schedule.state != "active":
        return None
    (moment,) = cron.next_runs(cron.parse(schedule.expression), datetime.now(timezone.utc))
    return moment.isoformat().replace("+00:00", "Z")


def _undelivered(space: Workspace) -> int | None:
    try:
        return count(space.session, space.outputs.undelivered_url)
    except FalServerlessError as error:
        render.note(f"  note: undelivered runs are not counted: {error.reason}")
        return None


def _events(space: Workspace, schedule: Schedule, start: int) -> list[LogEvent]:
    """What the function logged, in whichever Lambda function its revisions are."""
    functions = {
        item.function for item in space.registry.revisions(space.user) if item.name == schedule.name
    }
    return logs.collect(space.logs.since, dict.fromkeys(sorted(functions), ""), start)


def _runs(events: list[LogEvent], schedule: Schedule) -> tuple[Activation, ...]:
    return runs_of(events, schedule.id, now=time.time())
