"""Routes of what is served: functions, revisions, logs."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query

from fal_serverless import logs
from fal_serverless.errors import NotFoundError
from fal_serverless.manage import models, pages
from fal_serverless.manage.errors import ABSENT
from fal_serverless.manage.space import Here, Space
from fal_serverless.publish import lookup

if TYPE_CHECKING:
    from fal_serverless.logs import LogEvent
    from fal_serverless.publish.state import Revision

router = APIRouter(prefix="/v1")

EVENTS_BYTES = 4_000_000
"""What the messages of a page may take of the 6 MB that Lambda carries."""
MESSAGE_MAX = 200_000
"""Characters of a message; escaped twice, each may take seven bytes."""


@router.get("/functions", tags=["functions"])
def list_functions(here: Here, query: Annotated[models.NamePage, Query()]) -> models.Functions:
    """The functions that have revisions, by name."""
    shown, after = pages.page(
        _functions(here), lambda item: item.name, limit=query.limit, cursor=query.cursor
    )
    return models.Functions(functions=shown, next_cursor=after)


@router.get("/functions/{name}", tags=["functions"], responses=ABSENT)
def get_function(here: Here, name: Annotated[models.FunctionName, Path()]) -> models.Function:
    """One function."""
    for item in _functions(here):
        if item.name == name:
            return item
    raise NotFoundError(
        f"There is no function '{name}'.",
        reason=f"user {here.owner} has none of that name",
        hint="list them with GET /v1/functions",
    )


@router.get("/revisions", tags=["revisions"])
def list_revisions(here: Here, query: Annotated[models.RevisionPage, Query()]) -> models.Revisions:
    """The revisions, the newest first."""
    shown, after = pages.page(
        (
            item
            for item in here.stack.registry.revisions(here.owner)
            if query.function in (None, item.name)
        ),
        lambda item: f"{item.created_at}~{item.id}",
        limit=query.limit,
        cursor=query.cursor,
        descending=True,
    )
    names = _aliases(here)
    return models.Revisions(
        revisions=[_revision(here, item, names[item.id]) for item in shown], next_cursor=after
    )


@router.get("/revisions/{revision}", tags=["revisions"], responses=ABSENT)
def get_revision(here: Here, revision: Annotated[models.RevisionId, Path()]) -> models.Revision:
    """One revision."""
    found = lookup.find_revision(here.stack.registry, here.owner, revision)
    return _revision(here, found, _aliases(here)[found.id])


@router.get("/logs", tags=["logs"], responses=ABSENT)
def list_events(here: Here, query: Annotated[models.LogPage, Query()]) -> models.Events:
    """What functions printed, the newest first."""
    wanted = lookup.logged(here.stack.registry, here.owner, query.target or "")
    read = here.stack.logs.since
    if query.cursor and not query.errors and not query.request:
        # Whether a request is one of those asked for may be said by a later line of its own.
        read = partial(read, until=int(query.cursor.partition(".")[0]))
    start = logs.beginning(query.since, here.stack.clock.now())
    found = logs.choose(
        logs.collect(read, wanted, start), request=query.request or "", errors=query.errors
    )
    shown, after = pages.newest_events(
        found, _size, limit=query.limit, cursor=query.cursor, room=EVENTS_BYTES
    )
    return models.Events(events=[_event(item) for item in shown], next_cursor=after)


def _functions(here: Space) -> list[models.Function]:
    names = _aliases(here)
    found: dict[str, list[Revision]] = defaultdict(list)
    for item in here.stack.registry.revisions(here.owner):
        found[item.name].append(item)
    return [
        models.Function(
            name=name,
            revision=items[0].id,
            created_at=items[0].created_at,
            revisions=len(items),
            aliases=sorted(alias for item in items for alias in names[item.id]),
        )
        for name, items in found.items()
    ]


def _aliases(here: Space) -> dict[str, list[str]]:
    """Names of aliases by the revision that they point at."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in here.stack.registry.aliases(here.owner):
        found[item.revision].append(item.name)
    return found


def _revision(here: Space, item: Revision, aliases: list[str]) -> models.Revision:
    return models.Revision(
        id=item.id,
        name=item.name,
        function=item.function,
        version=item.version,
        auth=item.auth,
        mode=item.mode,
        timeout=item.timeout,
        memory=item.memory,
        python=item.python,
        architecture=item.architecture,
        package=item.package,
        size=item.size,
        message=item.message,
        created_at=item.created_at,
        aliases=sorted(aliases),
        url=here.url(item.id) if item.mode != "call" else None,
    )


def _size(event: LogEvent) -> int:
    """Bytes of a message inside a JSON document inside Lambda's JSON."""
    return len(json.dumps(json.dumps(_message(event))))


def _message(event: LogEvent) -> str:
    text = event.message.rstrip("\n")
    more = len(text) - MESSAGE_MAX
    return text if more <= 0 else f"{text[:MESSAGE_MAX]} … ({more:,} characters more)"


def _event(event: LogEvent) -> models.Event:
    return models.Event(
        time=event.time,
        message=_message(event),
        request=event.request or None,
        stream=event.stream,
    )
