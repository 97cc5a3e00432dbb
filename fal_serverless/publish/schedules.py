"""Schedules: a revision that runs at the times of a cron expression.

A function has one schedule for each set of times: scheduling it again at the same times moves that
schedule to the new revision. EventBridge Scheduler fires; the registry knows whose it is. A
schedule's record comes first and goes last, and keeps every revision that EventBridge may still
call, so that it may stop anywhere:

1. under the lease of the function's schedules, the record is written with the revision to come;
2. the revision is published, as ``function serve`` does it;
3. EventBridge is told, by names that the schedule's id makes, so that telling it again changes
   nothing;
4. the record says that it is done.

Whatever fires is listed, and can be cancelled; running the command again finishes the work.
"""

from __future__ import annotations

import dataclasses
import inspect
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from fal_serverless import cron
from fal_serverless.errors import (
    ConflictError,
    NotFoundError,
    SpecError,
    UsageError,
    did_you_mean,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from fal_serverless.publish.state import Revision
    from fal_serverless.spec import FunctionSpec

State = Literal["active", "unfinished", "cancelling"]
PARTS = ("d", "w")
"""Endings of the names that EventBridge's rules of one schedule have, see ``cron.rules``."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A schedule, as the registry has it.

    Attributes:
        id: lower-case UUID.
        owner: user id.
        name: of the decorated function.
        expression: as it was given.
        revision: that runs, or ``""`` before the first is there.
        function: name of that revision's Lambda function.
        version: Lambda version of that revision.
        pending: revisions that it is being moved to; several where commands died over it.
        cancelling: whether it is being taken away.
        created_at: ISO 8601, UTC.
        changed_at: when the revision last changed.
    """

    id: str
    owner: str
    name: str
    expression: str
    created_at: str
    changed_at: str
    revision: str = ""
    function: str = ""
    version: str = ""
    pending: tuple[str, ...] = ()
    cancelling: bool = False

    def replace(self, **changes: Any) -> Schedule:
        """A copy with other values."""
        return dataclasses.replace(self, **changes)

    @property
    def state(self) -> State:
        """Whether it is as it should be, or a command died over it."""
        if self.cancelling:
            return "cancelling"
        return "unfinished" if self.pending or not self.revision else "active"

    @property
    def revisions(self) -> frozenset[str]:
        """Ids of the revisions that it needs."""
        return frozenset({self.revision, *self.pending} - {""})


class Records(Protocol):
    """The records of schedules in the registry."""

    def schedules(self, owner: str) -> tuple[Schedule, ...]:
        """All of a user's, by name and expression."""

    def put_schedule(self, schedule: Schedule) -> None:
        """Write one; the caller holds the lease of its function's schedules."""

    def delete_schedule(self, owner: str, schedule: str) -> None:
        """Remove one; nothing happens when it is gone."""


class Scheduler(Protocol):
    """EventBridge Scheduler, in the stack's group."""

    def prepare(self, function: str, version: str) -> str:
        """Bound what Lambda does with runs of a version; its qualified ARN."""

    def put(self, name: str, expression: str, target: str, event: dict[str, Any]) -> None:
        """Make or replace what fires ``event`` at ``target``; the same again changes nothing."""

    def delete(self, name: str) -> None:
        """Delete it; nothing happens when it is gone."""


def lease_name(owner: str, name: str) -> str:
    """Of the lease under which a function's schedules change."""
    return f"cron-{owner}-{name}"


def check_schedulable(function: Callable[..., object], spec: FunctionSpec) -> None:
    """Whether a function can run by itself.

    Raises:
        SpecError: it needs arguments, never ends, yields, or wants to be kept ready.
    """
    name = spec.name
    if spec.min_concurrency:
        raise SpecError(
            f"'{name}' cannot be scheduled with min_concurrency.",
            reason="environments are kept ready for an alias, and a schedule calls a revision",
            hint="leave min_concurrency out: a run that has to wait for its start harms nobody",
        )
    if spec.mode == "port":
        raise SpecError(
            f"'{name}' cannot be scheduled.",
            reason="it has exposed_port: it starts a web server, and does not end by itself",
            hint="schedule a function without exposed_port",
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise SpecError(
            f"'{name}' cannot be scheduled because it yields.",
            reason="nobody takes what a scheduled run yields, so that nothing of it would run",
            hint="do the work in a function that does not yield",
        )
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.kind not in optional
    ]
    if needed:
        raise SpecError(
            f"'{name}' cannot be scheduled.",
            reason="a schedule calls it without arguments, and it needs " + ", ".join(needed),
            hint=f"give a default, such as def {name}({needed[0]}=…), or schedule a function "
            "that calls it",
        )


def begin(
    records: Records, owner: str, name: str, expression: str, revision: str, now: str
) -> tuple[Schedule, Schedule | None]:
    """Write down that a function's schedule is about to have ``revision``.

    Returns:
        The schedule as it is now, and as it was before, if there was one at these times.
    """
    times = cron.parse(expression)
    same = [
        item
        for item in records.schedules(owner)
        if item.name == name and cron.parse(item.expression) == times
    ]
    before = same[0] if same else None
    after = (
        before.replace(expression=expression, pending=(*before.pending, revision), cancelling=False)
        if before
        else Schedule(
            id=str(uuid.uuid4()),
            owner=owner,
            name=name,
            expression=expression,
            created_at=now,
            changed_at=now,
            pending=(revision,),
        )
    )
    records.put_schedule(after)
    return after, before


def withdraw(records: Records, schedule: Schedule, before: Schedule | None) -> None:
    """Undo ``begin`` where the revision could not be published: EventBridge knows nothing yet."""
    if before is not None:
        records.put_schedule(before)
    else:
        records.delete_schedule(schedule.owner, schedule.id)


def finish(
    records: Records, scheduler: Scheduler, schedule: Schedule, revision: Revision, now: str
) -> Schedule:
    """Let EventBridge fire the revision that was published, and write down that it does."""
    target = scheduler.prepare(revision.function, revision.version)
    for rule in cron.rules(cron.parse(schedule.expression)):
        name = _rule_name(schedule, rule.part)
        scheduler.put(name, rule.expression, target, event_of(schedule.id, rule.except_days))
    done = schedule.replace(
        revision=revision.id,
        function=revision.function,
        version=revision.version,
        pending=(),
        changed_at=now,
    )
    records.put_schedule(done)
    return done


def event_of(schedule: str, except_days: tuple[int, ...] = ()) -> dict[str, Any]:
    """What the function is invoked with; EventBridge fills in what stands in angle brackets."""
    return {
        "fal": {
            "cron": {
                "schedule": schedule,
                "scheduled_at": "<aws.scheduler.scheduled-time>",
                "execution": "<aws.scheduler.execution-id>",
                "except_days": list(except_days),
            }
        }
    }


def cancel(records: Records, scheduler: Scheduler, schedule: Schedule) -> None:
    """Take a schedule away; its revision stays."""
    records.put_schedule(schedule.replace(cancelling=True))
    for part in PARTS:
        scheduler.delete(_rule_name(schedule, part))
    records.delete_schedule(schedule.owner, schedule.id)


def find(records: Records, owner: str, schedule: str) -> Schedule:
    """The schedule of an id.

    Raises:
        NotFoundError: there is none, with the nearest.
    """
    every = {item.id: item for item in records.schedules(owner)}
    if schedule in every:
        return every[schedule]
    raise NotFoundError(
        f"There is no schedule '{schedule}'.",
        reason=f"user {owner} has none of that id",
        hint=did_you_mean(schedule, every)
        if every
        else "make one with: fal-serverless function schedule CRON FILE FUNC",
    )


def check_unscheduled(schedules: Iterable[Schedule], revisions: Collection[str]) -> None:
    """Raises ConflictError when a schedule needs one of the revisions."""
    for schedule in schedules:
        used = schedule.revisions & set(revisions)
        if used:
            raise ConflictError(
                f"Revision '{min(used)}' is in use.",
                reason=f"schedule '{schedule.id}' ({schedule.expression}) runs it",
                hint=f"cancel that first: fal-serverless cron cancel {schedule.id}",
            )


def check_answers(revision: Revision) -> None:
    """Raises UsageError for a revision that only schedules can run."""
    if revision.mode == "call":
        raise UsageError(
            f"Revision '{revision.id}' cannot have a URL.",
            reason=f"'{revision.name}' is neither served nor exposed; only schedules run it",
            hint=f"write @isolated(serve=True) above def {revision.name}, and serve it",
        )


def rule_names(schedule: Schedule) -> tuple[str, ...]:
    """Names that EventBridge's rules of a schedule have."""
    rules = cron.rules(cron.parse(schedule.expression))
    return tuple(_rule_name(schedule, rule.part) for rule in rules)


def _rule_name(schedule: Schedule, part: str) -> str:
    # EventBridge takes 64 characters of letters, digits, '-', '_' and '.'.
    return f"{schedule.owner}-{schedule.id}-{part}"
