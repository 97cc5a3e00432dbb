"""Layers, logs and images that nothing needs, and runtimes that have grown old."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fal_serverless.doctor import Finding
from fal_serverless.inventory import our_layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fal_serverless.publish.state import Alias, Revision

Kind = Literal["layer", "log", "image"]

YOUNG_S = 86_400
"""What is younger than a day may belong to a publish that is under way, and is left alone."""

_WORDS: dict[Kind, tuple[str, str]] = {
    "layer": ("layers", "that no function uses"),
    "log": ("log groups", "of functions that are gone"),
    "image": ("images", "that no revision uses"),
}


@dataclass(frozen=True)
class Thing:
    """Something that may be left over.

    Attributes:
        name: of a layer or log group, or an image's digest.
        made: epoch seconds.
    """

    kind: Kind
    name: str
    made: float


def unneeded(things: Iterable[Thing], needed: Iterable[str], now: float) -> tuple[Thing, ...]:
    """Those that nothing needs and that are no longer young."""
    known = frozenset(needed)
    return tuple(item for item in things if item.name not in known and now - item.made >= YOUNG_S)


def leftovers(found: Sequence[Thing], *, fixed: bool) -> list[Finding]:
    """A finding for each kind; none without any."""
    findings = []
    for kind, (word, whose) in _WORDS.items():
        names = [item.name for item in found if item.kind == kind]
        if not names:
            continue
        some = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        findings.append(
            Finding(
                check="leftovers",
                state="ok" if fixed else "warning",
                detail=f"{'deleted ' if fixed else ''}{len(names)} {word} {whose}: {some}",
                next="" if fixed else "run: fal-serverless doctor --fix, which deletes them",
            )
        )
    return findings


def runtimes(
    revisions: Iterable[Revision], aliases: Iterable[Alias], current: Mapping[str, str]
) -> Finding:
    """Whether aliases lead to revisions with the runtime that this command would publish.

    Args:
        current: the name of the runtime's layer, by Python minor version.
    """
    by_id = {item.id: item for item in revisions}
    old = []
    for alias in aliases:
        revision = by_id.get(alias.revision)
        if revision is None or revision.package == "image" or not revision.layers:
            continue
        # Ours is the last one, so that its files win.
        if our_layer(revision.layers[-1]) != current.get(revision.python):
            old.append(alias.name)
    if not old:
        return Finding(check="runtime", state="ok", detail="aliases lead to this command's runtime")
    return Finding(
        check="runtime",
        state="note",
        detail=f"{len(old)} aliases lead to another runtime than this command's: "
        + ", ".join(sorted(old)[:10])
        + (" …" if len(old) > 10 else ""),
        next="they go on working; to renew one, serve it again",
    )
