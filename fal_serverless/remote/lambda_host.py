"""Calls that run on Lambda."""

from __future__ import annotations

import base64
import json
import os
import pickle
import tempfile
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fal_serverless import settings, workspace
from fal_serverless.aws.calls import RemoteCalls, open_calls
from fal_serverless.errors import FalServerlessError
from fal_serverless.package import requirements
from fal_serverless.remote import calls
from fal_serverless.remote.environment import ensure
from fal_serverless.runtime.call import INLINE_MAX
from fal_serverless.spec import TIMEOUT_MAX_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.function import IsolatedFunction
    from fal_serverless.hosts import LambdaHost
    from fal_serverless.spec import FunctionSpec
    from fal_serverless.workspace import Workspace


@dataclass(frozen=True)
class Runner:
    """Runs calls of one function in its environment; may be used by several threads."""

    function: calls.Pickled
    environment: str
    remote: RemoteCalls
    spec: FunctionSpec

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], label: str = "") -> Any:
        """The value of one call; the function's own exceptions are raised."""
        name = self.spec.name
        stem = f"calls/{uuid.uuid4()}"
        event = calls.event_of(self.function)
        event["result_url"] = self.remote.url("put_object", f"{stem}/result")
        used: list[str] = []
        try:
            with tempfile.SpooledTemporaryFile(max_size=INLINE_MAX) as file:
                size = calls.write_arguments(name, args, kwargs, file)
                file.seek(0)
                if size <= INLINE_MAX - len(self.function.content):
                    event["arguments"] = base64.b64encode(file.read()).decode()
                else:
                    used.append(f"{stem}/arguments")
                    self.remote.put(used[-1], file)
                    event["arguments_url"] = self.remote.url("get_object", used[-1])
            answered, payload = self.remote.invoke(self.environment, event)
            if not answered:
                used.append(f"{stem}/result")
                raise calls.lambda_failure(name, payload, self.spec.timeout, self.spec.memory)
            answer = json.loads(payload)
            if "stored" in answer:
                used.append(f"{stem}/result")
            calls.show_output(answer, label)
            return calls.value_of(name, answer, lambda: self._stored(f"{stem}/result"))
        finally:
            self._forget(used)

    def _stored(self, key: str) -> Any:
        with tempfile.TemporaryFile() as file:
            self.remote.get(key, file)
            file.seek(0)
            return pickle.load(file)  # noqa: S301 - the result of our own call

    def _forget(self, keys: list[str]) -> None:
        try:
            self.remote.delete(keys)
        except FalServerlessError:
            # A rule of the bucket clears calls/ after a day; the result must not be lost for it.
            return


_lock = threading.Lock()
_spaces: dict[tuple[Any, ...], tuple[Workspace, RemoteCalls]] = {}
_ready: dict[tuple[Any, ...], str] = {}


def runner(function: IsolatedFunction[..., Any], host: LambdaHost) -> Runner:
    """Ready to call ``function``: its environment exists.

    Raises:
        FalServerlessError: credentials, the stack or the requirements are not to be had.
    """
    flags = {"stack": host.stack, "region": host.region, "profile": host.profile}
    found = settings.load(flags, os.environ)
    place = (found.home, found.local, found.profile, found.region, found.stack)
    folder = calls.folder_of(function.function)
    wanted = requirements.read(function.options.get("requirements"), folder)
    spec = function.spec(wanted)
    if "timeout" not in function.options:
        spec = spec.replace(timeout=TIMEOUT_MAX_S)
    content = calls.pickled(function)
    with _lock:
        if place not in _spaces:
            space = workspace.connect(found)
            _spaces[place] = (space, open_calls(space.session, space.outputs.bucket))
        space, remote = _spaces[place]
        key = (*place, spec.replace(name=""))
        if key not in _ready:
            _ready[key] = ensure(spec, space, found.home / "cache", found.base_image)
    return Runner(content, _ready[key], remote, spec)
