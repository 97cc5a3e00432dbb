"""Moving, retiring and deleting aliases, and deleting revisions; every move is conditional."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from fal_serverless.errors import ConflictError, NotFoundError, UsageError, did_you_mean
from fal_serverless.publish.state import HISTORY_MAX, Alias, Move, Route
from fal_serverless.publish.sweep import sweep

if TYPE_CHECKING:
    from fal_serverless.publish.state import Functions, Registry, Revision
    from fal_serverless.spec import Auth

TRIES = 10
"""How often a conditional write is tried again with fresh eyes."""


def move(
    registry: Registry,
    functions: Functions,
    revision: Revision,
    name: str,
    *,
    auth: Auth,
    now: str,
    by: str = "serve",
    min_concurrency: int = 0,
) -> Alias:
    """Point ``name`` at ``revision``; the caller holds the leases, and retires the old alias.

    The Lambda alias is made or moved first, then the record and the route switch together, so
    that the alias's URL always leads to something that answers.

    Raises:
        ConflictError: the alias kept changing under our hands.
    """
    for _ in range(TRIES):
        before = registry.alias(revision.owner, name)
        if before is not None and before.retiring and before.retiring != revision.function:
            _drop_retiring(registry, functions, before)
            continue
        functions.put_alias(revision.function, name, revision.version)
        after = _moved(before, revision, name, auth=auth, now=now, by=by)
        after = after.replace(min_concurrency=min_concurrency)
        expected = before.token if before else None
        if registry.put_alias(after, alias_route(after, revision), expected=expected):
            return after
    raise ConflictError(
        f"Alias '{name}' could not be moved.",
        reason=f"it was changed by somebody else {TRIES} times in a row",
        hint="run the command again",
    )


def alias_route(alias: Alias, revision: Revision) -> Route:
    """The route of an alias that points at ``revision``."""
    return Route(
        owner=alias.owner,
        label=alias.name,
        function=revision.function,
        qualifier=alias.name,
        auth=alias.auth,
        mode=revision.mode,
        timeout=revision.timeout,
        revision=revision.id,
    )


def retire(registry: Registry, functions: Functions, owner: str, name: str) -> None:
    """Delete the Lambda alias on the function that an alias pointed at before."""
    alias = registry.alias(owner, name)
    if alias is not None and alias.retiring:
        _drop_retiring(registry, functions, alias)


def delete(registry: Registry, functions: Functions, owner: str, name: str) -> Alias:
    """Remove an alias: its route first, then its Lambda alias. Revisions stay.

    Raises:
        NotFoundError: there is no such alias.
        ConflictError: it changed under our hands.
    """
    alias = find(registry, owner, name)
    if not registry.delete_alias(owner, name, expected=alias.token):
        raise ConflictError(
            f"Alias '{name}' was not deleted.",
            reason="somebody else changed it just now",
            hint="look at it with 'fal-serverless alias list', and run the command again",
        )
    for function in {alias.function, alias.retiring} - {""}:
        functions.delete_alias(function, name)
    return alias


def former(alias: Alias, kept: frozenset[str], to: str = "") -> str:
    """The revision id that a rollback leads to. Pure.

    Args:
        kept: ids of the revisions that still exist.
        to: the one asked for, or empty for the last one before the present one.

    Raises:
        NotFoundError: there is no such revision any more, or never was another.
        UsageError: the alias points there already.
    """
    if to == alias.revision:
        raise UsageError(
            f"Alias '{alias.name}' points at revision '{to}' already.",
            reason="a rollback leads to another revision",
            hint="see where it pointed before: fal-serverless alias history " + alias.name,
        )
    past = [to] if to else [move.revision for move in alias.history]
    for revision in past:
        if revision in kept and revision != alias.revision:
            return revision
    raise NotFoundError(
        f"Alias '{alias.name}' cannot go back.",
        reason=f"there is no revision '{to}'"
        if to
        else "it never pointed at another revision that still exists",
        hint="list the revisions with 'fal-serverless function list', and use: alias set",
    )


def split(
    registry: Registry,
    functions: Functions,
    alias: Alias,
    second: tuple[Revision, int] | None,
    *,
    version: str,
    now: str,
) -> Alias:
    """Send part of an alias's requests to a second revision, or end that with None.

    Lambda weighs versions of one function, so both revisions must be versions of the same one.

    Args:
        second: a revision and its percentage, 1 to 99.
        version: Lambda version of the revision that the alias points at.

    Raises:
        UsageError: the percentage or the revision cannot work.
        ConflictError: provisioned concurrency excludes a split; or the alias just changed.
    """
    if second is not None:
        _check_split(alias, *second)
    functions.put_alias(
        alias.function, alias.name, version, (second[0].version, second[1]) if second else None
    )
    after = alias.replace(
        split=(second[0].id, second[1]) if second else None, moved_at=now, token=uuid.uuid4().hex
    )
    if not registry.update_alias(after, expected=alias.token):
        raise ConflictError(
            f"Alias '{alias.name}' was changed by somebody else just now.",
            reason="its record is not the one that was read",
            hint="look at it with 'fal-serverless alias list', and run the command again",
        )
    return after


def _check_split(alias: Alias, revision: Revision, percent: int) -> None:
    if not 1 <= percent <= 99:
        raise UsageError(
            f"A split cannot send {percent}% to a revision.",
            reason="a percentage is a whole number from 1 to 99",
            hint=f"to move everything: fal-serverless alias set {alias.name} {revision.id}",
        )
    if revision.id == alias.revision:
        raise UsageError(
            f"Alias '{alias.name}' points at revision '{revision.id}' already.",
            reason="a split needs a second revision",
            hint="list the revisions with: fal-serverless function list",
        )
    if revision.function != alias.function:
        raise UsageError(
            f"Alias '{alias.name}' cannot be split with revision '{revision.id}'.",
            reason=f"it is a version of '{revision.function}', the alias is on '{alias.function}', "
            "and Lambda splits between versions of one function",
            hint=f"move everything instead: fal-serverless alias set {alias.name} {revision.id}",
        )
    if alias.min_concurrency:
        raise ConflictError(
            f"Alias '{alias.name}' cannot be split.",
            reason="it has provisioned concurrency, and Lambda excludes the one with the other",
            hint="serve it without min_concurrency first",
        )


def find(registry: Registry, owner: str, name: str) -> Alias:
    """The alias.

    Raises:
        NotFoundError: there is none, with the nearest name.
    """
    alias = registry.alias(owner, name)
    if alias is None:
        raise NotFoundError(
            f"There is no alias '{name}'.",
            reason=f"user {owner} has none of that name",
            hint=did_you_mean(name, [item.name for item in registry.aliases(owner)])
            if registry.aliases(owner)
            else "make one with: fal-serverless function serve FILE FUNC --alias NAME",
        )
    return alias


def delete_revisions(
    registry: Registry, functions: Functions, revisions: tuple[Revision, ...]
) -> None:
    """Delete revisions of one Lambda function, and the function when none is left.

    Routes go before versions, so that a URL is gone before what it leads to is. The caller holds
    the Lambda function's lease.

    Raises:
        ConflictError: an alias still points at one of them; nothing was deleted.
    """
    if not revisions:
        return
    owner, function = revisions[0].owner, revisions[0].function
    doomed = {item.id for item in revisions}
    for alias in registry.aliases(owner):
        used = {alias.revision, alias.split[0] if alias.split else alias.revision}
        if used & doomed:
            raise ConflictError(
                f"Revision '{next(iter(used & doomed))}' is in use.",
                reason=f"alias '{alias.name}' points at it",
                hint=f"move it first, or run: fal-serverless alias delete {alias.name}",
            )
    for item in revisions:
        registry.delete_revision(owner, item.id)
    left = {item.version for item in registry.revisions(owner) if item.function == function}
    if not left:
        functions.delete(function)
        return
    sweep(registry, functions, owner, function)


def _moved(
    before: Alias | None, revision: Revision, name: str, *, auth: Auth, now: str, by: str
) -> Alias:
    token = uuid.uuid4().hex
    if before is None:
        return Alias(
            name=name,
            owner=revision.owner,
            revision=revision.id,
            function=revision.function,
            auth=auth,
            moved_at=now,
            token=token,
        )
    history = before.history
    if before.revision != revision.id:
        past = Move(revision=before.revision, at=before.moved_at, by=by)
        history = (past, *history)[:HISTORY_MAX]
    elsewhere = before.function != revision.function
    return before.replace(
        revision=revision.id,
        function=revision.function,
        auth=auth,
        moved_at=now,
        token=token,
        history=history,
        split=None,
        retiring=before.function if elsewhere else "",
    )


def _drop_retiring(registry: Registry, functions: Functions, alias: Alias) -> None:
    functions.delete_alias(alias.retiring, alias.name)
    registry.update_alias(alias.replace(retiring="", token=uuid.uuid4().hex), expected=alias.token)
