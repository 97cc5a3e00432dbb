"""Lambda's prices and what an amount of work costs by them. Pure, but for reading the file.

The prices are the public ones, first tier: no free tier, discount or savings plan is subtracted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fal_serverless.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

SHIPPED = Path(__file__).with_name("lambda_prices_2024_09.json")
FREE_STORAGE_MB = 512
"""Ephemeral storage that costs nothing. Source: Lambda's pricing page."""
_ARCHITECTURES = ("x86_64", "arm64")


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What a Region asks, in dollars; None where it is not known.

    Attributes:
        request: each.
        storage: a GB-second of ephemeral storage above ``FREE_STORAGE_MB``.
        duration: a GB-second, by architecture.
        provisioned: a GB-second of provisioned concurrency, used or not, by architecture.
        provisioned_duration: a GB-second of running under it, by architecture.
    """

    request: float
    storage: float | None
    duration: Mapping[str, float | None]
    provisioned: Mapping[str, float | None]
    provisioned_duration: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is paid for.

    Attributes:
        seconds: billed, of all requests together.
        memory: MB.
        storage: ephemeral, MB.
        kept_seconds: for which provisioned environments were kept, of all together.
        under_provisioned: whether the requests ran in such environments.
    """

    requests: float
    seconds: float
    memory: int
    architecture: str = ""
    storage: int = FREE_STORAGE_MB
    kept_seconds: float = 0.0
    under_provisioned: bool = False


def cost(work: Work, prices: Prices) -> float | None:
    """Dollars, or None when a price that it takes is not known."""
    gb_seconds = work.seconds * work.memory / 1024
    kept = work.kept_seconds * work.memory / 1024
    stored = work.seconds * max(0, work.storage - FREE_STORAGE_MB) / 1024
    duration = prices.provisioned_duration if work.under_provisioned else prices.duration
    parts = (
        (work.requests, prices.request),
        (gb_seconds, duration.get(work.architecture)),
        (kept, prices.provisioned.get(work.architecture)),
        (stored, prices.storage),
    )
    total = 0.0
    for amount, price in parts:
        if not amount:
            continue
        if price is None:
            return None
        total += amount * price
    return total


def load(region: str, override: Path | None = None) -> tuple[Prices, str]:
    """The prices of a Region, and the date that their file gives.

    Args:
        override: a file of the shipped one's form, asked first.

    Raises:
        UsageError: the file cannot be read, or no file knows the Region.
    """
    for path in (override, SHIPPED):
        if path is None:
            continue
        found = _read(path)
        if region in found["regions"]:
            return _prices(found["regions"][region], f"{path}, Region {region}"), str(
                found.get("as_of", "unknown")
            )
    raise UsageError(
        f"Lambda's prices in '{region}' are not known.",
        reason="the table that comes along does not have the Region"
        + (f", and neither has {override}" if override else ""),
        hint="give a file with --prices FILE (or FAL_PRICES), see docs/operate.md; "
        "or leave the cost out with --no-cost",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(str(path), str(error)) from error
    if not isinstance(found, dict) or not isinstance(found.get("regions"), dict):
        raise _unreadable(str(path), "it has no object 'regions'")
    return found


def _prices(row: Any, where: str) -> Prices:
    if not isinstance(row, dict):
        raise _unreadable(where, "it is no object")
    by = {name: _part(row, name, where) for name in _ARCHITECTURES}
    request = _number(row, "request", where)
    if request is None:
        raise _unreadable(where, "it has no price 'request'")
    return Prices(
        request=request,
        storage=_number(row, "storage", where),
        duration={name: _number(part, "duration", where) for name, part in by.items()},
        provisioned={name: _number(part, "provisioned", where) for name, part in by.items()},
        provisioned_duration={
            name: _number(part, "provisioned_duration", where) for name, part in by.items()
        },
    )


def _part(row: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    part = row.get(name, {})
    if not isinstance(part, dict):
        raise _unreadable(where, f"'{name}' is no object")
    return part


def _number(row: Mapping[str, Any], name: str, where: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise _unreadable(where, f"'{name}' is {value!r}, and not a price in dollars")
    return float(value)


def _unreadable(where: str, reason: str) -> UsageError:
    return UsageError(
        f"The prices in {where} cannot be read.",
        reason=reason,
        hint="write them as the file that comes along, see docs/operate.md",
    )
