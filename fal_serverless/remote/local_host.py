"""Calls that run on this machine: in a virtual environment of their requirements, made by uv."""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock

from fal_serverless import settings
from fal_serverless.errors import RemoteCrashError, RemoteMemoryError, RemoteTimeoutError
from fal_serverless.local.embedded import data_folder
from fal_serverless.names import DATA_VARIABLE
from fal_serverless.package import requirements
from fal_serverless.package.runtime_layer import build_runtime_layer
from fal_serverless.package.uv import failure, run_uv
from fal_serverless.remote import calls
from fal_serverless.remote.output import Printer
from fal_serverless.runtime.call import INLINE_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.function import IsolatedFunction
    from fal_serverless.spec import Environment, FunctionSpec


LEFT_BEHIND_S = 1.0


@dataclass(frozen=True)
class Runner:
    """Runs calls of one function, each in a process of its own.

    Attributes:
        python: interpreter of the virtual environment.
        runtime: zip that holds the runtime.
        data: folder of persistent data, the embedded stack's.
        timeout: seconds, or None for any time.
    """

    function: calls.Pickled
    python: Path
    runtime: Path
    data: Path
    spec: FunctionSpec
    timeout: int | None

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], label: str = "") -> Any:
        """The value of one call; what it prints is printed here as it comes."""
        name = self.spec.name
        printer = Printer(label)
        with tempfile.TemporaryDirectory(prefix="fal-call-") as folder:
            root = Path(folder)
            event = self._event(root, args, kwargs)
            (root / "request").write_text(json.dumps(event), encoding="utf-8")
            try:
                self._run(root, printer)
            finally:
                printer.end()
            answer = json.loads((root / "answer").read_bytes())
            return calls.value_of(name, answer, lambda: _load(root / "result"))

    def _event(
        self, root: Path, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        place = {}
        if len(self.function.content) > calls.FUNCTION_MAX:
            (root / "function").write_bytes(self.function.content)
            place["function_path"] = str(root / "function")
        event = calls.event_of(self.function, **place)
        with (root / "arguments").open("w+b") as file:
            size = calls.write_arguments(self.spec.name, args, kwargs, file)
            file.seek(0)
            if size <= INLINE_MAX:
                event["arguments"] = base64.b64encode(file.read()).decode()
            else:
                event["arguments_path"] = str(root / "arguments")
        event["result_path"] = str(root / "result")
        return event

    def _run(self, root: Path, printer: Printer) -> None:
        environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
            **dict(self.spec.environment_variables),
            "PYTHONPATH": f"{self.runtime}/python",
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            "FAL_ENVIRONMENT": "local",
            DATA_VARIABLE: str(self.data),
        }
        self.data.mkdir(parents=True, exist_ok=True)
        files = [str(root / "request"), str(root / "answer")]
        words = [str(self.python), "-m", "fal_serverless.runtime.call", *files]
        process = subprocess.Popen(
            words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        readers = [
            threading.Thread(target=_read, args=(pipe, stream, printer), daemon=True)
            for pipe, stream in ((process.stdout, "out"), (process.stderr, "err"))
        ]
        for reader in readers:
            reader.start()
        try:
            status = process.wait(self.timeout)
        except subprocess.TimeoutExpired as error:
            raise RemoteTimeoutError(
                f"'{self.spec.name}' did not end within {self.timeout} s.",
                reason="its process was stopped",
                hint="give it a longer timeout=…, or leave it out",
            ) from error
        finally:
            process.kill()
            process.wait()
            for reader in readers:
                # Processes that the function left behind may hold the pipes open.
                reader.join(LEFT_BEHIND_S)
        if status or not (root / "answer").is_file():
            raise _died(self.spec.name, status)


def _read(pipe: IO[bytes], stream: str, printer: Printer) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with pipe:
        while block := os.read(pipe.fileno(), 65_536):
            printer.add(stream, decoder.decode(block))


def _died(name: str, status: int) -> RemoteCrashError:
    if status == -signal.SIGKILL:
        return RemoteMemoryError(
            f"The process that ran '{name}' was killed.",
            reason="SIGKILL is what the system does to a process when memory runs out",
            hint="close other programs, give it less data, or run it on Lambda with more memory",
        )
    return RemoteCrashError(
        f"The process that ran '{name}' died.",
        reason=f"signal {signal.Signals(-status).name} ended it"
        if status < 0
        else f"its exit status is {status}",
        hint="see what it printed",
    )


def runner(function: IsolatedFunction[..., Any]) -> Runner:
    """Ready to call ``function``: its virtual environment exists.

    Raises:
        RequirementsError: the requirements cannot be installed on this machine.
        PackagingError: uv failed.
    """
    home = settings.load({}, os.environ).home
    cache = home / "cache"
    wanted = requirements.read(
        function.options.get("requirements"), calls.folder_of(function.function)
    )
    spec = function.spec(wanted)
    return Runner(
        calls.pickled(function),
        _environment(spec.environment, cache),
        build_runtime_layer(spec.environment.python, cache).path,
        data_folder(home),
        spec,
        function.options.get("timeout"),
    )


def _environment(environment: Environment, cache: Path) -> Path:
    wanted = environment.requirements
    facts = json.dumps([sys.version, sys.executable, wanted])
    folder = cache / "environments" / hashlib.sha256(facts.encode()).hexdigest()[:32]
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if (folder / "ready").is_file():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        steps = [["venv", "--python", sys.executable, "--no-python-downloads", str(folder)]]
        if wanted:
            steps.append(["pip", "install", "--python", str(python), *wanted])
        for words in steps:
            ran = run_uv(words)
            if ran.status:
                raise failure(ran, environment)
        (folder / "ready").touch()
    return python


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)  # noqa: S301 - the result of our own call
