"""FILE and FUNC of a command in, the decorated function and its local modules out."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless.errors import DiscoveryError, FalServerlessError, did_you_mean, nearest
from fal_serverless.frozen import Frozen
from fal_serverless.function import IsolatedFunction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType


class Discovered(Frozen, kw_only=True):
    """A decorated function, found.

    Attributes:
        function: the decorated function.
        path: of its file, absolute.
        modules: the file's module and every module beside it that it imported; these are
            pickled by value.
        sources: (name in the bundle, path) of modules that are imported inside functions, and so
            must exist as files where the function runs.
    """

    function: IsolatedFunction[..., object]
    path: Path
    modules: tuple[ModuleType, ...]
    sources: tuple[tuple[str, Path], ...]


def discover(file: str | Path, name: str, *, local_modules: Iterable[str] = ()) -> Discovered:
    """Import ``file`` and find the decorated function ``name`` in it.

    Relative paths start at the current folder. Modules beside the file are importable, as they
    are when the file runs as a script.

    Raises:
        DiscoveryError: no such file, it fails to import, or it has no such decorated function.
    """
    path = _check_file(Path(file))
    module = load_module(path)
    function = _pick(module, name, path)
    wanted = {*local_modules, *function.options.get("local_modules", ())}
    for extra in sorted(wanted):
        import_extra(extra, path)
    modules = (module, *_local_modules(path.parent, module))
    return Discovered(
        function=function,
        path=path,
        modules=modules,
        sources=tuple(_inner_sources(modules, path.parent)),
    )


def beside(function: Callable[..., object]) -> tuple[ModuleType, ...]:
    """The function's own module and the modules beside it, for pickling them by value."""
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if module is None or not file:
        return ()
    path = Path(file).resolve()
    # cloudpickle takes what __main__ holds by value already.
    own = () if module.__name__ == "__main__" else (module,)
    return (*own, *_local_modules(path.parent, module))


def load_module(path: Path) -> ModuleType:
    """The module that ``path`` holds, run once, with its folder importable.

    Raises:
        DiscoveryError: running it failed; the file's own traceback is the cause.
    """
    name = (
        path.stem if path.stem.isidentifier() and path.stem not in sys.modules else "__fal_file__"
    )
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DiscoveryError(
            f"'{path.name}' is not a Python file.",
            reason="its name does not end in .py",
            hint="name the Python file that holds the function",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        raise DiscoveryError(
            f"'{path.name}' ended the program while it was imported.",
            reason=f"it called exit({error.code!r})",
            hint="put what should only run as a script under: if __name__ == '__main__':",
        ) from error
    except FalServerlessError as error:
        # It says already what is wrong with the decorator, and what to write instead.
        error.reason = f"{error.reason} ({_place(error, path)})"
        raise
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError)
        raise DiscoveryError(
            f"'{path.name}' could not be imported.",
            reason=f"{type(error).__name__}: {error}",
            hint=(
                "install it here too, or import it inside the function that needs it"
                if missing
                else f"run 'python {path.name}' and mend what it says"
            ),
        ) from error
    return module


def _place(error: BaseException, path: Path) -> str:
    """Where in ``path`` the error came from; the file alone if it was in none of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"{path.name}, line {lines[-1]}" if lines else path.name


def _check_file(path: Path) -> Path:
    found = path.expanduser().resolve()
    if found.is_file():
        return found
    if found.is_dir():
        raise DiscoveryError(
            f"'{path}' is a folder.",
            reason="a function lives in a file",
            hint="name the Python file that holds it",
        )
    beside = (
        sorted(item.name for item in found.parent.glob("*.py")) if found.parent.is_dir() else []
    )
    raise DiscoveryError(
        f"There is no file '{path}'.",
        reason=f"looked for {found}",
        hint=did_you_mean(found.name, beside)
        if beside
        else "name the Python file that holds the function",
    )


def _pick(module: ModuleType, name: str, path: Path) -> IsolatedFunction[..., object]:
    found = getattr(module, name, None)
    if isinstance(found, IsolatedFunction):
        return found
    decorated = sorted(
        key for key, value in vars(module).items() if isinstance(value, IsolatedFunction)
    )
    if callable(found):
        raise DiscoveryError(
            f"'{name}' in '{path.name}' is not decorated.",
            reason="only functions marked with @isolated can be served",
            hint=f"write @isolated(serve=True) above def {name}",
        )
    near = nearest(name, decorated)
    raise DiscoveryError(
        f"'{path.name}' has no decorated function '{name}'.",
        reason="it has " + (", ".join(decorated) if decorated else "no decorated function"),
        hint=f"did you mean {near!r}?"
        if near
        else "name one of them"
        if decorated
        else "write @isolated(serve=True) above the function to be served",
    )


def import_extra(name: str, path: Path) -> None:
    """Import a module that ``local_modules`` names, of a function in ``path`` or its folder.

    Raises:
        DiscoveryError: it cannot be imported.
    """
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise DiscoveryError(
            f"local module '{name}' could not be imported.",
            reason=str(error),
            hint=f"local_modules names modules that can be imported from {path.parent}",
        ) from error


def _local_modules(folder: Path, main: ModuleType) -> Iterator[ModuleType]:
    # Thousands of modules may be loaded: their paths are compared as text.
    inside = f"{folder}{os.sep}"
    keys = ("purelib", "platlib", "stdlib")
    installed = tuple(f"{Path(sysconfig.get_path(key))}{os.sep}" for key in keys)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if module is main or not isinstance(file, str) or not file.startswith(inside):
            continue
        if not file.startswith(installed):
            yield module


def _inner_sources(modules: Iterable[ModuleType], folder: Path) -> Iterator[tuple[str, Path]]:
    """Files that ``import`` statements inside functions lead to, and what those import in turn."""
    pending = [
        path
        for module in modules
        if module.__file__
        for path in _imports(Path(module.__file__), folder, inner_only=True)
    ]
    seen: set[Path] = set()
    while pending:
        path = pending.pop()
        if path in seen:
            continue
        seen.add(path)
        package = path.parent / "__init__.py"
        if path.parent != folder and package.is_file():
            pending.append(package)
        pending.extend(_imports(path, folder, inner_only=False))
    for path in sorted(seen):
        yield path.relative_to(folder).as_posix(), path


def _imports(path: Path, folder: Path, *, inner_only: bool) -> Iterator[Path]:
    tree = ast.parse(path.read_bytes())
    roots: Iterable[ast.AST] = [tree]
    if inner_only:
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        roots = [node for node in ast.walk(tree) if isinstance(node, functions)]
    for root in roots:
        for node in ast.walk(root):
            for name in _imported_names(node, path, folder):
                yield from _module_files(name, folder)


def _imported_names(node: ast.AST, path: Path, folder: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = path.relative_to(folder).parent.parts
            kept = parts[: len(parts) - node.level + 1]
            base = ".".join((*kept, base)).strip(".")
        if base:
            yield base
        yield from (f"{base}.{alias.name}".strip(".") for alias in node.names)


def _module_files(name: str, folder: Path) -> Iterator[Path]:
    stem = folder.joinpath(*name.split("."))
    for candidate in (stem.with_name(stem.name + ".py"), stem / "__init__.py"):
        if candidate.is_file():
            yield candidate
