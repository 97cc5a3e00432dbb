"""``doctor``: everything that a URL needs, looked at in turn."""

from __future__ import annotations

import functools
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless import doctor, workspace
from fal_serverless.aws.identity import clock_skew
from fal_serverless.aws.queue_depth import depth
from fal_serverless.cli import doctor_checks, render
from fal_serverless.cli.context import settings_of
from fal_serverless.doctor import Finding
from fal_serverless.errors import FalServerlessError, OperationError
from fal_serverless.local.embedded import Embedded
from fal_serverless.local.emulator import answers
from fal_serverless.package.uv import run_uv
from fal_serverless.publish.lease import lease
from fal_serverless.spec import host_python

if TYPE_CHECKING:
    from collections.abc import Callable

    from fal_serverless.settings import Settings
    from fal_serverless.workspace import Workspace

app = typer.Typer(invoke_without_command=True)


@app.callback()
def examine(
    ctx: typer.Context,
    fix: Annotated[bool, typer.Option("--fix", help="Delete what nothing needs.")] = False,
) -> None:
    """Check this machine, the credentials, the account and the stack; say what to do."""
    settings = settings_of(ctx)
    findings = [doctor.python(host_python()), _try("uv", _uv)]
    findings += _beyond(settings, fix=fix)
    problems = sum(finding.state == "problem" for finding in findings)
    if settings.json:
        render.document({"findings": [asdict(finding) for finding in findings]})
    else:
        columns = ("state", "check", "detail", "next")
        render.table(columns, [asdict(finding) for finding in findings], "")
    if problems:
        raise typer.Exit(OperationError.exit_code)


def _try(check: str, look: Callable[[], Finding], *, warn: bool = False) -> Finding:
    """A check whose error is what it found; with ``warn`` it only could not be looked at."""
    try:
        return look()
    except FalServerlessError as error:
        return doctor.failed(check, error, state="warning" if warn else "problem")


def _uv() -> Finding:
    ran = run_uv(["--version"])
    return Finding(check="uv", state="ok", detail=ran.output.strip())


def _beyond(settings: Settings, *, fix: bool) -> list[Finding]:
    """What needs AWS; nothing that rests on a part that failed."""
    try:
        session = workspace.session_of(settings)
        skew = clock_skew(session)
    except FalServerlessError as error:
        return [doctor.failed("credentials", error)]
    findings = [doctor.clock(skew)]
    try:
        space = workspace.connect(settings)
    except FalServerlessError as error:
        return [*findings, doctor.failed("stack", error)]
    who = f"user {space.user}, {space.identity.principal}"
    findings += [
        Finding(check="credentials", state="ok", detail=who),
        _try("artifacts", lambda: _artifacts(space)),
        _gateway(space, settings),
        _try("queue", lambda: _queue(space), warn=True),
    ]
    checks: dict[str, Callable[[Workspace], list[Finding]]] = {
        "version": doctor_checks.version,
        "drift": doctor_checks.drift,
        "domain": doctor_checks.domain,
        "permissions": doctor_checks.permissions,
        "limits": doctor_checks.limits,
        "names": doctor_checks.names,
        "runtime": doctor_checks.runtimes,
        "leftovers": functools.partial(doctor_checks.remains, fix=fix),
        "scheduled runs": doctor_checks.scheduled_runs,
        "schedules": functools.partial(doctor_checks.schedules, fix=fix),
    }
    for name, check in checks.items():
        try:
            findings += check(space)
        except FalServerlessError as error:
            # That it could not be looked at is no fault of the stack.
            findings.append(doctor.failed(name, error, state="warning"))
    try:
        findings += _registry(space, fix=fix)
    except FalServerlessError as error:
        findings.append(doctor.failed("registry", error, state="warning"))
    return findings


def _queue(space: Workspace) -> Finding:
    return doctor.queue(**vars(depth(space.session, space.outputs.queue_url)))


def _artifacts(space: Workspace) -> Finding:
    space.publisher.artifacts.has("doctor")
    return Finding(check="artifacts", state="ok", detail=f"bucket {space.outputs.bucket}")


def _gateway(space: Workspace, settings: Settings) -> Finding:
    if settings.local:
        url = Embedded(settings.home).status().gateway_url
        url = url.replace("gateway.localhost", "127.0.0.1")
    else:
        url = space.outputs.gateway_url
    if answers(f"{url}/_fal/health"):
        return Finding(check="gateway", state="ok", detail=f"{url} answers")
    return Finding(
        check="gateway",
        state="problem",
        detail=f"{url} does not answer",
        next=f"read the log group /fal-serverless/{space.outputs.name}/gateway",
    )


def _registry(space: Workspace, *, fix: bool) -> list[Finding]:
    found = _drift(space)
    if not fix or not found.orphans:
        return doctor.registry(found)
    for name in found.orphans:
        # Whoever publishes holds the lease: what has no revision once it is ours is left over.
        with lease(space.registry, name, space.publisher.clock):
            if name in _drift(space).orphans:
                space.functions.delete(name)
                space.logs.delete(name)
    mended = [
        Finding(check="orphans", state="ok", detail=f"deleted Lambda function '{name}'")
        for name in found.orphans
    ]
    return [*mended, *doctor.registry(_drift(space))]


def _drift(space: Workspace) -> doctor.Drift:
    revisions = space.registry.revisions(space.user)
    return doctor.drift(
        space.functions.names(f"fal-{space.user}-"),
        {item.function for item in revisions},
        [(item.name, item.revision) for item in space.registry.aliases(space.user)],
        {item.id for item in revisions},
    )
