"""``stack deploy|status``: the same as ``sam deploy``, without the SAM CLI."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fal_serverless import changes
from fal_serverless import stack as stacks
from fal_serverless.aws.cloudformation import Deployer
from fal_serverless.cli import ask, render
from fal_serverless.cli.context import settings_of
from fal_serverless.errors import UsageError
from fal_serverless.spec import host_python
from fal_serverless.workspace import session_of

if TYPE_CHECKING:
    from fal_serverless.changes import Proposal

app = typer.Typer(no_args_is_help=True)


@app.command()
def deploy(
    ctx: typer.Context,
    domain: Annotated[str | None, typer.Option(help="Such as gateway.example.com.")] = None,
    certificate: Annotated[str | None, typer.Option(help="ARN of its ACM certificate.")] = None,
    hosted_zone: Annotated[str | None, typer.Option(help="Route 53 zone of the domain.")] = None,
    architecture: Annotated[str, typer.Option(help="Of the gateway.")] = "x86_64",
    python: Annotated[str, typer.Option(help="Of the gateway.")] = "3.12",
    log_retention: Annotated[int | None, typer.Option(help="Days.")] = None,
    queue_concurrency: Annotated[
        int | None, typer.Option(min=0, max=1000, help="Queued requests at a time; 0: no limit.")
    ] = None,
    queue_limit: Annotated[
        int | None, typer.Option(min=1, help="Requests that may wait for one alias.")
    ] = None,
    keep_data: Annotated[
        bool | None, typer.Option("--keep-data/--no-keep-data", help="When it is deleted.")
    ] = None,
    data_access_point: Annotated[
        str | None, typer.Option(help="ARN of an EFS access point for persistent data.")
    ] = None,
    data_subnets: Annotated[str | None, typer.Option(help="Of its VPC: subnet-1,subnet-2.")] = None,
    data_security_groups: Annotated[str | None, typer.Option(help="That may reach it.")] = None,
    dockerfiles: Annotated[
        bool | None,
        typer.Option("--dockerfiles/--no-dockerfiles", help="Build them, by CodeBuild."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes only.")] = False,
    confirm: Annotated[bool, typer.Option("--confirm", help="Ask before the changes.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    allow_data_loss: Annotated[
        bool, typer.Option("--allow-data-loss", help="Replace or remove what holds data, too.")
    ] = False,
) -> None:
    """Deploy the stack, or bring it up to date; what is not said stays as it was."""
    if domain and not certificate:
        raise UsageError(
            "--domain needs --certificate.",
            reason="API Gateway serves a domain with a certificate of ACM only",
            hint=f"request one for *.{domain} in this Region, and give its ARN",
        )
    settings = settings_of(ctx)
    if queue_concurrency == 1:
        raise UsageError(
            "The queue cannot run one request at a time.",
            reason="SQS feeds a Lambda function two messages at a time at least",
            hint="say --queue-concurrency 2, or 0 for no limit",
        )
    if data_access_point and not (data_subnets and data_security_groups):
        raise UsageError(
            "--data-access-point needs --data-subnets and --data-security-groups.",
            reason="functions reach a file system from within its VPC only",
            hint="name private subnets with mount targets, and groups that may reach those",
        )
    said = {
        "DataAccessPointArn": data_access_point,
        "DataSubnetIds": data_subnets,
        "DataSecurityGroupIds": data_security_groups,
        "DomainName": domain,
        "CertificateArn": certificate,
        "HostedZoneId": hosted_zone,
        "LogRetentionDays": log_retention,
        "QueueConcurrency": queue_concurrency,
        "QueueLimit": queue_limit,
        "KeepData": None if keep_data is None else str(keep_data).lower(),
        "Dockerfiles": None if dockerfiles is None else str(dockerfiles).lower(),
    }
    parameters = {name: str(value) for name, value in said.items() if value is not None}
    deployer = Deployer(session_of(settings))
    shown: list[dict[str, str]] = []

    def approve(proposal: Proposal) -> bool:
        shown.extend(changes.rows(proposal.changes))
        if dry_run:
            return False
        _list_changes(shown, new=proposal.new)
        if not allow_data_loss:
            changes.check_losses(proposal.stack, proposal.changes, certain=settings.local)
        if confirm and not yes:
            ask.or_abort(f"Make these {len(shown)} changes to '{proposal.stack}'?")
        return True

    changed = stacks.deploy(
        deployer,
        settings.stack,
        parameters,
        # The emulator runs functions on this machine's Python.
        python=host_python() if settings.local else python,
        architecture=architecture,
        tell=lambda text: render.note(f"  {text}"),
        approve=approve,
    )
    if dry_run:
        _show_plan(shown, as_json=settings.json)
        return
    if not changed:
        render.note(f"Nothing to change: the stack '{settings.stack}' is up to date.")
    _show(ctx, deployer, changed=changed, plan=shown)


def _list_changes(rows: list[dict[str, str]], *, new: bool) -> None:
    """What will happen, on stderr; of a new stack the number says enough."""
    if new:
        render.note(f"  {len(rows)} resources are made")
        return
    for row in rows:
        about = f"{row['type']}  {row['detail']}".rstrip()
        render.note(f"    {row['change']:24} {row['resource']:20} {about}")


def _show_plan(rows: list[dict[str, str]], *, as_json: bool) -> None:
    if as_json:
        render.document({"changes": rows, "changed": False})
        return
    render.table(("change", "resource", "type", "detail"), rows, "Nothing would change.")
    render.note("Nothing was changed (--dry-run).")


@app.command()
def status(ctx: typer.Context) -> None:
    """Show the stack's state and outputs."""
    settings = settings_of(ctx)
    _show(ctx, Deployer(session_of(settings)))


def _outputs(ctx: typer.Context, deployer: Deployer) -> stacks.Outputs:
    settings = settings_of(ctx)
    found = deployer.outputs(settings.stack)
    if found is None:
        raise stacks.missing(settings.stack, local=settings.local)
    return stacks.outputs_of(settings.stack, found)


def _show(
    ctx: typer.Context,
    deployer: Deployer,
    *,
    changed: bool | None = None,
    plan: list[dict[str, str]] | None = None,
) -> None:
    settings = settings_of(ctx)
    outputs = dataclasses.asdict(_outputs(ctx, deployer))
    about: dict[str, Any] = {"status": deployer.status(settings.stack), **outputs}
    if changed is not None:
        about["changed"] = changed
    if settings.json:
        render.document(about if plan is None else {**about, "changes": plan})
        return
    for key, value in about.items():
        render.line(f"{key:17} {value}")
