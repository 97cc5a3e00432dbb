"""Finds what a stack holds besides its own resources, and deletes it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fal_serverless.aws import records
from fal_serverless.aws.lambdas import LambdaFunctions
from fal_serverless.aws.leftovers import Leftovers
from fal_serverless.aws.logs import log_group
from fal_serverless.aws.queue_depth import depth
from fal_serverless.inventory import Inventory, unshared_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fal_serverless.aws.session import Session

_KINDS = {"REV": "revisions", "ALIAS": "aliases", "CRON": "schedules", "KEY": "keys"}


def take(session: Session, stack: str, outputs: Mapping[str, str], *, keep: bool) -> Inventory:
    """The inventory of a stack; of one that was never finished, as far as its outputs lead.

    Args:
        keep: the table and the bucket outlive the stack, and the secrets with them.
    """
    found = Leftovers(session)
    versions = found.function_versions()
    role = outputs.get("FunctionRoleArn")
    mine = sorted(
        {
            str(item["FunctionName"])
            for item in versions
            if role and item["Role"] == role and item["FunctionName"].startswith("fal-")
        }
    )
    others = {item["FunctionName"] for item in versions} - set(mine)
    table = outputs.get("TableName")
    items = found.items(table, ("REV#", "ALIAS#", "CRON#", "KEY#")) if table else ()
    plain = [records.from_item(item) for item in items]
    recorded = {str(item["function"]) for item in plain if item["sk"].startswith("REV#")} - others
    groups = {log_group(name) for name in {*mine, *recorded}}
    layers = {str(arn) for item in plain for arn in item.get("layers", ())}
    repository = outputs.get("ImageRepositoryUri", "").partition("/")[2]
    queue = outputs.get("QueueUrl")
    return Inventory(
        functions=tuple(mine),
        logs=tuple(
            sorted(
                item["logGroupName"]
                for item in found.log_groups(log_group("fal-"))
                if item["logGroupName"] in groups
            )
        ),
        layers=unshared_layers(versions, mine, layers),
        alarms=found.alarms(f"{stack}-split-"),
        secrets=() if keep else found.parameters(f"/fal/{stack}/"),
        records=_counts(plain),
        images=len(found.images(repository)) if repository else 0,
        waiting=depth(session, queue).waiting if queue else 0,
        kept=_kept(outputs) if keep else (),
    )


def remove(session: Session, found: Inventory, tell: Callable[[str], None]) -> None:
    """Delete what is in an inventory, except for what goes with the stack itself."""
    lambdas = LambdaFunctions(session.client("lambda"))
    leftovers = Leftovers(session)
    for function in found.functions:
        tell(f"delete {function}")
        lambdas.delete(function)
    if found.alarms:
        tell(f"delete {len(found.alarms)} alarms")
        leftovers.delete_alarms(found.alarms)
    for layer in found.layers:
        tell(f"delete the layer {layer}")
        leftovers.delete_layer(layer)
    for group in found.logs:
        tell(f"delete the log {group}")
        leftovers.delete_log_group(group)
    if found.secrets:
        tell(f"delete {len(found.secrets)} secrets")
        leftovers.delete_parameters(found.secrets)


def _counts(plain: list[dict[str, object]]) -> dict[str, int]:
    # A key has a record of its own for the gateway, and one in its owner's list.
    owned = [item for item in plain if str(item["pk"]).startswith("USER#")]
    counts = Counter(_KINDS[str(item["sk"]).partition("#")[0]] for item in owned)
    return {**counts, "users": len({item["pk"] for item in owned})}


def _kept(outputs: Mapping[str, str]) -> tuple[str, ...]:
    return (
        f"the table {outputs.get('TableName')}, the bucket {outputs.get('ArtifactBucket')} and the "
        "secrets: the stack was deployed with --keep-data",
    )
