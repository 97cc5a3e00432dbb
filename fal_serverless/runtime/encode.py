"""A function's return value as the body of an answer."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import json
import math
import os
import uuid
from typing import Any

JSON = "application/json"
BINARY = "application/octet-stream"


class UnencodableError(Exception):
    """The value has no JSON form; the message names where and what."""


def encode(value: Any) -> tuple[bytes, str]:
    """(body, content type) of a return value.

    Raises:
        UnencodableError: a part of it has no JSON form, or is NaN or infinite.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), BINARY
    text = json.dumps(simple(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode(), JSON
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8; JSON can still escape it.
        return json.dumps(simple(value), separators=(",", ":")).encode(), JSON


def simple(value: Any, path: str = "the result") -> Any:
    """``value`` with nothing in it that ``json`` does not know; ``path`` is for messages."""
    if value is None or (isinstance(value, (bool, str)) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, enum.Enum):
        return simple(value.value, path)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnencodableError(f"{path} is {value}, which JSON does not have")
        return float(value)
    if isinstance(value, dict):
        return {_key(key, path): simple(item, f"{path}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [simple(item, f"{path}[{index}]") for index, item in enumerate(value)]
    return _known(value, path)


def _known(value: Any, path: str) -> Any:
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, decimal.Decimal):
        if not value.is_finite():
            raise UnencodableError(f"{path} is {value}, which JSON does not have")
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: simple(getattr(value, f.name), f"{path}.{f.name}") for f in fields}
    # pydantic models, numpy arrays and numpy scalars, without importing either.
    for method in ("model_dump", "tolist", "item"):
        convert = getattr(value, method, None)
        if callable(convert) and not isinstance(value, type):
            converted = convert()
            if type(converted) is not type(value):
                return simple(converted, path)
    raise UnencodableError(
        f"{path} is a {type(value).__name__}, which has no JSON form: return plain values"
    )


def _key(key: Any, path: str) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int)):
        return json.dumps(key)
    if isinstance(key, float) and math.isfinite(key):
        return repr(key)
    if isinstance(key, (uuid.UUID, datetime.date, datetime.datetime, decimal.Decimal)):
        return str(simple(key, path))
    raise UnencodableError(f"a key of {path} is a {type(key).__name__}: use strings")
