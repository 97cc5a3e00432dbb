"""What the management API takes and gives, as its OpenAPI document describes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fal_serverless.names import DNS_LABEL_MAX
from fal_serverless.spec import Auth, Mode
from fal_serverless.users import USER_ID_DIGITS

PAGE_MAX = 100
PAGE_DEFAULT = 50
EVENTS_MAX = 1000
EVENTS_DEFAULT = 100
NAME_MAX = 200

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z"
ALIAS_MAX = DNS_LABEL_MAX - 1 - USER_ID_DIGITS

RevisionId = Annotated[str, StringConstraints(pattern=f"^{_UUID}$")]
AliasName = Annotated[
    str, StringConstraints(pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=ALIAS_MAX)
]
FunctionName = Annotated[str, StringConstraints(min_length=1, max_length=NAME_MAX)]
Limit = Annotated[int, Field(ge=1, le=PAGE_MAX, description="Items of a page, at most.")]
_CURSOR = "next_cursor of the page before."


class Strict(BaseModel):
    """What is sent to us: unknown names are mistakes."""

    model_config = ConfigDict(extra="forbid")


class NamePage(Strict):
    """A page of what is sorted by name."""

    limit: Limit = PAGE_DEFAULT
    cursor: Annotated[FunctionName | None, Field(description=_CURSOR)] = None


class AliasPage(Strict):
    """A page of aliases, by name."""

    limit: Limit = PAGE_DEFAULT
    cursor: Annotated[AliasName | None, Field(description=_CURSOR)] = None


class KeyPage(Strict):
    """A page of keys, by id."""

    limit: Limit = PAGE_DEFAULT
    cursor: Annotated[str | None, Field(pattern="^[A-Za-z0-9_-]{1,64}$", description=_CURSOR)] = (
        None
    )


class RevisionPage(Strict):
    """A page of revisions, the newest first."""

    limit: Limit = PAGE_DEFAULT
    cursor: Annotated[str | None, Field(pattern=f"^{_MOMENT}~{_UUID}$", description=_CURSOR)] = None
    function: Annotated[FunctionName | None, Field(description="Of this function only.")] = None


class LogPage(Strict):
    """Which events of which logs, the newest first."""

    target: Annotated[
        FunctionName | None, Field(description="Function, alias or revision; everything.")
    ] = None
    since: Annotated[
        str,
        Field(pattern="^[1-9][0-9]{0,5}[smhdwy]$", description="How far back, such as 10m or 7d."),
    ] = "1d"
    errors: Annotated[bool, Field(description="Requests that failed, whole.")] = False
    request: Annotated[
        str | None,
        Field(
            pattern="^[A-Za-z0-9._-]{1,128}$",
            description="One request: its x-fal-request-id, or Lambda's id.",
        ),
    ] = None
    limit: Annotated[int, Field(ge=1, le=EVENTS_MAX, description="Events of a page, at most.")] = (
        EVENTS_DEFAULT
    )
    cursor: Annotated[
        str | None, Field(pattern=r"^[0-9]{1,15}\.[0-9]{1,6}$", description=_CURSOR)
    ] = None


class Point(Strict):
    """Where an alias is to point."""

    revision: RevisionId


class RollBack(Strict):
    """Where an alias is to go back to."""

    to: Annotated[
        RevisionId | None, Field(description="The revision before the present one, if left out.")
    ] = None


class Function(BaseModel):
    """A decorated function that is served."""

    name: str
    revision: Annotated[str, Field(description="Id of its newest revision.")]
    created_at: Annotated[str, Field(description="Of that revision; ISO 8601, UTC.")]
    revisions: Annotated[int, Field(description="How many there are.")]
    aliases: Annotated[list[str], Field(description="That point at one of them.")]


class Revision(BaseModel):
    """One publication of a function, which never changes."""

    id: str
    name: Annotated[str, Field(description="Of the decorated function.")]
    function: Annotated[str, Field(description="Of the Lambda function.")]
    version: Annotated[str, Field(description="Of the Lambda function.")]
    auth: Annotated[Auth, Field(description="Of the revision's own URL.")]
    mode: Mode
    timeout: Annotated[int, Field(description="Seconds.")]
    memory: Annotated[int, Field(description="MB.")]
    python: str
    architecture: str
    package: str
    size: Annotated[int, Field(description="Bytes, unzipped.")]
    message: str
    created_at: Annotated[str, Field(description="ISO 8601, UTC.")]
    aliases: Annotated[list[str], Field(description="That point at it.")]
    url: Annotated[str | None, Field(description="Its own; null when only schedules run it.")]


class Split(BaseModel):
    """The part of an alias's requests that goes to a second revision."""

    revision: str
    percent: int


class Alias(BaseModel):
    """A name that points at a revision."""

    name: str
    revision: str
    auth: Auth
    split: Split | None
    abort_on_errors: Annotated[
        float | None, Field(description="Percentage of failed requests that ends the split.")
    ]
    moved_at: Annotated[str, Field(description="ISO 8601, UTC.")]
    url: str


class Change(BaseModel):
    """One change of an alias."""

    at: Annotated[str, Field(description="ISO 8601, UTC.")]
    action: Annotated[
        str,
        Field(
            description="serve, set and rollback move it; split and stop are the begin and the end "
            "of a split, abort is its end by its alarm."
        ),
    ]
    by: Annotated[str, Field(description="An AWS principal, 'key' and the id of one, or 'alarm'.")]
    revision: Annotated[str, Field(description="That it points at since, or still.")]
    split: Annotated[Split | None, Field(description="That began or ended.")]


class AliasWithHistory(Alias):
    """A name that points at a revision, and who moved or split it when."""

    history: Annotated[list[Change], Field(description="The newest first.")]


class Key(BaseModel):
    """A key without its secret."""

    key_id: str
    scope: Literal["ADMIN", "API"]
    alias: Annotated[str, Field(description="A name for people, or empty.")]
    created_at: str | None
    expires_at: str | None


class Event(BaseModel):
    """One event of a log."""

    time: Annotated[int, Field(description="Milliseconds since the epoch.")]
    message: str
    request: Annotated[str | None, Field(description="Lambda's id of the request.")]
    stream: str


class Me(BaseModel):
    """Whose key it is."""

    user_id: str
    key_id: str
    scope: Literal["ADMIN", "API"]


class Functions(BaseModel):
    """A page of functions, by name."""

    functions: list[Function]
    next_cursor: str | None


class Revisions(BaseModel):
    """A page of revisions, the newest first."""

    revisions: list[Revision]
    next_cursor: str | None


class Aliases(BaseModel):
    """A page of aliases, by name."""

    aliases: list[Alias]
    next_cursor: str | None


class Keys(BaseModel):
    """A page of keys, by id."""

    keys: list[Key]
    next_cursor: str | None


class Events(BaseModel):
    """A page of a log, the newest first."""

    events: list[Event]
    next_cursor: str | None


class Problem(BaseModel):
    """What went wrong."""

    detail: str


class Mistake(BaseModel):
    """One mistake in a request."""

    type: str
    loc: list[str | int]
    msg: str


class Invalid(BaseModel):
    """What is wrong with a request."""

    detail: list[Mistake]
