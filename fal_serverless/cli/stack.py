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
    domain: Annotated[str, typer.Option(help="Such as gateway.example.com.")] = "",
    certificate: Annotated[str, typer.Option(help="ARN of its ACM certificate.")] = "",
    hosted_zone: Annotated[str, typer.Option(help="Route 53 zone of the domain.")] = "",
    architecture: Annotated[str, typer.Option(help="Of the gateway.")] = "x86_64",
    python: Annotated[str, typer.Option(help="Of the gateway.")] = "3.12",
    log_retention: Annotated[int, typer.Option(help="Days.")] = 30,
    keep_data: Annotated[bool, typer.Option("--keep-data", help="When it is deleted.")] = False,
) -> None:
    """Deploy the stack, or bring it up to date."""
    if domain and not certificate:
        raise UsageError(
            "--domain needs --certificate.",
            reason="API Gateway serves a domain with a certificate of ACM only",
            hint=f"request one for *.{domain} in this Region, and give its ARN",
        )
    settings = settings_of(ctx)
    parameters = {
        "DomainName": domain,
        "CertificateArn": certificate,
        "HostedZoneId": hosted_zone,
        "LogRetentionDays": str(log_retention),
        "KeepData": "true" if keep_data else "false",
    }
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
