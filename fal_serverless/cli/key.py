"""``key generate|list|revoke``."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

import typer

from fal_serverless import keys
from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of
from fal_serverless.gateway.queue import webhook
from fal_serverless.publish.apply import revision_time

app = typer.Typer(no_args_is_help=True)


@app.command()
def generate(
    ctx: typer.Context,
    scope: Annotated[str, typer.Option(help="ADMIN or API.")],
    alias: Annotated[str, typer.Option(help="A name for people.")] = "",
    expires: Annotated[str, typer.Option(help="When it ends, such as 90d; never without.")] = "",
) -> None:
    """Make a key. Its secret is shown once, and stored nowhere."""
    wanted = keys.check_scope(scope)
    seconds = keys.parse_duration(expires) if expires else None
    space = connect(ctx)
    clock = space.publisher.clock
    key = keys.generate()
    record = keys.KeyRecord(
        id=key.id,
        secret_sha256=keys.hash_secret(key.secret),
        owner=space.user,
        scope=wanted,
        alias=alias,
        expires_at=int(clock.now()) + seconds if seconds else None,
    )
    space.registry.add_key(record, revision_time(clock))
    if settings_of(ctx).json:
        render.document(
            {
                "key_id": key.id,
                "key_secret": key.secret,
                "scope": wanted,
                "alias": alias,
                "expires_at": _moment(record.expires_at),
            }
        )
        return
    render.note("The secret is shown this once.")
    render.line(f"FAL_KEY_ID='{key.id}'")
    render.line(f"FAL_KEY_SECRET='{key.secret}'")


@app.command("webhook-secret")
def webhook_secret(
    ctx: typer.Context,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new one; the old one signs for a day more.")
    ] = False,
) -> None:
    """Show the secret that the queue's webhooks are signed with; make one if there is none."""
    space = connect(ctx)
    found = space.registry.webhook_secret(space.user)
    if found is None or rotate:
        made = webhook.new_secret()
        until = int(space.publisher.clock.now()) + webhook.OVERLAP_S
        found = space.registry.set_webhook_secret(space.user, made, previous=found, until=until)
    if settings_of(ctx).json:
        render.document({"secret": found})
        return
    render.line(f"FAL_WEBHOOK_SECRET='{found}'")


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List your keys, without their secrets."""
    space = connect(ctx)
    rows = [
        {
            "key_id": item["key_id"],
            "scope": item["scope"],
            "alias": item.get("alias", ""),
            "created_at": item.get("created_at"),
            "expires_at": _moment(item.get("expires_at")),
        }
        for item in space.registry.keys(space.user)
    ]
    if settings_of(ctx).json:
        render.document({"keys": rows})
        return
    columns = ("key_id", "scope", "alias", "created_at", "expires_at")
    render.table(columns, rows, "There are no keys.")


@app.command()
def revoke(
    ctx: typer.Context, key_id: Annotated[str, typer.Argument(help="Id of the key.")]
) -> None:
    """Make a key useless, everywhere within 5 seconds."""
    space = connect(ctx)
    space.registry.revoke_key(space.user, key_id)
    if settings_of(ctx).json:
        render.document({"revoked": key_id})
        return
    render.line(f"Revoked key '{key_id}'.")


def _moment(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, tz=timezone.utc).isoformat().replace("+00:00", "Z")
