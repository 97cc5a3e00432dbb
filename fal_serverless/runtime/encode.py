"""A function's return value as the body of an answer.

Nobody can return a value of a type whose module is not loaded: so no module is imported here for
its types alone, which would be a third of a cold start.
"""

from __future__ import annotations

import base64
import enum
import json
import math
import os
import sys
from typing import Any

JSON = "application/json"
BINARY = "application/octet-stream"
# json.dumps would make an encoder for each call that does not write as it does by default.
_written = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class UnencodableError(Exception):
    """The value has no JSON form; the message names where and what."""


def encode(value: Any) -> tuple[bytes, str]:
    """(body, content type) of a return value.

    Raises:
        UnencodableError: a part of it has no JSON form, or is NaN or infinite.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), BINARY
    text = _written(simple(value))
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


def _is(value: Any, module: str, *names: str) -> bool:
    """Whether ``value`` is of one of a module's types, if that module is loaded at all."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, tuple(getattr(loaded, n) for n in names))


def _known(value: Any, path: str) -> Any:
    if _is(value, "datetime", "datetime", "date", "time"):
        return value.isoformat()
    if _is(value, "datetime", "timedelta"):
        return value.total_seconds()
    if _is(value, "uuid", "UUID"):
        return str(value)
    if _is(value, "decimal", "Decimal"):
        if not value.is_finite():
            raise UnencodableError(f"{path} is {value}, which JSON does not have")
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(type(value), "__dataclass_fields__"):
        import dataclasses

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
        f"{path} is of type '{type(value).__name__}', which has no JSON form: return plain values"
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
    dated = _is(key, "datetime", "date", "datetime")
    if dated or _is(key, "uuid", "UUID") or _is(key, "decimal", "Decimal"):
        return str(simple(key, path))
    raise UnencodableError(f"a key of {path} is a {type(key).__name__}: use strings")
