"""Requirements that were forgotten: modules that a function uses, and that nothing of it brings.

They are installed on this machine, so that all is well until the function runs elsewhere. What is
found is worth a word and no more: an import may stand where it is never reached.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from fal_serverless.distributions import NAMES, distribution_of
from fal_serverless.package.requirements import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PROVIDED = frozenset(
    [
        # Our runtime's layer.
        "cloudpickle",
        "fal_serverless",
        # Lambda's own Python runtimes carry boto3 and what it needs.
        "awslambdaric",
        "boto3",
        "botocore",
        "dateutil",
        "jmespath",
        "s3transfer",
        "six",
        "snapshot_restore_py",
        "urllib3",
    ]
)
"""What is there without being asked for."""
_VARIANTS = frozenset(["binary", "contrib", "cpu", "gpu", "headless", "simd"])
"""Parts of the names of distributions that bring the same modules as the one without them."""
_HANDLERS = frozenset(["ImportError", "ModuleNotFoundError", "Exception", "BaseException"])
INSTALLED = frozenset(["site-packages", "dist-packages"])
"""Folders of what was installed, and is not the user's own."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Used:
    """What a pickle refers to; filled while it is written.

    Attributes:
        modules: names of those that unpickling imports, and of the function's own.
        codes: file and first line of every function in it.
    """

    modules: set[str] = field(default_factory=set)
    codes: set[tuple[str, int]] = field(default_factory=set)

    def note(self, value: Any) -> None:
        """Note one object that is pickled."""
        if isinstance(value, CodeType):
            self.codes.add((value.co_filename, value.co_firstlineno))
        elif isinstance(value, ModuleType):
            self.modules.add(value.__name__)
        else:
            kind = value if isinstance(value, (type, FunctionType)) else type(value)
            self.modules.add(str(kind.__module__))


def forgotten(
    used: Used, files: Iterable[tuple[str, Path]], locked: Iterable[str]
) -> dict[str, str]:
    """The distributions that are installed here and missing there, by the module that is used.

    Namespace packages, which many distributions share, are not judged.

    Args:
        files: (name in the bundle, path) of modules that travel as files, and are run there.
        locked: names of what is installed there.
    """
    names = {canonical(name) for name in locked}
    found: dict[str, str] = {}
    for module in sorted(used.modules | _reached(_inner(used.codes), dict(files))):
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or top in PROVIDED or top in found:
            continue
        known = {canonical(name) for name in (top, NAMES.get(top, top))}
        if known & names or not _installed(top):
            continue
        distribution = distribution_of(module)
        if _variants(distribution) not in {_variants(name) for name in names}:
            found[top] = distribution
    return found


def _variants(name: str) -> frozenset[str]:
    return frozenset(canonical(name).split("-")) - _VARIANTS


def _installed(top: str) -> bool:
    """Whether a module has been installed here, and is none of the user's own files."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return False
    return bool(spec and spec.origin and INSTALLED & set(Path(spec.origin).parts))


def _inner(codes: Iterable[tuple[str, int]]) -> Iterator[str]:
    """What the functions that begin at these places import when they run.

    Functions within them have places of their own.
    """
    lines: dict[str, set[int]] = {}
    for file, line in codes:
        lines.setdefault(file, set()).add(line)
    for file, wanted in lines.items():
        for node in ast.walk(_tree(Path(file))):
            if isinstance(node, _FUNCTIONS) and _line(node) in wanted:
                yield from _imported(node.body)


def _reached(modules: Iterable[str], files: Mapping[str, Path]) -> set[str]:
    """Modules, and what those of them that travel as files import in turn."""
    pending, found = list(modules), set[str]()
    while pending:
        module = pending.pop()
        if module in found:
            continue
        found.add(module)
        parts = module.split(".")
        for count in range(1, len(parts) + 1):
            stem = "/".join(parts[:count])
            for name in (f"{stem}.py", f"{stem}/__init__.py"):
                if name in files:
                    pending += _imported(_tree(files[name]).body)
    return found


def _tree(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        # Not every function comes from a file; and this is no reason to fail.
        return ast.Module(body=[], type_ignores=[])


def _line(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Where the code of a function begins: at its first decorator."""
    return min([node.lineno, *(item.lineno for item in node.decorator_list)])


def _imported(body: Iterable[ast.AST]) -> Iterator[str]:
    """Names of the modules that statements import when they are run, and cannot do without."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module and not node.level:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and _optional(node):
            yield from _imported(node.orelse)
        elif not isinstance(node, _FUNCTIONS) and not _optional(node):
            yield from _imported(ast.iter_child_nodes(node))


def _optional(node: ast.AST) -> bool:
    """Whether what a statement imports may be missing, or is for type checkers alone."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in _named(node.test)
    if isinstance(node, ast.Try):
        kinds = [item.type for item in node.handlers]
        return None in kinds or any(_named(kind) & _HANDLERS for kind in kinds if kind)
    if isinstance(node, ast.With):
        return any("suppress" in _named(item.context_expr) for item in node.items)
    return False


def _named(node: ast.AST) -> set[str]:
    """Names in an expression, without what they are attributes of."""
    inner = list(ast.walk(node))
    names = {item.id for item in inner if isinstance(item, ast.Name)}
    return names | {item.attr for item in inner if isinstance(item, ast.Attribute)}
