"""Checks and converts plain types as pydantic's lax mode does, so that they need no library.

The kinds of error and their wording are those that FastAPI's users know.
"""

from __future__ import annotations

import re
from typing import Any

# Compiled when the first text is to be a number: cold starts need not wait for it.
_INT = r"\s*[+-]?\d+(_\d+)*(\.0*)?\s*"
_TRUE = {"1", "true", "t", "yes", "y", "on"}
_FALSE = {"0", "false", "f", "no", "n", "off"}


class InvalidError(Exception):
    """A value that does not fit; ``kind`` and ``message`` are FastAPI's ``type`` and ``msg``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def convert(value: Any, kind: str, *, nullable: bool) -> Any:
    """``value`` as ``kind``: str, int, float, bool, list or dict.

    Raises:
        InvalidError: it does not fit.
    """
    if value is None and nullable:
        return None
    return _CONVERTERS[kind](value)


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise InvalidError("string_type", "Input should be a valid string")


def _int(value: Any) -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if value == value and value not in (float("inf"), float("-inf")) and value.is_integer():
            return int(value)
        if value != value or value in (float("inf"), float("-inf")):
            raise InvalidError("finite_number", "Input should be a finite number")
        raise InvalidError(
            "int_from_float",
            "Input should be a valid integer, got a number with a fractional part",
        )
    if isinstance(value, str):
        if re.fullmatch(_INT, value) and len(value) <= 4300:
            return int(value.strip().partition(".")[0])
        raise InvalidError(
            "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer",
        )
    raise InvalidError("int_type", "Input should be a valid integer")


def _float(value: Any) -> float:
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            raise InvalidError("float_type", "Input should be a valid number") from None
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise InvalidError(
                "float_parsing",
                "Input should be a valid number, unable to parse string as a number",
            ) from None
    raise InvalidError("float_type", "Input should be a valid number")


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    # Like pydantic, which reads whole numbers of 64 bits here and calls all others another type.
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, str) or (whole and -(2**63) <= value < 2**63):
        raise InvalidError(
            "bool_parsing", "Input should be a valid boolean, unable to interpret input"
        )
    raise InvalidError("bool_type", "Input should be a valid boolean")


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise InvalidError("list_type", "Input should be a valid list")


def _dict(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise InvalidError("dict_type", "Input should be a valid dictionary")


_CONVERTERS = {
    "str": _str,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "list": _list,
    "dict": _dict,
}
