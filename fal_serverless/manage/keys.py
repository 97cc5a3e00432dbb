"""Routes of keys: which there are, and whose this one is."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

from fastapi import APIRouter, Query

from fal_serverless.manage import models, pages
from fal_serverless.manage.space import Here

router = APIRouter(prefix="/v1", tags=["keys"])


@router.get("/keys")
def list_keys(here: Here, query: Annotated[models.KeyPage, Query()]) -> models.Keys:
    """The keys that are not revoked, without their secrets, by id."""
    shown, after = pages.page(
        [item for item in here.stack.registry.keys(here.owner) if "revoked_at" not in item],
        lambda item: str(item["key_id"]),
        limit=query.limit,
        cursor=query.cursor,
    )
    found = [
        models.Key(
            key_id=item["key_id"],
            scope=item["scope"],
            alias=item.get("alias", ""),
            created_at=item.get("created_at"),
            expires_at=_moment(item.get("expires_at")),
        )
        for item in shown
    ]
    return models.Keys(keys=found, next_cursor=after)


@router.get("/me")
def get_me(here: Here) -> models.Me:
    """Whose key it is that the request was sent with."""
    return models.Me(user_id=here.owner, key_id=here.key, scope="ADMIN")


def _moment(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, tz=timezone.utc).isoformat().replace("+00:00", "Z")
