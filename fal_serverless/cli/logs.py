"""``function logs``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fal_serverless import keys, logs
from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of
from fal_serverless.cli.function import app, find
from fal_serverless.errors import UsageError
from fal_serverless.names import is_revision_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fal_serverless.logs import LogEvent
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
    start = int((time.time() - keys.parse_duration(since)) * 1000)
    space = connect(ctx)
    wanted = _functions(space, target)
    as_json = settings_of(ctx).json
    if follow:
        _follow(space, wanted, start, as_json=as_json)
        return
    found: list[LogEvent] = []
    for function, version in wanted.items():
        found += logs.attributed(
            event for event in space.logs.since(function, start) if _of(event, version)
        )
    found.sort(key=lambda event: event.time)
    chosen = choose(found, request=request, errors=errors)[-lines:]
    if as_json:
        render.document({"events": [_described(event) for event in chosen]})
        return
    for event in chosen:
        render.line(logs.shown(event))
    if not chosen:
        render.note(f"Nothing was logged in the last {since}.")


def choose(events: Sequence[LogEvent], *, request: str, errors: bool) -> list[LogEvent]:
    """The events of one request, or of the requests that failed. Pure."""
    if request:
        ids = logs.aliases_of_request(events, request)
        events = [event for event in events if event.request in ids]
    if errors:
        failed = logs.failed_requests(events)
        events = [event for event in events if event.request in failed]
    return list(events)


def _functions(space: Workspace, target: str) -> dict[str, str]:
    """Lambda functions whose logs are wanted, each with the version wanted (or ``""``)."""
    if not target:
        return {item.function: "" for item in space.registry.revisions(space.user)}
    found = find(space, target)
    if is_revision_id(target) or space.registry.alias(space.user, target) is not None:
        one = found[0] if is_revision_id(target) else None
        if one is not None or found[0].name != target:
            return {found[0].function: found[0].version}
    return {item.function: "" for item in found}


def _of(event: LogEvent, version: str) -> bool:
    return not version or logs.stream_version(event.stream) in (version, "")


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
        if not _of(event, version):
            continue
        known = attribution.of(event)
        if as_json:
            render.compact(_described(known))
        else:
            render.line(logs.shown(known))


def _described(event: LogEvent) -> dict[str, Any]:
    return {
        "time": event.time,
        "message": event.message.rstrip("\n"),
        "request": event.request or None,
        "stream": event.stream,
    }
