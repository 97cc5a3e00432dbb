"""A function and the modules beside it, as bytes; and if that fails, which variable is at fault."""

from __future__ import annotations

import inspect
import io
import pickle
import sys
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

from fal_serverless.errors import SerializationError
from fal_serverless.package.forgotten import INSTALLED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    from fal_serverless.package.forgotten import Used

_DEPTH = 4


def dump(
    function: Callable[..., Any],
    setup: Callable[[], object] | None,
    modules: Iterable[ModuleType],
    *,
    folder: Path | None = None,
    used: Used | None = None,
) -> bytes:
    """``{"function": …, "setup": …}`` pickled, with ``modules`` by value.

    Args:
        folder: paths of source files below it are written relative to it, so that the same code
            makes the same bytes wherever it lies; None keeps them.
        used: is told what the pickle refers to.

    Raises:
        SerializationError: something that the function uses cannot be pickled; it is named.
    """
    import cloudpickle

    registered = []
    try:
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
            registered.append(module)
        with _relative([*registered, function, setup], folder):
            return _dump({"function": function, "setup": setup}, folder, used)
    except Exception as error:
        raise _explained(function, error) from error
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)


def _dump(value: object, folder: Path | None = None, used: Used | None = None) -> bytes:
    import cloudpickle

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]  # it has no types
        """Writes where code comes from relative to ``folder``."""

        def reducer_override(self, value: Any) -> Any:
            if used is not None:
                used.note(value)
            if isinstance(value, CodeType) and folder is not None:
                moved = value.replace(co_filename=_below(value.co_filename, folder))
                return self.dispatch_table[CodeType](moved)
            return super().reducer_override(value)

    buffer = io.BytesIO()
    Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


@contextmanager
def _relative(things: Iterable[object], folder: Path | None) -> Iterator[None]:
    """Meanwhile, the ``__file__`` of modules and functions below ``folder`` is relative to it."""
    before: list[tuple[dict[str, Any], str]] = []
    for thing in things:
        inner = getattr(thing, "function", thing)
        names = getattr(inner, "__globals__", None) or getattr(inner, "__dict__", {})
        file = names.get("__file__")
        if folder is not None and isinstance(file, str) and _below(file, folder) != file:
            before.append((names, file))
            names["__file__"] = _below(file, folder)
    try:
        yield
    finally:
        for names, file in before:
            names["__file__"] = file


def _below(file: str, folder: Path) -> str:
    path = Path(file)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else file


def _explained(function: Callable[..., Any], error: Exception) -> SerializationError:
    name = getattr(function, "__name__", "function")
    culprit = _culprit(function, _DEPTH, set())
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if culprit is None:
        return SerializationError(
            f"'{name}' cannot be pickled.",
            reason=said,
            hint="make what it uses inside the function, or in setup_function",
        )
    variable, value = culprit
    return SerializationError(
        f"'{name}' cannot be pickled because of '{variable}'.",
        reason=f"it is a {type(value).__module__}.{type(value).__name__}, which cannot travel",
        hint=f"make '{variable}' inside the function, in a function marked with @cached, or in a "
        "module beside the file that the function imports when it runs",
    )


def _culprit(value: Any, depth: int, seen: set[int]) -> tuple[str, Any] | None:
    """The deepest named variable of the user's that ``value`` uses and that cannot be pickled."""
    if depth == 0 or id(value) in seen:
        return None
    seen.add(id(value))
    for variable, used in _used(value):
        try:
            _dump(used)
        except Exception:  # noqa: BLE001 - pickling may fail in any way
            deeper = _culprit(used, depth - 1, seen) if _own(used) else None
            return deeper or (variable, used)
    return None


def _own(value: object) -> bool:
    """Whether the names in a value are of the user's own code, and say something to its author."""
    if isinstance(value, dict):
        return True
    inner = getattr(value, "function", value)
    name = str((inner if inspect.isfunction(inner) else type(inner)).__module__)
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    stdlib = name.partition(".")[0] in sys.stdlib_module_names
    return not stdlib and not INSTALLED & set(Path(file).parts)


def _used(value: Any) -> Iterator[tuple[str, Any]]:
    inner = inspect.unwrap(value) if callable(value) else value
    inner = getattr(inner, "function", inner)
    if inspect.isfunction(inner):
        try:
            found = inspect.getclosurevars(inner)
        except (TypeError, ValueError):
            return
        yield from found.nonlocals.items()
        yield from found.globals.items()
    elif isinstance(inner, dict):
        yield from ((str(key), item) for key, item in inner.items())
    elif not isinstance(inner, type):
        yield from getattr(inner, "__dict__", {}).items()
