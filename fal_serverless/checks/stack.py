"""Whether the deployed stack is the one that this command knows, and is as it was deployed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from fal_serverless.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEPLOY = "run: fal-serverless stack deploy (with --dry-run it shows the changes only)"
_RESTART = "run: fal-serverless local stop, and fal-serverless local start"
SHOWN_MAX = 120
"""Characters of a property's value."""


def version(
    deployed: str, own: str, *, digest: str, own_digest: str, embedded: bool = False
) -> Finding:
    """Whether the stack is of the command's version, and of the same sources.

    Args:
        digest: of the sources that the stack was deployed from; ``""`` when it tells none.
        embedded: it is the embedded stack, which deploys itself.
    """

    def old(detail: str) -> Finding:
        do = _RESTART if embedded else _DEPLOY
        return Finding(check="version", state="warning", detail=detail, next=do)

    if not deployed:
        return old("the stack is from before stacks told their version")
    try:
        theirs, ours = Version(deployed), Version(own)
    except InvalidVersion:
        return old(f"the stack says that it is of version '{deployed}'")
    if theirs < ours:
        return old(f"the stack is of version {deployed}, this command of {own}")
    if theirs > ours:
        return Finding(
            check="version",
            state="warning",
            detail=f"the stack is of version {deployed}, newer than this command's {own}",
            next="upgrade: pip install --upgrade fal-serverless-lambda",
        )
    if digest and digest != own_digest:
        return old(f"the stack was deployed from other sources of version {own}")
    return Finding(check="version", state="ok", detail=f"the stack is of version {own}")


@dataclass(frozen=True, kw_only=True)
class Drifted:
    """A resource that is not as the template has it.

    Attributes:
        differences: each a property, what the template says, and what is there.
    """

    resource: str
    type: str
    deleted: bool
    differences: tuple[tuple[str, str, str], ...] = ()


def drift(drifted: Sequence[Drifted] | None) -> list[Finding]:
    """Findings of a drift; None: CloudFormation had not ended in time."""
    if drifted is None:
        return [
            Finding(
                check="drift",
                state="warning",
                detail="CloudFormation is still comparing the stack with its template",
                next="run fal-serverless doctor again in a minute",
            )
        ]
    found = [_drift(item) for item in drifted]
    return found or [
        Finding(check="drift", state="ok", detail="the stack's resources are as they were deployed")
    ]


def _drift(item: Drifted) -> Finding:
    name = f"{item.resource} ({item.type})"
    if item.deleted:
        return Finding(
            check="drift",
            state="problem",
            detail=f"{name} was deleted outside of the stack",
            next="make it again with a change set: aws cloudformation create-change-set "
            "--deployment-mode REVERT_DRIFT",
        )
    changes = "; ".join(
        f"{where} is {there[:SHOWN_MAX]}, and was deployed as {wanted[:SHOWN_MAX]}"
        for where, wanted, there in item.differences
    )
    return Finding(
        check="drift",
        state="warning",
        detail=f"{name} was changed outside of the stack: {changes or 'in some property'}",
        next="change it back where it was changed, or make the change in template.yaml",
    )
