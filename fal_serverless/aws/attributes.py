"""Plain values to and from DynamoDB's attribute values, as boto3's own two classes do. Pure.

Those stand in ``boto3.dynamodb.types``, and importing them means importing all of boto3.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def attribute(value: Any) -> dict[str, Any]:
    """A value as DynamoDB has it.

    Raises:
        TypeError: DynamoDB has no such type, or the registry does not use it.
    """
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, (int, Decimal)):
        return {"N": str(value)}
    if isinstance(value, (list, tuple)):
        return {"L": [attribute(item) for item in value]}
    if isinstance(value, dict):
        return {"M": {key: attribute(item) for key, item in value.items()}}
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def plain(value: Mapping[str, Any]) -> Any:
    """What an attribute value stands for; numbers are Decimals.

    Raises:
        TypeError: it is of a type that the registry does not use.
    """
    ((kind, content),) = value.items()
    if kind == "NULL":
        return None
    if kind in ("S", "BOOL"):
        return content
    if kind == "N":
        return Decimal(content)
    if kind == "L":
        return [plain(item) for item in content]
    if kind == "M":
        return {key: plain(item) for key, item in content.items()}
    raise TypeError(f"attributes of type {kind} are not the registry's")
