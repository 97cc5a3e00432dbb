"""Why an operation of CloudFormation failed, from the stack's events. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_BEGINS = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS"}
_CONSEQUENCES = ("cancelled", "The following resource(s) failed")
_STACK = "AWS::CloudFormation::Stack"


class Failure(Frozen, kw_only=True):
    """The first resource that failed.

    Attributes:
        reason: CloudFormation's own words, on one line.
    """

    resource: str
    reason: str


def first_failure(events: Iterable[Mapping[str, Any]]) -> Failure | None:
    """The failure that began it all.

    Args:
        events: of a stack, newest first; those of earlier operations are not read.
    """
    failed = [item for item in _latest(events) if item["ResourceStatus"].endswith("FAILED")]
    # What fails later fails because of the first; so does the stack itself.
    causes = [
        item
        for item in failed
        if not any(text in item.get("ResourceStatusReason", "") for text in _CONSEQUENCES)
    ]
    if not causes:
        return None
    first = causes[-1]
    return Failure(
        resource=f"{first['LogicalResourceId']} ({first.get('ResourceType', 'a resource')})",
        reason=" ".join(str(first.get("ResourceStatusReason", "no reason is given")).split()),
    )


def _latest(events: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The events of the latest operation, newest first."""
    for item in events:
        yield item
        if item.get("ResourceType") == _STACK and item["ResourceStatus"] in _BEGINS:
            return


def next_step(name: str, status: str | None, reason: str) -> str:
    """What to do about an operation that failed for this reason and left the stack like this."""
    low = reason.lower()
    if "not authorized" in low or "accessdenied" in low or "access denied" in low:
        do = "ask for the right to make what it names"
    elif "already exists" in low:
        do = "delete what exists already, or choose another name with --stack"
    elif "certificate" in low:
        do = "check that the certificate is issued, of this Region, and for *.DOMAIN"
    elif "limit" in low or "quota" in low:
        do = "ask AWS for a higher quota"
    else:
        do = "mend that"
    if status == "DELETE_FAILED":
        return f"{do}, and run: fal-serverless stack delete --stack {name}"
    if status == "UPDATE_ROLLBACK_FAILED":
        return (
            f"{do}, then: aws cloudformation continue-update-rollback --stack-name {name}, "
            "and deploy again"
        )
    if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
        return f"{do}, and deploy again: what is left is deleted first"
    return f"{do}, and deploy again; what was deployed before is still there"
