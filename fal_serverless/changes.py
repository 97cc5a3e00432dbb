"""What a deployment of the stack is about to change, and whether data would go with it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fal_serverless.errors import ConflictError, StackError
from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

Replacement = Literal["no", "perhaps", "yes"]

STATEFUL = {
    "AWS::DynamoDB::Table": "its records",
    "AWS::S3::Bucket": "its objects",
    "AWS::ECR::Repository": "its images",
    "AWS::SQS::Queue": "its messages",
    "AWS::EFS::FileSystem": "its files",
    "AWS::Logs::LogGroup": "its log",
    "AWS::Scheduler::ScheduleGroup": "its schedules",
    # Without a domain, the addresses of all functions begin with the API's own.
    "AWS::ApiGatewayV2::Api": "the URLs that begin with its address",
}
"""Types of resources that hold what cannot be made again, and what that is."""

_WORDS = {
    "Add": "add",
    "Modify": "modify",
    "Remove": "remove",
    "Import": "import",
    "Dynamic": "perhaps modify",
    "SyncWithActual": "adopt",
}


class Change(Frozen, kw_only=True):
    """One resource of a change set.

    Attributes:
        action: CloudFormation's word: Add, Modify, Remove, Import, Dynamic or SyncWithActual.
        resource: its logical id.
        type: such as ``AWS::DynamoDB::Table``.
        properties: what differs: properties, or attributes such as Tags.
        keeps: the old resource stays behind, outside of the stack.
    """

    action: str
    resource: str
    type: str
    replacement: Replacement = "no"
    properties: tuple[str, ...] = ()
    keeps: bool = False

    @property
    def word(self) -> str:
        """What happens to the resource, for a person."""
        if self.replacement == "yes":
            return "replace"
        if self.replacement == "perhaps":
            return "modify, perhaps replace"
        return _WORDS.get(self.action, self.action.lower())

    @property
    def holds(self) -> str:
        """What the stack would lose with the old resource, if it goes; else ``""``.

        A table that is replaced may stay behind, and the stack has an empty one nevertheless.
        """
        removed = self.action == "Remove" and not self.keeps
        goes = removed or self.replacement != "no"
        return STATEFUL.get(self.type, "") if goes else ""

    @property
    def detail(self) -> str:
        """What is lost, and what differs."""
        verb = "MAY LOSE" if self.replacement == "perhaps" else "LOSES"
        lost = (f"{verb} {self.holds}",) if self.holds else ()
        return ", ".join((*lost, *self.properties))


class Proposal(Frozen, kw_only=True):
    """A change set that waits to be executed.

    Attributes:
        new: the stack does not exist yet.
        updated: when the stack was last updated, as CloudFormation says it.
    """

    stack: str
    change_set: str
    new: bool
    changes: tuple[Change, ...]
    updated: str = ""


def rows(changes: Iterable[Change]) -> list[dict[str, str]]:
    """The changes as a table; what loses data comes first, then removals and replacements."""

    def rank(item: Change) -> tuple[bool, bool, bool, str]:
        return (not item.holds, item.action != "Remove", item.replacement == "no", item.resource)

    return [
        {
            "change": item.word,
            "resource": item.resource,
            "type": item.type,
            "detail": item.detail,
        }
        for item in sorted(changes, key=rank)
    ]


def check_losses(stack: str, changes: Iterable[Change], *, certain: bool = False) -> None:
    """Refuse changes that take data with them.

    Args:
        certain: only those that CloudFormation is sure of. Emulators say "perhaps" of each change
            of a type that they do not know.

    Raises:
        ConflictError: there are some.
    """
    lost = [
        item for item in changes if item.holds and not (certain and item.replacement == "perhaps")
    ]
    if lost:
        raise ConflictError(
            f"The stack '{stack}' was not deployed: data would be lost.",
            reason="; ".join(f"{item.resource}: {item.word}, with {item.holds}" for item in lost),
            hint="save what you need, and run it again with --allow-data-loss",
        )


def check_state(stack: str, status: str | None) -> None:
    """Make sure that CloudFormation takes a deployment in this state of the stack.

    Raises:
        ConflictError: another operation is under way.
        StackError: the stack is stuck.
    """
    if status is None or status == "REVIEW_IN_PROGRESS":
        return
    if status.endswith("IN_PROGRESS"):
        raise ConflictError(
            f"The stack '{stack}' is being changed already.",
            reason=f"its state is {status}",
            hint="wait until that has ended: fal-serverless stack status",
        )
    if status == "UPDATE_ROLLBACK_FAILED":
        raise StackError(
            f"The stack '{stack}' is stuck.",
            reason="an update failed, and so did going back (UPDATE_ROLLBACK_FAILED)",
            hint="mend what its events name, run: aws cloudformation continue-update-rollback "
            f"--stack-name {stack}, and deploy again",
        )
    if status in ("DELETE_FAILED", "CREATE_FAILED"):
        raise StackError(
            f"The stack '{stack}' cannot be deployed.",
            reason=f"its state is {status}: only parts of it are there",
            hint=f"run: fal-serverless stack delete --stack {stack}, and deploy again",
        )
