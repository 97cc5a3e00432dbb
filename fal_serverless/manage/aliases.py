"""Routes of aliases: where they point, and moving them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Body, Path, Query
from fastapi.exceptions import RequestValidationError

from fal_serverless.errors import ConflictError, FalServerlessError, NotFoundError, UsageError
from fal_serverless.manage import models, pages
from fal_serverless.manage.errors import ABSENT, CONFLICT
from fal_serverless.manage.space import Here, Space
from fal_serverless.names import is_revision_id
from fal_serverless.publish import aliases, lookup, moves

if TYPE_CHECKING:
    from fal_serverless.publish.state import Alias

router = APIRouter(prefix="/v1/aliases", tags=["aliases"])

_log = logging.getLogger("fal_serverless.manage")
PATIENCE_S = 8
"""How long a move waits for each of its two leases; its caller waits 29 s at most."""


@router.get("")
def list_aliases(here: Here, query: Annotated[models.AliasPage, Query()]) -> models.Aliases:
    """The aliases, by name."""
    shown, after = pages.page(
        here.stack.registry.aliases(here.owner),
        lambda item: item.name,
        limit=query.limit,
        cursor=query.cursor,
    )
    return models.Aliases(aliases=[_alias(here, item) for item in shown], next_cursor=after)


@router.get("/{name}", responses=ABSENT)
def get_alias(here: Here, name: Annotated[models.AliasName, Path()]) -> models.AliasWithHistory:
    """One alias, and who moved or split it when."""
    return _with_history(here, aliases.find(here.stack.registry, here.owner, name))


@router.put("/{name}", responses={**ABSENT, **CONFLICT})
def put_alias(
    here: Here, name: Annotated[models.AliasName, Path()], body: models.Point
) -> models.AliasWithHistory:
    """Point an alias at a revision that exists; a new one is private, and a split ends."""
    if is_revision_id(name):
        raise RequestValidationError(
            [
                {
                    "type": "alias",
                    "loc": ("path", "name"),
                    "msg": "An alias does not look like a UUID",
                }
            ]
        )
    revision = lookup.find_revision(here.stack.registry, here.owner, body.revision)
    moved = moves.point(
        here.stack.registry,
        here.stack.functions,
        here.stack.alarms,
        here.stack.clock,
        revision,
        name,
        by=f"key {here.key}",
        patience=PATIENCE_S,
        left=_left,
    )
    return _with_history(here, moved)


@router.post("/{name}/rollback", responses={**ABSENT, **CONFLICT})
def roll_back_alias(
    here: Here,
    name: Annotated[models.AliasName, Path()],
    body: Annotated[models.RollBack | None, Body()] = None,
) -> models.AliasWithHistory:
    """Point an alias back at the revision it had before; a split ends."""
    to = body.to if body and body.to else ""
    aliases.find(here.stack.registry, here.owner, name)
    if to:
        lookup.find_revision(here.stack.registry, here.owner, to)
    try:
        moved = moves.roll_back(
            here.stack.registry,
            here.stack.functions,
            here.stack.alarms,
            here.stack.clock,
            here.owner,
            name,
            to=to,
            by=f"key {here.key}",
            patience=PATIENCE_S,
            left=_left,
        )
    except (UsageError, NotFoundError) as error:
        # Alias and revision are there, so it is the alias's state that is in the way.
        raise ConflictError(error.message, reason=error.reason, hint=error.hint) from error
    return _with_history(here, moved)


def _alias(here: Space, item: Alias) -> models.Alias:
    return models.Alias(
        name=item.name,
        revision=item.revision,
        auth=item.auth,
        split=_split(item.split),
        abort_on_errors=item.abort_on_errors,
        moved_at=item.moved_at,
        url=here.url(item.name),
    )


def _with_history(here: Space, item: Alias) -> models.AliasWithHistory:
    return models.AliasWithHistory(
        **dict(_alias(here, item)),
        history=[
            models.Change(
                at=event.at,
                action=event.action,
                by=event.by,
                revision=event.revision,
                split=_split(event.split),
            )
            for event in item.events
        ],
    )


def _split(share: tuple[str, int] | None) -> models.Split | None:
    return models.Split(revision=share[0], percent=share[1]) if share else None


def _left(error: FalServerlessError) -> None:
    _log.warning("something of before is left: %s %s", error.message, error.reason)
