"""``local start|stop|status|reset``: the embedded stack."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads annotations
from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless.cli import render
from fal_serverless.cli.context import settings_of
from fal_serverless.errors import UsageError
from fal_serverless.local.embedded import Embedded, Status

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(no_args_is_help=True)


@app.command()
def start(
    ctx: typer.Context,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the gateway; 0: any.")
    ] = None,
    emulator_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the emulator; 0: any.")
    ] = None,
    https_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the gateway's https; 0: any.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file; the gateway then speaks https too.")
    ] = None,
    certificate_key: Annotated[
        Path | None, typer.Option(help="PEM file of the certificate's key.")
    ] = None,
    enforce_iam: Annotated[
        bool, typer.Option("--enforce-iam", help="Let the emulator enforce IAM policies.")
    ] = False,
) -> None:
    """Start the emulator, deploy the template on it, start the gateway."""
    embedded = _embedded(ctx, tell=lambda text: render.note(f"  {text}"))
    pair = _pair(certificate, certificate_key)
    if https_port is not None and pair is None:
        raise UsageError(
            "https needs a certificate.",
            reason="--https-port is given, and --certificate is not",
            hint="make one for *.gateway.localhost, for example with mkcert",
        )
    found = embedded.start(
        port=port,
        emulator_port=emulator_port,
        https_port=https_port,
        certificate=pair,
        auth=enforce_iam,
    )
    _show(ctx, found)


def _pair(certificate: Path | None, key: Path | None) -> tuple[str, str] | None:
    if certificate is None and key is None:
        return None
    for path in (certificate, key):
        if path is None or not path.is_file():
            raise UsageError(
                "The certificate cannot be used.",
                reason="--certificate and --certificate-key belong together"
                if path is None
                else f"there is no file {path}",
                hint="give both files, PEM, for example those that mkcert writes",
            )
    return str(certificate.resolve()), str(key.resolve())  # type: ignore[union-attr]


@app.command()
def stop(ctx: typer.Context) -> None:
    """Stop it; what was served is kept."""
    _show(ctx, _embedded(ctx).stop())


@app.command()
def status(ctx: typer.Context) -> None:
    """Say whether it runs."""
    _show(ctx, _embedded(ctx).status())


@app.command()
def reset(ctx: typer.Context) -> None:
    """Stop it, and forget everything that was served on it."""
    _show(ctx, _embedded(ctx).reset())


def _embedded(ctx: typer.Context, tell: Callable[[str], None] = lambda _: None) -> Embedded:
    return Embedded(settings_of(ctx).home, tell)


def _show(ctx: typer.Context, found: Status) -> None:
    if settings_of(ctx).json:
        render.document({**vars(found), "problems": list(found.problems)})
        return
    render.line(f"The embedded stack is {found.state}.")
    for problem in found.problems:
        render.line(f"  {problem}")
    if found.state == "running":
        render.line(f"Gateway:  {found.gateway_url}")
        if found.https_url:
            render.line(f"          {found.https_url}")
        render.line(f"Emulator: {found.endpoint_url}")
        render.line("Use it with --local, or FAL_PROFILE=local.")
