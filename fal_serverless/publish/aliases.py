"""Moving, clearing and deleting aliases, and deleting revisions; every move is conditional."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_serverless.errors import ConflictError, NotFoundError, UsageError, did_you_mean
from fal_serverless.publish.schedules import check_answers
from fal_serverless.publish.state import HISTORY_MAX, Alias, Event, Move, Route

if TYPE_CHECKING:
    from fal_serverless.publish.services import Alarms, Functions, Registry
    from fal_serverless.publish.state import Revision
    from fal_serverless.spec import Auth

TRIES = 10
"""How often a conditional write is tried again with fresh eyes."""


def move(
    registry: Registry,
    functions: Functions,
    revision: Revision,
    name: str,
    *,
    auth: Auth | None,
    now: str,
    action: str,
    by: str,
    min_concurrency: int | None = None,
    known: Alias | None = None,
    make: bool = False,
) -> Alias:
    """Point ``name`` at ``revision``; the caller clears what is left of before (``clear``).

    The Lambda alias is made or moved first, then the record and the route switch together, so
    that the alias's URL always leads to something that answers. Whoever makes an alias, or moves
    it to another Lambda function, holds that function's lease, because publishers sweep what is
    not recorded. Between revisions of one function nothing need be held, so that going back waits
    for nobody's publish: of two who move at once, one loses the record, and moves again.

    Args:
        auth: None keeps what the alias has; a new one is private.
        action: see ``Event``; ``by`` too.
        min_concurrency: provisioned environments, or None to leave them as they are.
        known: the alias as it was just read, so that it is not read again.
        make: make one that was known, and is gone.

    Raises:
        NotFoundError: the alias that was known is gone, or the revision is.
        ConflictError: the alias kept changing under our hands.
        UsageError: the revision answers no requests.
    """
    check_answers(revision)
    before = known or registry.alias(revision.owner, name)
    for _ in range(TRIES):
        if before is not None and before.retiring and before.retiring != revision.function:
            _drop_retiring(registry, functions, before)
        else:
            functions.put_alias(revision.function, name, revision.version)
            event = Event(at=now, action=action, by=by, revision=revision.id)
            after = moved(before, revision, name, auth=auth, event=event)
            if min_concurrency is not None:
                after = after.replace(min_concurrency=min_concurrency)
            expected = before.token if before else None
            if registry.put_alias(after, alias_route(after, revision), expected=expected):
                return after
            if registry.revision(revision.owner, revision.id) is None:
                _put_back(registry, functions, revision, name)
        before = registry.alias(revision.owner, name)
        if before is None and known is not None and not make:
            functions.delete_alias(revision.function, name)
            raise _missing(registry, revision.owner, name)
    raise ConflictError(
        f"Alias '{name}' could not be moved.",
        reason=f"it was changed by somebody else {TRIES} times in a row",
        hint="run the command again",
    )


def moved(
    before: Alias | None, revision: Revision, name: str, *, auth: Auth | None, event: Event
) -> Alias:
    """The record of an alias after a move; a split ends, its alarm is still to be deleted. Pure."""
    if before is None:
        new = Alias(
            name=name,
            owner=revision.owner,
            revision=revision.id,
            function=revision.function,
            auth=auth or "private",
            moved_at=event.at,
        )
        return new.after(event)
    history = before.history
    if before.revision != revision.id:
        past = Move(revision=before.revision, at=before.moved_at, by=event.action)
        history = (past, *history)[:HISTORY_MAX]
    elsewhere = before.function != revision.function
    return before.after(
        event,
        revision=revision.id,
        function=revision.function,
        auth=auth or before.auth,
        moved_at=event.at,
        history=history,
        split=None,
        abort_on_errors=None,
        retiring=before.function if elsewhere else "",
        # Provisioned environments belong to the Lambda alias, and end with it.
        min_concurrency=0 if elsewhere else before.min_concurrency,
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


def clear(registry: Registry, functions: Functions, alarms: Alarms, alias: Alias) -> None:
    """Delete what a move left: the Lambda alias of before, and the alarm of a split that ended.

    The record names both until they are gone, so that a later move clears what this one could not.
    """
    alarm = alias.alarm if alias.split is None else ""
    if not alias.retiring and not alarm:
        return
    if alias.retiring:
        functions.delete_alias(alias.retiring, alias.name)
    if alarm:
        alarms.delete(alarm)
    cleared = alias.renewed(retiring="", alarm="" if alarm else alias.alarm)
    registry.update_alias(cleared, expected=alias.token)


def delete(
    registry: Registry, functions: Functions, alarms: Alarms, owner: str, name: str
) -> Alias:
    """Remove an alias: its alarm and its route first, then its Lambda alias. Revisions stay.

    Raises:
        NotFoundError: there is no such alias.
        ConflictError: it changed under our hands.
    """
    alias = find(registry, owner, name)
    if alias.alarm:
        # Before the record that names it.
        alarms.delete(alias.alarm)
    if not registry.delete_alias(owner, name, expected=alias.token):
        raise ConflictError(
            f"Alias '{name}' was not deleted.",
            reason="somebody else changed it just now",
            hint="look at it with 'fal-serverless alias list', and run the command again",
        )
    for function in {alias.function, alias.retiring} - {""}:
        functions.delete_alias(function, name)
    return alias


def rollback_target(registry: Registry, alias: Alias, to: str = "") -> Revision:
    """The revision that a rollback of ``alias`` leads to; one read where it still exists.

    Raises:
        NotFoundError: there is no such revision any more, or never was another.
        UsageError: the alias points there already.
    """
    for candidate in _candidates(alias, to):
        found = registry.revision(alias.owner, candidate)
        if found is not None:
            return found
    raise _nothing_before(alias, to)


def former(alias: Alias, kept: frozenset[str], to: str = "") -> str:
    """The revision id that a rollback leads to. Pure.

    Args:
        kept: ids of the revisions that still exist.
        to: the one asked for, or empty for the last one before the present one.

    Raises:
        NotFoundError: there is no such revision any more, or never was another.
        UsageError: the alias points there already.
    """
    for candidate in _candidates(alias, to):
        if candidate in kept:
            return candidate
    raise _nothing_before(alias, to)


def _candidates(alias: Alias, to: str) -> list[str]:
    if to == alias.revision:
        raise UsageError(
            f"Alias '{alias.name}' points at revision '{to}' already.",
            reason="a rollback leads to another revision",
            hint="see where it pointed before: fal-serverless alias history " + alias.name,
        )
    past = [to] if to else [move.revision for move in alias.history]
    return [item for item in dict.fromkeys(past) if item != alias.revision]


def _nothing_before(alias: Alias, to: str) -> NotFoundError:
    return NotFoundError(
        f"Alias '{alias.name}' cannot go back.",
        reason=f"there is no revision '{to}'"
        if to
        else "it never pointed at another revision that still exists",
        hint="list the revisions with 'fal-serverless function list', and use: alias set",
    )


def find(registry: Registry, owner: str, name: str) -> Alias:
    """The alias.

    Raises:
        NotFoundError: there is none, with the nearest name.
    """
    alias = registry.alias(owner, name)
    if alias is None:
        raise _missing(registry, owner, name)
    return alias


def _missing(registry: Registry, owner: str, name: str) -> NotFoundError:
    names = [item.name for item in registry.aliases(owner)]
    return NotFoundError(
        f"There is no alias '{name}'.",
        reason=f"user {owner} has none of that name",
        hint=did_you_mean(name, names)
        if names
        else "make one with: fal-serverless function serve FILE FUNC --alias NAME",
    )


def _put_back(registry: Registry, functions: Functions, gone: Revision, name: str) -> None:
    """Undo the move of a Lambda alias to a revision that was deleted meanwhile.

    Raises:
        NotFoundError: always, once that is done.
    """
    alias = registry.alias(gone.owner, name)
    here = registry.revision(gone.owner, alias.revision) if alias is not None else None
    if alias is not None and here is not None and here.function == gone.function:
        second = registry.revision(gone.owner, alias.split[0]) if alias.split else None
        share = (second.version, alias.split[1]) if second and alias.split else None
        functions.put_alias(here.function, name, here.version, share)
    else:
        functions.delete_alias(gone.function, name)
    raise NotFoundError(
        f"Alias '{name}' was not moved.",
        reason=f"revision '{gone.id}' was deleted at this moment",
        hint="list what there is with: fal-serverless function list",
    )


def _drop_retiring(registry: Registry, functions: Functions, alias: Alias) -> None:
    functions.delete_alias(alias.retiring, alias.name)
    registry.update_alias(alias.renewed(retiring=""), expected=alias.token)
