"""The checks of ``doctor`` that look at a stack and its account; each may fail by itself."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from fal_serverless import __version__, doctor, stack
from fal_serverless.aws import account as aws_account
from fal_serverless.aws import drift as aws_drift
from fal_serverless.aws import leftovers as aws_leftovers
from fal_serverless.aws.queue_depth import count
from fal_serverless.checks import account, leftovers
from fal_serverless.checks import schedules as fired
from fal_serverless.checks import stack as checks
from fal_serverless.doctor import Finding
from fal_serverless.errors import AuthError
from fal_serverless.local.embedded import STACK
from fal_serverless.package.runtime_layer import runtime_digest
from fal_serverless.publish.plan import layer_name
from fal_serverless.spec import SUPPORTED_PYTHONS

if TYPE_CHECKING:
    from fal_serverless.workspace import Workspace


def limits(space: Workspace) -> list[Finding]:
    """The account's concurrency and code storage."""
    found = aws_account.limits(space.session)
    return [doctor.concurrency(found.unreserved), account.storage(found.used, found.code)]


def permissions(space: Workspace) -> list[Finding]:
    """The caller's rights beside the deployer's policy, as IAM's simulator sees them."""
    arn = space.identity.arn
    if arn.endswith(":root"):
        detail = "the account's root user may do everything"
        return [Finding(check="permissions", state="ok", detail=detail)]
    principal = aws_account.principal_of(space.session, arn)
    if principal is None:
        return [account.not_simulated(f"IAM has no user or role for {arn}")]
    policy = (stack.root() / account.POLICY).read_text(encoding="utf-8")
    questions = account.asks(
        policy,
        principal=principal,
        region=space.session.region,
        stack=space.outputs.name,
        known=_known(space),
    )
    try:
        return account.permissions(aws_account.denied(space.session, principal, questions))
    except AuthError as error:
        return [account.not_simulated(error.reason)]


def _known(space: Workspace) -> tuple[str, ...]:
    """ARNs of the stack's parts, for patterns that they fit."""
    outputs, place = space.outputs, f"{space.session.region}:{space.identity.account}"
    partition = space.identity.arn.split(":")[1]
    return (
        outputs.role,
        outputs.schedule_role,
        f"arn:{partition}:scheduler:{place}:schedule/{outputs.schedules}/doctor",
        f"arn:{partition}:dynamodb:{place}:table/{outputs.table}",
        f"arn:{partition}:dynamodb:{place}:table/{outputs.requests}",
        f"arn:{partition}:s3:::{outputs.bucket}",
        f"arn:{partition}:s3:::{outputs.bucket}/calls/doctor",
        f"arn:{partition}:s3:::{outputs.bucket}/doctor",
        f"arn:{partition}:ecr:{place}:repository/{outputs.images.partition('/')[2]}",
        f"arn:{partition}:sqs:{place}:{outputs.queue_url.rpartition('/')[2]}",
    )


def version(space: Workspace) -> list[Finding]:
    """Whether the stack is older than this command."""
    outputs = space.outputs
    return [
        checks.version(
            outputs.version,
            __version__,
            digest=outputs.digest,
            own_digest=stack.digest(),
            embedded=space.local and outputs.name == STACK,
        )
    ]


def drift(space: Workspace) -> list[Finding]:
    """Whether somebody changed the stack's resources behind CloudFormation's back."""
    return checks.drift(aws_drift.detect(space.session, space.outputs.name))


def domain(space: Workspace) -> list[Finding]:
    """Whether names under the stack's domain lead anywhere."""
    if not space.outputs.domain:
        return []
    host = f"doctor.{space.outputs.domain}"
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        return [
            Finding(
                check="domain",
                state="problem",
                detail=f"{host} has no address: {error}",
                next=f"make a DNS record for *.{space.outputs.domain} (docs/deploy.md), or deploy "
                "with --hosted-zone",
            )
        ]
    return [Finding(check="domain", state="ok", detail=f"{host} has an address")]


def names(space: Workspace) -> list[Finding]:
    """Whether aliases fit into URLs."""
    aliases = space.registry.aliases(space.user)
    return [doctor.names(space.user, (item.name for item in aliases))]


def runtimes(space: Workspace) -> list[Finding]:
    """Whether aliases lead to this command's runtime."""
    current = {python: layer_name(runtime_digest(python)) for python in SUPPORTED_PYTHONS}
    revisions = space.registry.revisions(space.user)
    return [leftovers.runtimes(revisions, space.registry.aliases(space.user), current)]


def remains(space: Workspace, *, fix: bool) -> list[Finding]:
    """What nothing needs any more; with ``fix``, it is deleted."""
    repository = space.outputs.images.partition("/")[2]
    found = aws_leftovers.unneeded(
        space.session,
        user=space.user,
        table=space.outputs.table,
        repository=repository,
        now=space.publisher.clock.now(),
    )
    if fix:
        aws_leftovers.delete(space.session, found, repository)
    shown = leftovers.leftovers(found, fixed=fix)
    return shown or [Finding(check="leftovers", state="ok", detail="none of layers, logs, images")]


def scheduled_runs(space: Workspace) -> list[Finding]:
    """Whether scheduled runs reach Lambda."""
    return [fired.undelivered(count(space.session, space.outputs.undelivered_url))]


def schedules(space: Workspace, *, fix: bool) -> list[Finding]:
    """Whether the user's schedules fire; with ``fix``, what fires for nobody is deleted."""
    # Rules before records: a record is there before its rules.
    rules = space.scheduler.names(f"{space.user}-")
    records = space.registry.schedules(space.user)
    strays = fired.strays(rules, records) if fix else ()
    for name in strays:
        space.scheduler.delete(name)
    mended = [
        Finding(check="schedules", state="ok", detail=f"deleted EventBridge's schedule '{name}'")
        for name in strays
    ]
    left = [name for name in rules if name not in strays]
    return [*mended, *fired.schedules(left, records)]
