"""``function serve|list|show|delete``."""

from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from fal_serverless import publish
from fal_serverless.cli import render
from fal_serverless.cli.context import connect, prepare_to_connect, settings_of
from fal_serverless.cli.packaged import (
    DryRun,
    File,
    Func,
    Kind,
    Message,
    Trim,
    check_package,
    notes_of,
    packaged,
    send,
    show_plan,
)
from fal_serverless.discover import discover
from fal_serverless.errors import ConflictError, SpecError, UsageError, did_you_mean
from fal_serverless.names import check_alias, is_revision_id
from fal_serverless.publish import lookup
from fal_serverless.publish.apply import revision_time
from fal_serverless.publish.lease import lease
from fal_serverless.publish.prune import remove
from fal_serverless.publish.state import KEEP_DAYS_MAX, KEEP_MAX, Rule
from fal_serverless.spec import AUTH_MODES, HTTP_TIMEOUT_MAX_S, Auth

if TYPE_CHECKING:
    from fal_serverless.package import Package
    from fal_serverless.publish.apply import Outcome
    from fal_serverless.publish.state import Revision
    from fal_serverless.workspace import Workspace

app = typer.Typer(no_args_is_help=True)


@app.command()
def serve(
    ctx: typer.Context,
    file: File,
    func: Func,
    alias: Annotated[str, typer.Option(help="Name in the URL; moved when it exists.")] = "",
    auth: Annotated[str, typer.Option(help="private, public or shared.")] = "",
    message: Message = "",
    package: Kind = "auto",
    trim: Trim = False,
    keep: Annotated[
        int | None,
        typer.Option(min=1, max=KEEP_MAX, help="From now on, its newest revisions that stay."),
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option(min=1, max=KEEP_DAYS_MAX, help="From now on, days that each revision stays."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Publish a revision of FUNC in FILE, and move the alias to it."""
    settings = settings_of(ctx)
    mode = check_auth(auth)
    check_package(package)
    prepare_to_connect()
    found = discover(file, func)
    if found.function.spec().mode == "call":
        raise SpecError(
            f"'{func}' is not marked to be served.",
            reason="it has neither serve=True nor exposed_port",
            hint=f"write @isolated(serve=True) above def {func}",
        )
    space = connect(ctx)
    if alias:
        check_alias(alias, space.user)
    if secrets := found.function.spec().secrets:
        space.secrets.require(secrets)
    with packaged(found, space, settings, package, trim=trim, dry=dry_run) as built:
        _note_timeout(built)
        wanted = publish.want(
            built,
            space.target,
            revision=str(uuid.uuid4()),
            alias=alias,
            auth=mode,
            rule=rule_of(space, func, keep, keep_days),
        )
        prepared = publish.prepare(wanted, space.publisher, space.user)
        if dry_run:
            show_plan(prepared, built, as_json=settings.json)
            return
        outcome = send(space, prepared, built, message=message)
    _show_outcome(outcome, built, alias, space, as_json=settings.json)


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the revisions, newest first."""
    space = connect(ctx)
    pointing: dict[str, list[str]] = {}
    for item in space.registry.aliases(space.user):
        pointing.setdefault(item.revision, []).append(item.name)
    rows = [
        {
            "name": item.name,
            "revision": item.id,
            "alias": pointing.get(item.id, [None])[0],
            "aliases": pointing.get(item.id, []),
            "auth": item.auth,
            "created_at": item.created_at,
            "url": space.url(pointing.get(item.id, [item.id])[0]) if item.mode != "call" else None,
        }
        for item in space.registry.revisions(space.user)
    ]
    if settings_of(ctx).json:
        render.document({"functions": rows})
        return
    rows = [{**row, "alias": ", ".join(pointing.get(str(row["revision"]), []))} for row in rows]
    columns = ("name", "revision", "alias", "auth", "created_at", "url")
    render.table(columns, rows, "Nothing is served yet.")


@app.command()
def show(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(help="Revision, alias or function.")],
) -> None:
    """Show a revision: the newest one of a function, or the one that an alias points at."""
    space = connect(ctx)
    revision = find(space, target)[0]
    names = [
        item.name for item in space.registry.aliases(space.user) if item.revision == revision.id
    ]
    about: dict[str, Any] = {
        **dataclasses.asdict(revision),
        "aliases": names,
        "urls": [space.url(label) for label in (*names, revision.id) if revision.mode != "call"],
    }
    if settings_of(ctx).json:
        render.document(about)
        return
    for key, value in about.items():
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        render.line(f"{key:13} {text}")


@app.command()
def delete(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(help="Revision, or function with all its revisions.")],
) -> None:
    """Delete a revision, or a function with all of them; refused while an alias points there."""
    space = connect(ctx)
    known = {item.name for item in space.registry.revisions(space.user)}
    other = not is_revision_id(target) and target not in known
    if other and space.registry.alias(space.user, target) is not None:
        raise ConflictError(
            f"'{target}' is an alias.",
            reason="function delete takes a revision or a function",
            hint=f"run: fal-serverless alias delete {target}",
        )
    doomed = find(space, target)
    for function in sorted({item.function for item in doomed}):
        with lease(space.registry, function, space.publisher.clock):
            mine = tuple(item for item in doomed if item.function == function)
            remove(space.publisher, function, mine)
    left = {item.name for item in space.registry.revisions(space.user)}
    for name in {item.name for item in doomed} - left:
        space.registry.delete_rule(space.user, name)
    if settings_of(ctx).json:
        render.document({"deleted": [item.id for item in doomed]})
        return
    for item in doomed:
        render.line(f"Deleted revision '{item.id}' of '{item.name}'.")


def find(space: Workspace, target: str) -> tuple[Revision, ...]:
    """The revisions that a name stands for, see ``publish.lookup``."""
    return lookup.find(space.registry, space.user, target)


def rule_of(space: Workspace, name: str, keep: int | None, keep_days: int | None) -> Rule | None:
    """The retention rule that ``--keep`` and ``--keep-days`` ask for, or None without them."""
    if keep is None and keep_days is None:
        return None
    return Rule(
        owner=space.user,
        name=name,
        keep=keep or 0,
        keep_days=keep_days or 0,
        by=space.identity.principal,
        at=revision_time(space.publisher.clock),
    )


def check_auth(auth: str) -> Auth | None:
    """``--auth`` as given, or None without it.

    Raises:
        UsageError: there is no such mode.
    """
    if auth in ("", *AUTH_MODES):
        return cast("Auth", auth) if auth else None
    raise UsageError(
        f"--auth cannot be '{auth}'.",
        reason="the modes are " + ", ".join(AUTH_MODES),
        hint=did_you_mean(auth, AUTH_MODES),
    )


def _note_timeout(built: Package) -> None:
    if built.spec.timeout > HTTP_TIMEOUT_MAX_S:
        render.note(
            f"  note: timeout={built.spec.timeout} is above the {HTTP_TIMEOUT_MAX_S} s that API "
            "Gateway waits; a direct request that takes longer is answered with 504: "
            "send it to the queue, POST /fal/queue/submit on the same address"
        )


def _show_outcome(
    outcome: Outcome, built: Package, alias: str, space: Workspace, *, as_json: bool
) -> None:
    revision = outcome.revision
    url = space.url(alias or revision.id)
    for note in outcome.notes:
        render.note(f"  note: {note}")
    if as_json:
        render.document(
            {
                "revision": revision.id,
                "alias": alias or None,
                "url": url,
                "auth": revision.auth,
                "function": revision.function,
                "version": revision.version,
                "package": built.kind,
                "layers": list(revision.layers),
                "steps": [{"step": item.step, "seconds": item.seconds} for item in outcome.steps],
                "notes": [*notes_of(built), *outcome.notes],
            }
        )
        return
    if alias:
        render.line(f"Registered a new revision for function '{alias}' (revision='{revision.id}').")
    else:
        render.line(f"Registered anonymous function '{revision.id}'.")
    render.line(f"URL: {url}")
