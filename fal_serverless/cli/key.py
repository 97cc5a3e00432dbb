"""``key generate|list|revoke``."""

from __future__ import annotations

from typing import Annotated

import typer

from fal_serverless import keys
from fal_serverless.aws.key_uses import KEPT_DAYS
from fal_serverless.cli import render
from fal_serverless.cli.context import connect, filled, settings_of
from fal_serverless.gateway.queue import webhook
from fal_serverless.publish.apply import revision_time

app = typer.Typer(no_args_is_help=True)


@app.command()
def generate(
    ctx: typer.Context,
    scope: Annotated[str, typer.Option(help="ADMIN or API.")],
    alias: Annotated[str, typer.Option(help="A name for people.")] = "",
    expires: Annotated[
        str, typer.Option(callback=filled, help="When it ends, such as 90d; never without.")
    ] = "",
) -> None:
    """Make a key. Its secret is shown once, and stored nowhere."""
    wanted = keys.check_scope(scope)
    seconds = keys.life(expires) if expires else None
    keys.check_note(alias)
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
                "expires_at": render.moment(record.expires_at),
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
    """List your keys, without their secrets; when each was last used is right to about a minute."""
    space = connect(ctx)
    now = space.publisher.clock.now()
    found = space.registry.keys(space.user)
    used = space.key_uses.read((item["key_id"] for item in found), now, now)
    rows = [
        {
            "key_id": item["key_id"],
            "scope": item["scope"],
            "alias": item.get("alias", ""),
            "state": keys.state(item.get("expires_at"), item.get("revoked_at"), now),
            "created_at": item.get("created_at"),
            "expires_at": render.moment(item.get("expires_at")),
            "last_used": render.moment(used[item["key_id"]].last),
        }
        for item in found
    ]
    if settings_of(ctx).json:
        render.document({"keys": rows})
        return
    columns = ("key_id", "scope", "alias", "state", "created_at", "expires_at", "last_used")
    never = f"not in the last {KEPT_DAYS} days"
    shown = [{**row, "last_used": row["last_used"] or never} for row in rows]
    render.table(columns, shown, "There are no keys.")


@app.command()
def revoke(
    ctx: typer.Context, key_id: Annotated[str, typer.Argument(help="Id of the key.")]
) -> None:
    """Make a key useless, everywhere within 5 seconds."""
    space = connect(ctx)
    space.registry.revoke_key(space.user, key_id, space.publisher.clock.now())
    if settings_of(ctx).json:
        render.document({"revoked": key_id})
        return
    render.line(f"Revoked key '{key_id}'.")
