"""Call mode: run a pickled function with pickled arguments, and send back what came of it.

Only the owner of the AWS account reaches this, by IAM: the gateway may not invoke the Lambda
functions that run it. Everything is compared before anything is unpickled.
"""

from __future__ import annotations

import atexit
import base64
import hashlib
import inspect
import io
import json
import os
import pickle
import shutil
import sys
import tempfile
import time
import traceback
from collections import OrderedDict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from fal_serverless.runtime.capture import captured
from fal_serverless.runtime.inside import INNER
from fal_serverless.runtime.loader import plain
from fal_serverless.runtime.output import Output, shown
from fal_serverless.runtime.spool import Spool
from fal_serverless.runtime.transfer import download, upload

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = 2
INLINE_MAX = 4_000_000
"""Bytes of a pickle that travel inside the event or the answer; base64 makes a third more, and
Lambda carries 6,291,556 bytes."""
STORED_MAX = 5 * (1 << 30)
"""Bytes that S3 takes in one piece."""
KEPT = 16
KEPT_BYTES = 1 << 26
"""Functions that an environment remembers, and the size of their pickles in all; the last one is
always kept."""
CHAIN_MAX = 8
"""Exceptions before the one that ended a call that are told of."""
_CHUNK = 1 << 20
_OURS = str(Path(__file__).resolve().parents[1]) + os.sep

_functions: OrderedDict[str, _Known] = OrderedDict()
_secrets_fetched = False


class _Known(NamedTuple):
    """A function that was loaded; ``size`` of its pickle, ``root`` of its files or ``""``."""

    function: Callable[..., Any]
    size: int
    root: str


class RefusedError(Exception):
    """The call must not be made here; ``kind`` is ``format`` or ``python``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """What Lambda calls."""
    global _secrets_fetched
    if not _secrets_fetched:
        from fal_serverless.runtime.secrets import install

        install([name for name in os.environ.get("FAL_SECRETS", "").split(",") if name])
        _secrets_fetched = True
    output = Output()
    with captured(output.add), shown(output, event.get("output_url", "")):
        answer = perform(event)
    return {**answer, **output.told()}


def perform(event: dict[str, Any]) -> dict[str, Any]:
    """The answer to one call: a value, an exception, or why it was refused."""
    try:
        check(event)
    except RefusedError as error:
        return {"format": FORMAT, "refused": str(error), "kind": error.kind}
    started = time.perf_counter()
    ran = started
    try:
        function = _function(event)
        args, kwargs = _arguments(event)
        ran = time.perf_counter()
        value = function(*args, **kwargs)
        if inspect.isawaitable(value):
            import asyncio

            value = asyncio.run(_wait(value))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
        return {"format": FORMAT, "error": described(error)}
    ended = time.perf_counter()
    # The arguments' memory is free before the result is pickled.
    del args, kwargs
    answer = {"format": FORMAT, **_result(value, event)}
    answer["seconds"] = {
        "load": round(ran - started, 4),
        "run": round(ended - ran, 4),
        "store": round(time.perf_counter() - ended, 4),
    }
    return answer


def check(event: dict[str, Any]) -> None:
    """Compare what the call was made for with what is here.

    Raises:
        RefusedError: they differ.
    """
    if event.get("format") != FORMAT:
        raise RefusedError("format", f"call format {event.get('format')!r} is not {FORMAT}")
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if event.get("python") != here:
        raise RefusedError(
            "python", f"pickled by Python {event.get('python')}, and this is Python {here}"
        )


def described(error: BaseException) -> dict[str, Any]:
    """An exception for the way back: itself if it can be pickled, and always as text."""
    inner = getattr(error, INNER, None)
    frames, before = _frames(error), _before(error)
    try:
        import cloudpickle

        # What hangs on it (frames, causes) stays here; a copy that cannot be loaded is no use.
        pickled = cloudpickle.dumps(_bare(error))
        pickle.loads(pickled)  # noqa: S301 - our own bytes of a moment ago
    except Exception:  # noqa: BLE001 - then its text goes alone
        pickled = b""
    return {
        "type": type(error).__name__,
        "message": str(error),
        "module": getattr(error, "name", None) if isinstance(error, ImportError) else None,
        "inner": list(inner) if inner else None,
        "frames": frames,
        "before": before,
        "pickled": base64.b64encode(pickled).decode() if len(pickled) < INLINE_MAX // 4 else "",
    }


def _frames(error: BaseException) -> list[list[Any]]:
    """File, line, function and, where it is known, text of each frame that is not ours."""
    return [
        [frame.filename, frame.lineno or 0, frame.name, frame.line or ""]
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_OURS)
    ]


def _before(error: BaseException) -> list[list[Any]]:
    """What it was raised from (``cause``) or during (``context``), the first one first."""
    found: list[list[Any]] = []
    seen = {id(error)}
    while len(found) < CHAIN_MAX:
        relation, earlier = "cause", error.__cause__
        if earlier is None and not error.__suppress_context__:
            relation, earlier = "context", error.__context__
        if earlier is None or id(earlier) in seen:
            break
        seen.add(id(earlier))
        found.insert(0, [relation, type(earlier).__name__, str(earlier), _frames(earlier)])
        error = earlier
    return found


def _bare(error: BaseException) -> BaseException:
    error.__traceback__ = None
    error.__cause__ = None
    error.__context__ = None
    return error


async def _wait(value: Any) -> Any:
    return await value


def _function(event: dict[str, Any]) -> Callable[..., Any]:
    digest = event["digest"]
    if digest in _functions:
        _functions.move_to_end(digest)
        return _functions[digest].function
    with _pickled(event) as file:
        hashed = hashlib.sha256()
        while block := file.read(_CHUNK):
            hashed.update(block)
        size = file.tell()
        if hashed.hexdigest() != digest:
            raise ValueError("the function's pickle is not the one that was announced")
        file.seek(0)
        content = pickle.load(file)  # noqa: S301 - sent by the account's owner, compared above
    root = ""
    if "files" in content:
        root = _unpacked(content["files"])
        content = pickle.loads(content["inner"])  # noqa: S301 - a part of the same pickle
    function = plain(content["function"])
    source = getattr(function, "__globals__", {}).get("__file__")
    if root and source:
        # What travels along lies beside the function's file, as it does at home.
        function.__globals__["__file__"] = str(Path(root) / Path(source).name)
    if content["setup"] is not None:
        plain(content["setup"])()
    _functions[digest] = _Known(function, size, root)
    while len(_functions) > 1 and (
        len(_functions) > KEPT or sum(known.size for known in _functions.values()) > KEPT_BYTES
    ):
        _, gone = _functions.popitem(last=False)
        _remove(gone.root)
    return function


def _unpacked(files: dict[str, bytes]) -> str:
    root = tempfile.mkdtemp(prefix="fal-files-")
    atexit.register(_remove, root)
    for name, content in files.items():
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    sys.path.insert(0, root)
    return root


def _remove(root: str) -> None:
    if root:
        shutil.rmtree(root, ignore_errors=True)
        if root in sys.path:
            sys.path.remove(root)


def _pickled(event: dict[str, Any]) -> IO[bytes]:
    if "function_path" in event:
        return Path(event["function_path"]).open("rb")
    if "function_url" in event:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        download(event["function_url"], file)
        file.seek(0)
        return file
    return io.BytesIO(base64.b64decode(event["function"]))


def _arguments(event: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if "arguments_path" in event:
        with Path(event["arguments_path"]).open("rb") as file:
            args, kwargs = pickle.load(file)  # noqa: S301 - written by the caller
    elif "arguments_url" in event:
        with tempfile.TemporaryFile() as file:
            download(event["arguments_url"], file)
            file.seek(0)
            args, kwargs = pickle.load(file)  # noqa: S301 - from the caller's own bucket
    else:
        args, kwargs = pickle.loads(base64.b64decode(event["arguments"]))  # noqa: S301 - the same
    return args, kwargs


def _result(value: Any, event: dict[str, Any]) -> dict[str, Any]:
    import cloudpickle

    try:
        with Spool(INLINE_MAX) as file:
            try:
                cloudpickle.dump(value, file, protocol=pickle.HIGHEST_PROTOCOL)
            except OSError:
                raise
            except Exception as error:  # noqa: BLE001 - objects refuse in their own ways
                said = f"{type(error).__name__}: {error}"
                return {"unpicklable": f"{type(value).__module__}.{type(value).__name__}: {said}"}
            size = file.tell()
            file.seek(0)
            if size > STORED_MAX:
                said = f"it is {size:,} bytes, and S3 takes {STORED_MAX:,} in one piece"
                return {"unpicklable": f"{type(value).__module__}.{type(value).__name__}: {said}"}
            if size <= INLINE_MAX:
                return {"value": base64.b64encode(file.read()).decode()}
            if "result_path" in event:
                with Path(event["result_path"]).open("wb") as target:
                    while block := file.read(_CHUNK):
                        target.write(block)
            else:
                upload(event["result_url"], file, size)
            return {"stored": size}
    except OSError as error:
        return {"error": described(error)}


def main() -> None:
    """``python -m fal_serverless.runtime.call REQUEST ANSWER``: one call, by files."""
    request, answer = Path(sys.argv[1]), Path(sys.argv[2])
    found = perform(json.loads(request.read_bytes()))
    answer.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
