"""What a stack holds besides its own resources, and so what goes with it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OUR_LAYER = re.compile(r"arn:[\w-]+:lambda:[\w-]+:\d+:layer:(fal-[0-9a-f]{32}):\d+")


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Names of what a stack holds.

    Attributes:
        functions: Lambda functions that run under the stack's role.
        logs: log groups of functions that are recorded, or run.
        layers: Lambda layers that nothing else uses.
        alarms: of splits.
        secrets: names of SSM parameters.
        records: how many records of each kind the registry has.
        images: in the stack's repository.
        waiting: queued requests.
        kept: what stays, because the stack was deployed with --keep-data.
    """

    functions: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    records: Mapping[str, int] | None = None
    images: int = 0
    waiting: int = 0
    kept: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        records = self.records or {}
        return {
            "users": records.get("users", 0),
            "functions": len(self.functions),
            "revisions": records.get("revisions", 0),
            "aliases": records.get("aliases", 0),
            "schedules": records.get("schedules", 0),
            "keys": records.get("keys", 0),
            "secrets": len(self.secrets),
            "images": self.images,
            "layers": len(self.layers),
            "log groups": len(self.logs),
            "alarms": len(self.alarms),
            "queued requests": self.waiting,
        }

    def lines(self) -> list[str]:
        """What goes, and what stays, for a person."""
        named = {
            "functions": self.functions,
            "secrets": self.secrets,
            "layers": self.layers,
            "log groups": self.logs,
            "alarms": self.alarms,
        }
        found = []
        for kind, count in self.counts().items():
            if count:
                names = named.get(kind, ())
                some = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
                found.append(f"{count:6} {kind}{': ' if some else ''}{some}")
        return found + [f"  kept {item}" for item in self.kept]


def our_layer(arn: str) -> str | None:
    """The name of a layer that this project made, from a version's ARN; None for others."""
    found = _OUR_LAYER.fullmatch(arn)
    return found[1] if found else None


def unshared_layers(
    versions: Iterable[Mapping[str, Any]], doomed: Iterable[str], recorded: Iterable[str]
) -> tuple[str, ...]:
    """Names of layers that belong to nothing but the doomed functions.

    Args:
        versions: of all Lambda functions, as Lambda lists them.
        doomed: names of the functions that go.
        recorded: ARNs of layers that the registry's revisions name.
    """
    going, staying = set(recorded), set()
    names = frozenset(doomed)
    for version in versions:
        arns = {layer["Arn"] for layer in version.get("Layers", [])}
        if version["FunctionName"] in names:
            going |= arns
        else:
            staying |= arns
    kept = {our_layer(arn) for arn in staying}
    found = {our_layer(arn) for arn in going} - kept
    return tuple(sorted(name for name in found if name))
