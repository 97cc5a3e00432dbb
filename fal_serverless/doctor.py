"""What may be wrong between this machine and a working URL. Pure: facts in, findings out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fal_serverless.errors import UsageError
from fal_serverless.names import DNS_LABEL_MAX, check_alias
from fal_serverless.spec import SUPPORTED_PYTHONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fal_serverless.errors import FalServerlessError

State = Literal["ok", "note", "warning", "problem"]
"""A note asks for nothing; a warning wants to be looked at; a problem sets the exit code."""

SKEW_MAX_S = 300
"""AWS refuses requests that are signed five minutes or more off (SigV4, clock skew)."""
SKEW_WARN_S = 60
CONCURRENCY_LOW = 50
"""New accounts begin with 10 to 50 concurrent executions; the usual quota is 1,000."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        check: a word for what was looked at.
        detail: what was seen.
        next: what to do about it, or ``""``.
    """

    check: str
    state: State
    detail: str
    next: str = ""


def failed(check: str, error: FalServerlessError, *, state: State = "problem") -> Finding:
    """A check that could not be made, or whose failure is the answer."""
    return Finding(
        check=check, state=state, detail=f"{error.message} {error.reason}", next=error.hint
    )


def python(version: str) -> Finding:
    """Whether Lambda runs the Python at hand, of which functions are pickled."""
    if version in SUPPORTED_PYTHONS:
        return Finding(check="python", state="ok", detail=f"Python {version} runs on Lambda")
    return Finding(
        check="python",
        state="problem",
        detail=f"functions pickled by Python {version} cannot run: Lambda has "
        + ", ".join(SUPPORTED_PYTHONS),
        next=f"use Python {SUPPORTED_PYTHONS[-2]}",
    )


def clock(skew: float | None) -> Finding:
    """Whether signatures will be accepted; ``skew`` in seconds, None when AWS named no time."""
    if skew is None:
        return Finding(check="clock", state="ok", detail="the endpoint tells no time")
    detail = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS"
    if abs(skew) < SKEW_WARN_S:
        return Finding(check="clock", state="ok", detail=detail)
    return Finding(
        check="clock",
        state="problem" if abs(skew) >= SKEW_MAX_S else "warning",
        detail=f"{detail}, which refuses signatures that are {SKEW_MAX_S} s off",
        next="set the machine's clock by NTP",
    )


def concurrency(unreserved: int) -> Finding:
    """Whether the account can run more than a few requests at a time."""
    detail = f"{unreserved} executions at a time are not reserved"
    if unreserved >= CONCURRENCY_LOW:
        return Finding(check="concurrency", state="ok", detail=detail)
    return Finding(
        check="concurrency",
        state="warning",
        detail=detail + "; requests above that are answered with 429",
        next="ask AWS for a higher quota of Lambda's concurrent executions",
    )


def names(user: str, aliases: Iterable[str]) -> Finding:
    """Whether each alias fits into a name of the URL beside the user id."""
    longest = DNS_LABEL_MAX - 1 - len(user)
    bad = []
    for alias in aliases:
        try:
            check_alias(alias, user)
        except UsageError as error:
            bad.append(f"{alias}: {error.reason}")
    if not bad:
        return Finding(
            check="names",
            state="ok",
            detail=f"with user id {user}, aliases have at most {longest} characters",
        )
    return Finding(
        check="names",
        state="problem",
        detail="; ".join(bad),
        next="point another alias at the revision: fal-serverless alias set NAME REVISION",
    )


def queue(*, waiting: int, running: int, dead: int) -> Finding:
    """Whether queued requests are worked on; messages of each kind."""
    detail = f"{waiting} requests wait, {running} run"
    if not dead:
        return Finding(check="queue", state="ok", detail=detail)
    return Finding(
        check="queue",
        state="problem",
        detail=f"{detail}, {dead} could not be worked on",
        next="read the log of the queue's worker, mend the cause, and move them back: "
        "SQS, the dead-letter queue, start DLQ redrive",
    )


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Where Lambda and the registry disagree.

    Attributes:
        orphans: Lambda functions of the user that no revision is recorded of.
        lost: Lambda functions that revisions are recorded of, and that are gone.
        dangling: aliases whose revision is not recorded.
    """

    orphans: tuple[str, ...]
    lost: tuple[str, ...]
    dangling: tuple[str, ...]


def drift(
    live: Iterable[str], recorded: Iterable[str], aliases: Iterable[tuple[str, str]], ids: set[str]
) -> Drift:
    """Compare what runs with what is recorded.

    Args:
        live: names of the user's Lambda functions.
        recorded: names of the Lambda functions of the user's revisions.
        aliases: (name, revision id).
        ids: of the revisions.
    """
    running, known = set(live), set(recorded)
    return Drift(
        orphans=tuple(sorted(running - known)),
        lost=tuple(sorted(known - running)),
        dangling=tuple(sorted(name for name, revision in aliases if revision not in ids)),
    )


def registry(found: Drift) -> list[Finding]:
    """Findings of a drift; one that says so when there is none."""
    findings = [
        Finding(
            check="orphans",
            state="warning",
            detail=f"Lambda function '{name}' has no revision: an interrupted publish left it",
            next="run: fal-serverless doctor --fix, which deletes it",
        )
        for name in found.orphans
    ]
    findings += [
        Finding(
            check="revisions",
            state="problem",
            detail=f"Lambda function '{name}' was deleted, and revisions of it are recorded",
            next="delete them with 'fal-serverless function delete', or serve the function again",
        )
        for name in found.lost
    ]
    findings += [
        Finding(
            check="aliases",
            state="problem",
            detail=f"alias '{name}' points at a revision that is gone",
            next=f"run: fal-serverless alias set {name} REVISION",
        )
        for name in found.dangling
    ]
    if findings:
        return findings
    return [Finding(check="registry", state="ok", detail="it agrees with Lambda")]
