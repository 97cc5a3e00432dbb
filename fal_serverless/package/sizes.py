"""What a package weighs, against what Lambda takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_serverless.errors import PackageTooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping

UNZIPPED_MAX = 262_144_000
"""Bytes of a function and all its layers (Lambda quotas: 250 MB)."""


def check(name: str, parts: Mapping[str, int]) -> int:
    """The sum of ``parts`` (bytes by package).

    Raises:
        PackageTooLargeError: above Lambda's limit, with the largest packages.
    """
    total = sum(parts.values())
    if total > UNZIPPED_MAX:
        raise PackageTooLargeError(
            f"'{name}' is too large for a Lambda layer.",
            reason=f"it is {total / 1e6:.1f} MB unzipped, and the limit is "
            f"{UNZIPPED_MAX / 1e6:.1f} MB: {largest(parts)}",
            hint="serve it as an image (--package image), or drop the largest packages",
        )
    return total


def largest(parts: Mapping[str, int]) -> str:
    """The six largest parts, for people."""
    found = sorted(parts.items(), key=lambda item: (-item[1], item[0]))[:6]
    return ", ".join(f"{part} {size / 1e6:.1f} MB" for part, size in found)
