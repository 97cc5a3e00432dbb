"""What a package can do without, for those who ask for it. Files are only ever left out whole.

Nothing that changes what code does may go: what any other file imports or names stays, and what
only looks like a file to leave out is told by its content. ``strip`` is never run: it exits with 0
and breaks shared objects (scipy's OpenBLAS does not load any more).
"""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_TEST_FOLDERS = ("tests", "test")
_SHARED = ("share/doc/", "share/man/", "share/info/", "share/gtk-doc/")
_DOC_FOLDERS = ("docs", "doc")
_DOC_SUFFIXES = {".rst", ".md", ".txt", ".html", ".css", ".pdf", ".png", ".svg", ".ipynb", ".tex"}
_DEBUG_SUFFIXES = {".debug", ".dwo", ".dwp", ".pdb"}
# A ``.pdb`` may also be a molecule of the Protein Data Bank, which is text.
_DEBUG_STARTS = (b"\x7fELF", b"Microsoft C/C++ MSF")
_NAMES_DOCS = re.compile(rb"""['"]docs?['"/\\]""")
_DOTTED = re.compile(r"\.{0,3}[A-Za-z_]\w*(\.\w+)*(:\w+)?")


def find(root: Path, files: Sequence[str], kinds: Iterable[str]) -> dict[str, str]:
    """The files (names relative to ``root``, with ``/``) to leave out, and the kind of each."""
    finders = {
        "tests": _tests,
        "static-libraries": _static_libraries,
        "debug-symbols": _debug_symbols,
        "documentation": _documentation,
    }
    found: dict[str, str] = {}
    for kind in kinds:
        for name in finders[kind](root, files):
            found.setdefault(name, kind)
    return found


def freed(root: Path, dropped: Mapping[str, str]) -> dict[str, int]:
    """Bytes by kind."""
    sums: dict[str, int] = {}
    for name, kind in sorted(dropped.items()):
        sums[kind] = sums.get(kind, 0) + (root / name).stat().st_size
    return sums


def _static_libraries(_: Path, files: Sequence[str]) -> Iterator[str]:
    return (name for name in files if name.endswith(".a"))


def _debug_symbols(root: Path, files: Sequence[str]) -> Iterator[str]:
    for name in files:
        if PurePosixPath(name).suffix in _DEBUG_SUFFIXES:
            with (root / name).open("rb") as file:
                if file.read(32).startswith(_DEBUG_STARTS):
                    yield name


def _documentation(root: Path, files: Sequence[str]) -> Iterator[str]:
    """Manuals, and ``docs`` of a package or beside it that no code of the package names."""
    yield from (name for name in files if name.startswith(_SHARED))
    folders: dict[str, list[str]] = {}
    for name in files:
        parts = name.split("/")
        for depth in (1, 2):
            if len(parts) > depth and parts[depth - 1] in _DOC_FOLDERS:
                folders.setdefault("/".join(parts[:depth]), []).append(name)
                break
    for folder, inside in folders.items():
        package = folder.partition("/")[0]
        code = [name for name in files if name.startswith(f"{package}/") and _is_code(name)]
        # A folder with code in it is a part of the package, whatever it is called.
        if any(_is_code(name) for name in inside):
            continue
        if not any(_NAMES_DOCS.search((root / name).read_bytes()) for name in code):
            yield from (name for name in inside if PurePosixPath(name).suffix in _DOC_SUFFIXES)


def _tests(root: Path, files: Sequence[str]) -> Iterator[str]:
    """Folders with tests in them that nothing outside imports or names."""
    # By what was installed: layers hold no test modules in any case, only what they share.
    folders = _test_folders(path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    inside: dict[str, list[str]] = {folder: [] for folder in folders}
    outside: list[str] = []
    for name in files:
        folder = next((item for item in _above(name) if item in inside), None)
        (outside if folder is None else inside[folder]).append(name)
    # A folder that is needed may need another one.
    while outside:
        named = {word for name in outside for word in _named(root, name)}
        needed = [folder for folder in inside if _is_named(folder, named)]
        outside = [name for folder in needed for name in inside.pop(folder)]
    for names in inside.values():
        yield from names


def _test_folders(files: Iterable[str]) -> set[str]:
    found = set()
    for name in files:
        path = PurePosixPath(name)
        # Others called so are a part of the package: django.test is for its users.
        if path.name.startswith("test_") or path.stem.endswith("_test"):
            outermost = [item for item in _above(name) if item.rpartition("/")[2] in _TEST_FOLDERS]
            found.update(outermost[:1])
    return found


def _above(name: str) -> Iterator[str]:
    """The folders above a name, the outermost first."""
    parts = name.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _is_named(folder: str, named: set[str]) -> bool:
    module = folder.replace("/", ".")
    return any(word == module or word.startswith(f"{module}.") for word in named)


def _named(root: Path, name: str) -> Iterator[str]:
    """Dotted names in a file that may stand for modules of tests."""
    if name.endswith("/entry_points.txt"):
        yield from re.findall(r"[\w.]+", (root / name).read_text(encoding="utf-8"))
    if not _is_code(name):
        return
    source = (root / name).read_bytes()
    if b"test" not in source:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's code
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return  # a template, which no Python imports
    package = name.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = _absolute("." * node.level + (node.module or ""), package)
            yield above
            yield from (f"{above}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and _DOTTED.fullmatch(str(node.value)):
            # For importlib.import_module, pkgutil and the like.
            yield _absolute(str(node.value).partition(":")[0], package)


def _absolute(name: str, package: Sequence[str]) -> str:
    level = len(name) - len(name.lstrip("."))
    if not level:
        return name
    above = list(package[: len(package) - level + 1])
    return ".".join([*above, name[level:]] if name[level:] else above)


def _is_code(name: str) -> bool:
    return name.endswith(".py")
