"""Loads what cloudpickle wrote, without importing it for plain functions.

Its import is half of a cold start, and a few of its functions are all that a function needs; for
anything more (classes) it is imported after all. What they are given belongs to the
version of cloudpickle that is pinned; a test loads what it writes in both ways.
"""

from __future__ import annotations

import builtins
import importlib
import io
import pickle
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def loads(pickled: bytes) -> Any:
    """As ``pickle.loads``."""
    return _Unpickler(io.BytesIO(pickled)).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        """Ours for those of cloudpickle's that are here."""
        if module == "cloudpickle.cloudpickle" and name in _OURS:
            return _OURS[name]
        return super().find_class(module, name)


def _make_function(
    code: types.CodeType, names: dict[str, Any], name: str, defaults: Any, closure: Any
) -> types.FunctionType:
    names["__builtins__"] = builtins.__dict__
    return types.FunctionType(code, names, name, defaults, closure)


def _set_state(function: Any, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    attributes, slots = state
    function.__dict__.update(attributes)
    for name, value in slots.items():
        if name == "__globals__":
            function.__globals__.update(value)
        elif name == "__closure__":
            _fill(function.__closure__, value)
        elif name != "_cloudpickle_submodules":
            setattr(function, name, value)
    function.__globals__["__builtins__"] = builtins.__dict__


def _fill(cells: Any, values: Any) -> None:
    for cell, value in zip(cells or (), values or (), strict=True):
        try:
            cell.cell_contents = value.cell_contents
        except ValueError:  # nothing was assigned yet
            continue


def _builtin_type(name: str) -> Any:
    return getattr(types, name)


def _imported(name: str) -> types.ModuleType:
    return importlib.import_module(name)


_OURS: dict[str, Callable[..., Any]] = {
    "_make_function": _make_function,
    "_function_setstate": _set_state,
    "_builtin_type": _builtin_type,
    "_make_empty_cell": types.CellType,
    "_make_cell": types.CellType,
    "subimport": _imported,
}
