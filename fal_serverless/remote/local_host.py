"""Calls that run on this machine: in a virtual environment of their requirements, made by uv."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from fal_serverless import settings
from fal_serverless.errors import RemoteCrashError, RemoteTimeoutError
from fal_serverless.package import requirements
from fal_serverless.package.runtime_layer import build_runtime_layer
from fal_serverless.package.uv import failure, run_uv
from fal_serverless.remote import calls
from fal_serverless.runtime.call import INLINE_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.function import IsolatedFunction
    from fal_serverless.spec import Environment, FunctionSpec


@dataclass(frozen=True)
class Runner:
    """Runs calls of one function, each in a process of its own.

    Attributes:
        python: interpreter of the virtual environment.
        runtime: zip that holds the runtime.
        timeout: seconds, or None for any time.
    """

    function: calls.Pickled
    python: Path
    runtime: Path
    spec: FunctionSpec
    timeout: int | None

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], label: str = "") -> Any:  # noqa: ARG002
        """The value of one call; what it prints goes where this process prints."""
        name = self.spec.name
        with tempfile.TemporaryDirectory(prefix="fal-call-") as folder:
            root = Path(folder)
            event = calls.event_of(self.function)
            with (root / "arguments").open("w+b") as file:
                size = calls.write_arguments(name, args, kwargs, file)
                file.seek(0)
                if size <= INLINE_MAX:
                    event["arguments"] = base64.b64encode(file.read()).decode()
                else:
                    event["arguments_path"] = str(root / "arguments")
            event["result_path"] = str(root / "result")
            (root / "request").write_text(json.dumps(event), encoding="utf-8")
            self._run(root)
            answer = json.loads((root / "answer").read_bytes())
            return calls.value_of(name, answer, lambda: _load(root / "result"))

    def _run(self, root: Path) -> None:
        environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
            **dict(self.spec.environment_variables),
            "PYTHONPATH": f"{self.runtime}/python",
            "FAL_ENVIRONMENT": "local",
        }
        files = [str(root / "request"), str(root / "answer")]
        words = [str(self.python), "-m", "fal_serverless.runtime.call", *files]
        sys.stdout.flush()
        try:
            ran = subprocess.run(words, env=environ, check=False, timeout=self.timeout)
        except subprocess.TimeoutExpired as error:
            raise RemoteTimeoutError(
                f"'{self.spec.name}' did not end within {self.timeout} s.",
                reason="its process was stopped",
                hint="give it a longer timeout=…, or leave it out",
            ) from error
        if ran.returncode or not (root / "answer").is_file():
            raise RemoteCrashError(
                f"The process that ran '{self.spec.name}' died.",
                reason=f"its exit status is {ran.returncode}",
                hint="see what it printed; a negative number is the signal that ended it",
            )


def runner(function: IsolatedFunction[..., Any]) -> Runner:
    """Ready to call ``function``: its virtual environment exists.

    Raises:
        RequirementsError: the requirements cannot be installed on this machine.
        PackagingError: uv failed.
    """
    cache = settings.load({}, os.environ).home / "cache"
    wanted = requirements.read(
        function.options.get("requirements"), calls.folder_of(function.function)
    )
    spec = function.spec(wanted)
    return Runner(
        calls.pickled(function),
        _environment(spec.environment, cache),
        build_runtime_layer(spec.environment.python, cache).path,
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
