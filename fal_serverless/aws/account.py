"""The account's limits, and what the caller may do as IAM's simulator sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fal_serverless.aws.session import translated
from fal_serverless.checks.account import role_of
from fal_serverless.errors import FalServerlessError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fal_serverless.aws.session import Session
    from fal_serverless.checks.account import Ask


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Lambda's limits of the account and Region.

    Attributes:
        unreserved: executions at a time that no function has reserved.
        code: bytes that functions and layers may take.
        used: bytes that they take.
    """

    unreserved: int
    code: int
    used: int


def limits(session: Session) -> Limits:
    """The limits.

    Raises:
        AuthError: the caller may not read them.
    """
    client = session.client("lambda")
    with translated("Reading the account's Lambda limits"):
        found = client.get_account_settings()
    return Limits(
        unreserved=int(found["AccountLimit"]["UnreservedConcurrentExecutions"]),
        code=int(found["AccountLimit"]["TotalCodeSize"]),
        used=int(found["AccountUsage"]["TotalCodeSize"]),
    )


def principal_of(session: Session, arn: str) -> str | None:
    """The user or role whose policies count for a caller; None where IAM has none to simulate."""
    role = role_of(arn)
    if role is None:
        return arn if ":user/" in arn else None
    name, pathless = role
    client = session.client("iam")
    try:
        with translated(f"Reading the role '{name}'"):
            return str(client.get_role(RoleName=name)["Role"]["Arn"])
    except FalServerlessError:
        # Without the right to read it: roles without a path have this ARN.
        return pathless


def denied(session: Session, principal: str, questions: Iterable[Ask]) -> dict[str, list[str]]:
    """Actions that the simulator allows on none of a question's resources, by its name.

    Raises:
        AuthError: the caller may not ask the simulator.
    """
    client = session.client("iam")
    found: dict[str, list[str]] = {}
    for ask in questions:
        allowed: set[str] = set()
        for resource in ask.resources:
            with translated("Simulating the permissions"):
                pages = client.get_paginator("simulate_principal_policy").paginate(
                    PolicySourceArn=principal,
                    ActionNames=list(ask.actions),
                    ResourceArns=[resource],
                    ContextEntries=[
                        {
                            "ContextKeyName": key,
                            "ContextKeyValues": [value],
                            "ContextKeyType": "string",
                        }
                        for key, value in ask.context
                    ],
                )
                allowed |= {
                    item["EvalActionName"]
                    for page in pages
                    for item in page["EvaluationResults"]
                    if item["EvalDecision"] == "allowed"
                }
        found[ask.name] = [action for action in ask.actions if action not in allowed]
    return found
