"""Whose request it is, and what can be done for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol, cast

from fastapi import Depends, HTTPException, Request

from fal_serverless.publish.services import Registry as PublishRegistry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.logs import LogEvent
    from fal_serverless.publish.lease import Clock
    from fal_serverless.publish.services import Alarms, Functions


class Registry(PublishRegistry, Protocol):
    """The stack's table, as publishing uses it, with the keys of users."""

    def keys(self, owner: str) -> tuple[Mapping[str, Any], ...]:
        """A user's keys without their secrets: key_id, scope, alias, created_at, expires_at."""


class Logs(Protocol):
    """Logs of Lambda functions."""

    def since(self, function: str, start: int, until: int | None = None) -> tuple[LogEvent, ...]:
        """Events from ``start`` to ``until`` (epoch milliseconds), oldest first."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What the API works with, whoever calls."""

    registry: Registry
    functions: Functions
    alarms: Alarms
    logs: Logs
    clock: Clock


@dataclass(frozen=True, kw_only=True)
class Space:
    """What the API works with for one request.

    Attributes:
        owner: user id.
        key: id of the key.
        prefix: what stands before the API's paths in its address, such as ``/api``, or ``""``.
        base: how URLs are made of ``<userid>-<label>``, with ``{}`` in its place.
    """

    stack: Stack
    owner: str
    key: str
    scope: str
    prefix: str
    base: str

    def url(self, label: str) -> str:
        """Address of an alias or revision, by the way that the caller came."""
        return self.base.format(f"{self.owner}-{label}")


def space_of(request: Request) -> Space:
    """The space of a request that came through the gateway.

    Raises:
        HTTPException: it did not; only the gateway says who the caller is.
    """
    event = request.scope.get("aws.event", {})
    said = event.get("requestContext", {}).get("authorizer", {}).get("lambda", {})
    if not said.get("owner") or said.get("scope") != "ADMIN":
        raise HTTPException(401, "The management API is reached by way of the gateway.")
    return Space(
        stack=cast("Stack", request.app.state.stack),
        owner=said["owner"],
        key=said["key"],
        scope=said["scope"],
        prefix=said["prefix"],
        base=base_of(
            request.headers.get("host", ""),
            request.headers.get("x-forwarded-proto", "https"),
            said["prefix"],
        ),
    )


def base_of(host: str, scheme: str, prefix: str) -> str:
    """How URLs of functions are made where the API is reached by ``host``. Pure."""
    # Braces cannot stand in a host's name, and would be read as a place to fill in.
    host = host.replace("{", "").replace("}", "")
    if prefix:
        return f"{scheme}://{host}/{{}}"
    return f"{scheme}://{{}}.{host.partition('.')[2]}"


Here = Annotated[Space, Depends(space_of)]
"""An argument of a route: the space of its request."""
