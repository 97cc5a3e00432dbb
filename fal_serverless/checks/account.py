"""What the account and the caller's rights allow."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from fal_serverless.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

STORAGE_WARN, STORAGE_FULL = 0.8, 0.95
"""Shares of the account's code storage: look after it; a publish may fail any moment."""
POLICY = "infra/deployer-policy.json"
OWN = "Doctor"
"""Beginning of the names of statements that only these checks need."""

_ASSUMED = re.compile(r"arn:([\w-]+):sts::(\d+):assumed-role/([^/]+)/.+")


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One question for IAM's simulator: may these be done to one of these?

    Attributes:
        name: of the policy's statement.
        context: values of condition keys.
    """

    name: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: tuple[tuple[str, str], ...] = ()


def asks(
    policy: str, *, principal: str, region: str, stack: str, known: Sequence[str]
) -> tuple[Ask, ...]:
    """The questions whose answers must all be yes.

    Args:
        policy: the deployer's, as JSON with placeholders.
        principal: ARN of the user or role.
        known: ARNs of things that are there; a pattern becomes the first one that fits, or an
            example of a name.
    """
    _, partition, _, _, account, deployer = principal.split(":", 5)
    values = {
        "<REGION>": region,
        "<ACCOUNT>": account,
        "<STACK>": stack,
        "<DEPLOYER>": deployer,
        "arn:aws:": f"arn:{partition}:",
    }
    for placeholder, value in values.items():
        policy = policy.replace(placeholder, value)
    found = []
    for statement in json.loads(policy)["Statement"]:
        patterns = _listed(statement["Resource"])
        equal: Mapping[str, Any] = statement.get("Condition", {}).get("StringEquals", {})
        found.append(
            Ask(
                name=statement["Sid"],
                actions=tuple(_listed(statement["Action"])),
                resources=tuple(dict.fromkeys(_example(item, known) for item in patterns)),
                context=tuple((key, str(value)) for key, value in equal.items()),
            )
        )
    return tuple(found)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _example(pattern: str, known: Sequence[str]) -> str:
    fitting = (arn for arn in known if fnmatchcase(arn, pattern))
    return next(fitting, pattern.replace("*", "doctor"))


def role_of(arn: str) -> tuple[str, str] | None:
    """Name and ARN of the role behind a session's ARN; None for users and others. Pure.

    The ARN lacks the role's path, which only IAM knows.
    """
    found = _ASSUMED.fullmatch(arn)
    if found is None:
        return None
    partition, account, role = found.groups()
    return role, f"arn:{partition}:iam::{account}:role/{role}"


def permissions(denied: Mapping[str, Iterable[str]]) -> list[Finding]:
    """What IAM's simulator denies, by the policy's statement; it says so if that is nothing."""
    found = [
        Finding(
            check="permissions",
            # What only this command needs stops nobody from serving functions.
            state="warning" if name.startswith(OWN) else "problem",
            detail=f"not allowed ({name}): {', '.join(sorted(actions))}",
            next=f"ask for the statement '{name}' of {POLICY}",
        )
        for name, actions in denied.items()
        if actions
    ]
    return found or [
        Finding(
            check="permissions", state="ok", detail=f"everything in {POLICY} is allowed (simulated)"
        )
    ]


def not_simulated(why: str) -> Finding:
    """That rights could not be looked at."""
    return Finding(
        check="permissions",
        state="warning",
        detail=f"not looked at: {why}",
        next="allow iam:SimulatePrincipalPolicy on yourself; else what is missing shows in use",
    )


def storage(used: int, limit: int) -> Finding:
    """Whether there is room for more revisions; bytes."""
    share = used / limit if limit else 1.0
    detail = f"{used / 1e9:.1f} of {limit / 1e9:.0f} GB of Lambda's code storage are used"
    if share < STORAGE_WARN:
        return Finding(check="storage", state="ok", detail=detail)
    return Finding(
        check="storage",
        state="problem" if share >= STORAGE_FULL else "warning",
        detail=detail,
        next="delete old revisions: fal-serverless function prune --keep 10; "
        "unused layers: fal-serverless doctor --fix; or ask AWS for a higher quota",
    )
