"""Compiles a layer's files: /opt is read-only, so that every cold start would do it again.

Compiling is most of what building a layer takes, and holds Python's lock: it is done in fresh
interpreters side by side. What they write does not depend on what this process has imported, as
the flags of marshalled strings otherwise do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless.errors import PackagingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_AT_LEAST = 100
"""Files that are worth an interpreter's start of their own."""
# Reads names from its input. A package may ship templates that are no valid Python; they stay as
# they are.
_PROGRAM = """
import os, py_compile, sys
root, place = sys.argv[1:]
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for name in sys.stdin.buffer.read().decode().split("\\0"):
    try:
        py_compile.compile(
            os.path.join(root, name), dfile=place + name, doraise=True, invalidation_mode=mode
        )
    except (py_compile.PyCompileError, SyntaxError, UnicodeError, RecursionError):
        pass
"""


def compile_all(root: Path, files: Sequence[str], place: str) -> list[str]:
    """As ``compiling``, with nothing to do meanwhile; the names of what was written."""
    with compiling(root, files, place) as written:
        pass
    return written


@contextmanager
def compiling(root: Path, files: Sequence[str], place: str) -> Iterator[list[str]]:
    """Write the bytecode of those of ``files`` that are Python, beside them, while a block runs.

    The block's list is empty until the end of the block, and then has the names of what was
    written. When the block fails, what it does not wait for is stopped.

    Args:
        root: folder of the files.
        files: names in it, with ``/``.
        place: where ``root`` will lie, with a slash at its end; tracebacks show it.

    Raises:
        PackagingError: an interpreter failed.
    """
    names = [name for name in files if name.endswith(".py")]
    count = max(1, min(os.cpu_count() or 1, len(names) // _AT_LEAST))
    command = [sys.executable, "-s", "-S", "-W", "ignore", "-c", _PROGRAM]
    command += [os.path.abspath(root), place]  # noqa: PTH100 - symbolic links stay
    # Neighbours in a package are about equally large: each takes every n-th.
    running = [
        (_started(command), "\0".join(part))
        for part in (names[first::count] for first in range(count))
        if part
    ]
    for process, text in running:
        if process.stdin is not None:
            process.stdin.write(text.encode())
            process.stdin.close()
    written: list[str] = []
    try:
        yield written
    except BaseException:
        for process, _ in running:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
        raise
    for process, _ in running:
        errors = process.stderr.read() if process.stderr is not None else b""
        if process.stderr is not None:
            process.stderr.close()
        if process.wait():
            raise PackagingError(
                "The layer's files could not be compiled.",
                reason=errors.decode(errors="replace").strip()[-300:] or f"{process.returncode}",
                hint="check the disk's space, and run it again",
            )
    written += [made for made in map(_compiled, names) if (root / made).is_file()]


def _compiled(name: str) -> str:
    """Where a file's bytecode lies."""
    folder, slash, file = name.rpartition("/")
    stem = file.removesuffix(".py")
    return f"{folder}{slash}__pycache__/{stem}.{sys.implementation.cache_tag}.pyc"


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # Until 3.10 the order of a set among a module's constants goes by its strings' hashes.
    environ["PYTHONHASHSEED"] = "0"
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environ,
        # -c looks for modules where it is started: nothing is to stand before the library's own.
        cwd=Path(os.__file__).parent,
    )
