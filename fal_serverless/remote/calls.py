"""A call as an event, and an answer as a value or an exception."""

from __future__ import annotations

import base64
import hashlib
import json
import linecache
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fal_serverless.errors import (
    FalServerlessError,
    PythonMismatchError,
    RemoteCrashError,
    RemoteError,
    RemoteMemoryError,
    RemoteTimeoutError,
    SerializationError,
)
from fal_serverless.remote.distributions import missing
from fal_serverless.runtime.call import FORMAT
from fal_serverless.spec import host_python

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from fal_serverless.function import IsolatedFunction


FUNCTION_MAX = 65_536
"""Bytes of a function's pickle that travel with each call; larger ones are stored by their digest,
and fetched once by each environment."""


@dataclass(frozen=True)
class Pickled:
    """A function, pickled; equal content has an equal digest."""

    name: str
    content: bytes
    digest: str


_RELATIONS = {
    "cause": "The above exception was the direct cause of the following exception:",
    "context": "During handling of the above exception, another exception occurred:",
}


class RemoteTraceback(Exception):  # noqa: N818 - it is what its name says, and nothing failed in it
    """The traceback of the other side, as the cause of the exception that came back."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


def pickled(function: IsolatedFunction[..., Any]) -> Pickled:
    """The function with its setup function, the modules beside its file and what its options name.

    Raises:
        SerializationError: it cannot be pickled.
        DiscoveryError: one of ``local_modules`` cannot be imported.
        SpecError: one of ``files`` is not there.
    """
    from fal_serverless.discover import beside, import_extra
    from fal_serverless.package.bundle import user_files
    from fal_serverless.package.pickling import dump

    folder = folder_of(function.function)
    # What belongs to the runtime is there already.
    ours = function.function.__module__.startswith("fal_serverless.runtime.")
    modules = [] if ours else list(beside(function.function))
    found = user_files(function.options.get("files") or (), folder)
    for name in function.options.get("local_modules") or ():
        import_extra(name, folder)
        modules.append(sys.modules[name])
        # Functions may import it when they run, and then need it as a file.
        found += _sources(sys.modules[name.partition(".")[0]])
    content = dump(function.function, function.setup_function, dict.fromkeys(modules))
    if found:
        files = {name: path.read_bytes() for name, path in found}
        content = pickle.dumps({"inner": content, "files": files}, pickle.HIGHEST_PROTOCOL)
    return Pickled(function.name, content, hashlib.sha256(content).hexdigest())


def _sources(module: ModuleType) -> list[tuple[str, Path]]:
    """(name below the folder that it is imported from, path) of a module's or package's files."""
    folders = [Path(place) for place in getattr(module, "__path__", ())]
    if not folders:
        file = Path(str(module.__file__))
        return [(file.name, file)]
    return [
        (path.relative_to(folder.parent).as_posix(), path)
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
    ]


def folder_of(function: Callable[..., Any]) -> Path:
    """The folder of a function's file, or the current one."""
    file = getattr(sys.modules.get(function.__module__), "__file__", None)
    return Path(file).resolve().parent if file else Path.cwd()


def event_of(function: Pickled, **place: str) -> dict[str, Any]:
    """The event of a call, without its arguments.

    Args:
        place: ``function_url`` or ``function_path`` of a function that is above ``FUNCTION_MAX``.
    """
    inline = {} if place else {"function": base64.b64encode(function.content).decode()}
    return {
        "fal": {"mode": "call"},
        "format": FORMAT,
        "python": host_python(),
        "digest": function.digest,
        **place,
        **inline,
    }


def write_arguments(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], file: IO[bytes]
) -> int:
    """Pickle arguments into a file; their size in bytes.

    Raises:
        SerializationError: one cannot be pickled; it is named.
    """
    import cloudpickle

    try:
        cloudpickle.dump((args, dict(kwargs)), file, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        named = {**{f"argument {n}": value for n, value in enumerate(args, 1)}, **kwargs}
        culprit = next((key for key, value in named.items() if not _travels(value)), "an argument")
        raise SerializationError(
            f"'{name}' cannot be called with these arguments.",
            reason=f"{culprit} cannot be pickled: {type(error).__name__}: {error}",
            hint="pass plain data, and make what cannot travel inside the function",
        ) from error
    return file.tell()


def value_of(name: str, answer: Mapping[str, Any], stored: Callable[[], Any]) -> Any:
    """The value that an answer holds; ``stored`` loads one that was too large for it.

    Raises:
        BaseException: the function's own exception, with the remote traceback as its cause.
        MissingDependencyError: a module is missing in the environment.
        PythonMismatchError: the environment has another Python.
        SerializationError: the value did not pickle, or cannot be loaded here, or the call was
            refused.
        RemoteError: the exception could not travel.
    """
    if "error" in answer:
        raise _exception(name, answer["error"])
    if "refused" in answer:
        kind = PythonMismatchError if answer.get("kind") == "python" else SerializationError
        raise kind(
            f"'{name}' was not called.",
            reason=str(answer["refused"]),
            hint="call it from the Python version it shall run on; on the embedded stack, "
            "start that from this Python: fal-serverless local stop, then local start",
        )
    if "unpicklable" in answer:
        raise SerializationError(
            f"The result of '{name}' cannot travel.",
            reason=str(answer["unpicklable"]),
            hint="return plain data: for example a list of a generator, or a path's content",
        )
    try:
        if "stored" in answer:
            return stored()
        return pickle.loads(base64.b64decode(answer["value"]))  # noqa: S301 - our own call's answer
    except (ImportError, AttributeError) as error:
        raise SerializationError(
            f"The result of '{name}' cannot be loaded here.",
            reason=f"{type(error).__name__}: {error}",
            hint="install what its class belongs to here too, or return plain data",
        ) from error


def lambda_failure(name: str, payload: bytes, timeout: int, memory: int) -> FalServerlessError:
    """The error for an invocation that Lambda itself ended."""
    try:
        said = json.loads(payload)
    except ValueError:
        said = {}
    kind, message = str(said.get("errorType", "")), str(said.get("errorMessage", ""))
    if "timed out" in message.lower() or "Timedout" in kind:
        return RemoteTimeoutError(
            f"'{name}' did not end within {timeout} s.",
            reason=message or "Lambda stopped it",
            hint=f"call {name}.on(timeout=…), at most 900, or split the work with .map(…)",
        )
    if "OutOfMemory" in kind or "signal: killed" in message or "exit status 137" in message:
        # Nothing but the kernel, when memory runs out, kills a process of Lambda's.
        return RemoteMemoryError(
            f"'{name}' needed more than its {memory} MB of memory.",
            reason=f"{kind} {message}".strip(),
            hint=f'call {name}.on(machine_type="L"), or any number of MB up to 10240',
        )
    if "ExitError" in kind or any(word in message.lower() for word in ("exit", "signal", "died")):
        return RemoteCrashError(
            f"The process that ran '{name}' died.",
            reason=f"{kind} {message}".strip() + f"; it had {memory} MB of memory",
            hint=f'if it needs more memory, call {name}.on(machine_type="L")',
        )
    return RemoteError(
        f"Lambda could not run '{name}'.",
        reason=f"{kind} {message}".strip() or "it gives no reason",
        hint="see its log in CloudWatch",
    )


def _travels(value: Any) -> bool:
    import cloudpickle

    try:
        cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001 - objects refuse in their own ways
        return False
    return True


def _exception(name: str, error: Mapping[str, Any]) -> BaseException:
    said = f"{error['type']}: {error['message']}"
    earlier = "".join(
        f"{_traceback(frames)}{kind}: {message}\n\n{_RELATIONS[relation]}\n\n"
        for relation, kind, message, frames in error.get("before", [])
    )
    cause = RemoteTraceback(earlier + _traceback(error["frames"]) + said)
    found: BaseException | None = None
    if error["type"] == "ModuleNotFoundError" and error.get("module"):
        folders = {str(Path(frame[0]).parent) for frame in error["frames"]}
        found = missing(name, str(error["module"]), said, error.get("inner"), folders)
    elif error["pickled"]:
        try:
            found = pickle.loads(base64.b64decode(error["pickled"]))  # noqa: S301 - our own answer
        except Exception:  # noqa: BLE001 - its class may refuse in any way; its text is left
            found = None
    if found is None:
        found = RemoteError(
            f"'{name}' raised {error['type']}.",
            reason=str(error["message"]) or "it says nothing",
            hint="its class cannot be loaded here; the remote traceback stands above",
        )
    found.__cause__ = cause
    return found


def _traceback(frames: list[list[Any]]) -> str:
    """A traceback with the source lines of this machine, where the files are."""
    lines = ["Remote traceback (most recent call last):\n"]
    for filename, number, name, line in frames:
        lines.append(f'  File "{filename}", line {number}, in {name}\n')
        text = str(line) or (
            linecache.getline(filename, int(number)).strip() if Path(filename).is_file() else ""
        )
        if text:
            lines.append(f"    {text}\n")
    return "".join(lines)
