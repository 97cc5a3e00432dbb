"""``stack delete``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless import stack as stacks
from fal_serverless.aws import stack_inventory
from fal_serverless.aws.cloudformation import Deployer
from fal_serverless.cli import ask, render
from fal_serverless.cli.context import settings_of
from fal_serverless.cli.stack import app
from fal_serverless.errors import UsageError
from fal_serverless.local.embedded import STACK
from fal_serverless.workspace import session_of

if TYPE_CHECKING:
    from fal_serverless.inventory import Inventory
    from fal_serverless.settings import Settings


@app.command()
def delete(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List only what would go.")] = False,
    keep_data: Annotated[
        bool, typer.Option("--keep-data", help="Fail unless the table and the bucket are kept.")
    ] = False,
) -> None:
    """Delete the stack and everything that was served through it; it is listed first."""
    settings = settings_of(ctx)
    _check_embedded(settings)
    session = session_of(settings)
    deployer = Deployer(session)
    if deployer.status(settings.stack) is None:
        raise stacks.missing(settings.stack, local=settings.local)
    keeps = deployer.parameters(settings.stack).get("KeepData") == "true"
    if keep_data and not keeps:
        raise UsageError(
            f"The stack '{settings.stack}' would take its data with it.",
            reason="it was deployed without --keep-data",
            hint="run: fal-serverless stack deploy --keep-data, and delete it then",
        )
    outputs = deployer.outputs(settings.stack) or {}
    found = stack_inventory.take(session, settings.stack, outputs, keep=keeps)
    if not dry_run or not settings.json:
        _list(settings.stack, found)
    if dry_run:
        _show(settings, found, deleted=False)
        return
    if not yes:
        ask.or_abort(f"Delete the stack '{settings.stack}' with all of that?")
    stack_inventory.remove(session, found, _tell)
    if not keeps and "ArtifactBucket" in outputs:
        deployer.empty_bucket(outputs["ArtifactBucket"])
    _tell(f"delete the stack {settings.stack}")
    deployer.delete(settings.stack, _tell)
    _show(settings, found, deleted=True)
    if not settings.local:
        bucket = deployer.bootstrap_name()
        render.note(f"The bucket {bucket} with the gateway's code stays: stacks share it.")
        render.note(f"To delete it as well: aws s3 rb --force s3://{bucket}")


def _tell(text: str) -> None:
    render.note(f"  {text}")


def _check_embedded(settings: Settings) -> None:
    if settings.local and settings.stack == STACK:
        raise UsageError(
            "The embedded stack is not deleted alone.",
            reason="its emulator and its gateway would run on without it",
            hint="run: fal-serverless local reset",
        )


def _list(stack: str, found: Inventory) -> None:
    lines = found.lines()
    render.note(f"With the stack '{stack}' go" + (":" if lines else " its own resources alone."))
    for text in lines:
        render.note(text)


def _show(settings: Settings, found: Inventory, *, deleted: bool) -> None:
    if settings.json:
        counts = {kind.replace(" ", "_"): count for kind, count in found.counts().items()}
        about = {"counts": counts, "functions": list(found.functions), "kept": list(found.kept)}
        render.document({"deleted": settings.stack if deleted else None, **about})
    elif deleted:
        render.line(f"Deleted the stack '{settings.stack}'.")
    else:
        render.note("Nothing was deleted (--dry-run).")
