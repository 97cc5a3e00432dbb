"""``stack deploy|status|delete``: the same as ``sam deploy``, without the SAM CLI."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from fal_serverless import stack as stacks
from fal_serverless.aws.cloudformation import Deployer
from fal_serverless.aws.lambdas import LambdaFunctions
from fal_serverless.cli import render
from fal_serverless.cli.context import settings_of
from fal_serverless.errors import ConflictError, UsageError
from fal_serverless.spec import host_python
from fal_serverless.workspace import session_of

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
    said = {
        "DomainName": domain,
        "CertificateArn": certificate,
        "HostedZoneId": hosted_zone,
        "LogRetentionDays": log_retention,
        "QueueConcurrency": queue_concurrency,
        "QueueLimit": queue_limit,
        "KeepData": None if keep_data is None else str(keep_data).lower(),
    }
    parameters = {name: str(value) for name, value in said.items() if value is not None}
    deployer = Deployer(session_of(settings))
    changed = stacks.deploy(
        deployer,
        settings.stack,
        parameters,
        # The emulator runs functions on this machine's Python.
        python=host_python() if settings.local else python,
        architecture=architecture,
        tell=lambda text: render.note(f"  {text}"),
    )
    _show(ctx, deployer, changed=changed)


@app.command()
def status(ctx: typer.Context) -> None:
    """Show the stack's state and outputs."""
    settings = settings_of(ctx)
    _show(ctx, Deployer(session_of(settings)))


@app.command()
def delete(
    ctx: typer.Context,
    functions: Annotated[
        bool, typer.Option("--functions", help="Delete the served functions as well.")
    ] = False,
    keep_data: Annotated[
        bool, typer.Option("--keep-data", help="The stack was deployed with --keep-data.")
    ] = False,
) -> None:
    """Delete the stack with everything that it holds."""
    settings = settings_of(ctx)
    session = session_of(settings)
    deployer = Deployer(session)
    outputs = _outputs(ctx, deployer)
    lambdas = LambdaFunctions(session.client("lambda"))
    served = _served(lambdas, outputs)
    if served and not functions:
        raise ConflictError(
            f"The stack '{settings.stack}' still serves {len(served)} functions.",
            reason=", ".join(served[:5]) + (" …" if len(served) > 5 else ""),
            hint="add --functions to delete them with it",
        )
    for name in served:
        render.note(f"  delete {name}")
        lambdas.delete(name)
    if not keep_data:
        deployer.empty_bucket(outputs.bucket)
    deployer.delete(settings.stack)
    if settings.json:
        render.document({"deleted": settings.stack, "functions": list(served)})
        return
    render.line(f"Deleted the stack '{settings.stack}'.")


def _served(lambdas: LambdaFunctions, outputs: stacks.Outputs) -> tuple[str, ...]:
    """Functions that were served through this stack, by the role that they run under."""
    names = lambdas.names("fal-")
    return tuple(name for name in names if lambdas.role(name) == outputs.role)


def _outputs(ctx: typer.Context, deployer: Deployer) -> stacks.Outputs:
    settings = settings_of(ctx)
    found = deployer.outputs(settings.stack)
    if found is None:
        raise stacks.missing(settings.stack, local=settings.local)
    return stacks.outputs_of(settings.stack, found)


def _show(ctx: typer.Context, deployer: Deployer, *, changed: bool | None = None) -> None:
    settings = settings_of(ctx)
    outputs = dataclasses.asdict(_outputs(ctx, deployer))
    about = {"status": deployer.status(settings.stack), **outputs}
    if changed is not None:
        about["changed"] = changed
    if settings.json:
        render.document(about)
        return
    for key, value in about.items():
        render.line(f"{key:17} {value}")
