"""Calls that run on Lambda."""

from __future__ import annotations

import base64
import json
import os
import pickle
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fal_serverless import settings, workspace
from fal_serverless.aws.calls import Place, RemoteCalls, open_calls
from fal_serverless.errors import FalServerlessError
from fal_serverless.package import requirements
from fal_serverless.remote import calls
from fal_serverless.remote.environment import ensure
from fal_serverless.remote.output import PAUSE_S, Follower, Printer
from fal_serverless.remote.phases import Phases, Steps, print_them
from fal_serverless.runtime.call import INLINE_MAX
from fal_serverless.runtime.spool import Spool
from fal_serverless.spec import TIMEOUT_MAX_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.function import IsolatedFunction
    from fal_serverless.hosts import LambdaHost
    from fal_serverless.spec import FunctionSpec
    from fal_serverless.workspace import Workspace


@dataclass(frozen=True)
class Runner:
    """Runs calls of one function in its environment; may be used by several threads.

    Attributes:
        environment: name of the Lambda function.
        prepared: what making it ready took; told with the first call.
    """

    function: calls.Pickled
    environment: str
    remote: RemoteCalls
    follower: Follower
    spec: FunctionSpec
    prepared: Phases

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], label: str = "") -> Any:
        """The value of one call; the function's own exceptions are raised."""
        phases = self.prepared.taken()
        place = self.remote.place()
        printer = Printer(label)
        used: list[str] = []
        try:
            with phases("arguments"):
                event = self._event(args, kwargs, place, used)
            answer = self._invoked(event, place, printer, phases, used)
            printer.show(answer)
            printer.end()
            with phases("result"):
                value = calls.value_of(
                    self.spec.name, answer, lambda: self._stored(place.result, used)
                )
        finally:
            with phases("clean up"):
                self._forget(used)
            phases.tell(label or self.spec.name)
        return value

    def _event(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place, used: list[str]
    ) -> dict[str, Any]:
        event = calls.event_of(self.function, **self._function_place())
        event |= {"result_url": place.result_url, "output_url": place.output_url}
        with Spool(INLINE_MAX) as file:
            size = calls.write_arguments(self.spec.name, args, kwargs, file)
            file.seek(0)
            if size <= INLINE_MAX - len(event.get("function", "")):
                event["arguments"] = base64.b64encode(file.read()).decode()
            else:
                used.append(place.arguments)
                self.remote.put(place.arguments, file)
                event["arguments_url"] = self.remote.url("get_object", place.arguments)
        return event

    def _function_place(self) -> dict[str, str]:
        if len(self.function.content) <= calls.FUNCTION_MAX:
            return {}
        key = f"calls/functions/{self.function.digest}"
        return {"function_url": self.remote.keep(key, self.function.content)}

    def _invoked(
        self,
        event: dict[str, Any],
        place: Place,
        printer: Printer,
        phases: Phases,
        used: list[str],
    ) -> dict[str, Any]:
        began = time.monotonic()
        answered, payload = False, b""
        try:
            with phases("invoke"), self.follower.following(place.output, printer):
                answered, payload = self.remote.invoke(self.environment, event)
        finally:
            long = time.monotonic() - began >= PAUSE_S
            if long:
                used.append(place.output)
        if not answered:
            used.append(place.result)
            # Nothing came with an answer: what was uploaded before it died is all there is.
            left = self.remote.read(place.output) if long else None
            if left is not None:
                printer.show(json.loads(left[0]))
            printer.end()
            raise calls.lambda_failure(self.spec.name, payload, self.spec.timeout, self.spec.memory)
        answer: dict[str, Any] = json.loads(payload)
        phases.within("invoke", answer.get("seconds", {}))
        if "stored" in answer:
            used.append(place.result)
        if not used:
            # It has ended, and left nothing there: the next call may have its addresses.
            self.remote.give_back(place)
        return answer

    def _stored(self, key: str, used: list[str]) -> Any:
        with tempfile.TemporaryFile() as file:
            self.remote.get(key, file)
            # It need not lie there while it is loaded, and not at all if loading fails.
            self._forget([key])
            used.remove(key)
            file.seek(0)
            return pickle.load(file)  # noqa: S301 - the result of our own call

    def _forget(self, keys: list[str]) -> None:
        try:
            self.remote.delete(keys)
        except FalServerlessError:
            # A rule of the bucket clears calls/ after a day; the result must not be lost for it.
            return


@dataclass(frozen=True)
class _Space:
    workspace: Workspace
    remote: RemoteCalls
    follower: Follower
    steps: Steps


_lock = threading.Lock()
_spaces: dict[tuple[Any, ...], _Space] = {}
_ready: dict[tuple[Any, ...], str] = {}


def runner(function: IsolatedFunction[..., Any], host: LambdaHost) -> Runner:
    """Ready to call ``function``: its environment exists.

    Raises:
        FalServerlessError: credentials, the stack or the requirements are not to be had.
    """
    phases = Phases()
    found = _settings(host)
    folder = calls.folder_of(function.function)
    wanted = requirements.read(function.options.get("requirements"), folder)
    spec = function.spec(wanted)
    if "timeout" not in function.options:
        spec = spec.replace(timeout=TIMEOUT_MAX_S)
    with phases("pickle"):
        content = calls.pickled(function)
    with _lock:
        with phases("connect"):
            space = _space(found)
        key = (*_place(found), spec.replace(name=""))
        if key not in _ready:
            cache = found.home / "cache"
            with phases("environment"), space.steps.into(phases):
                _ready[key] = ensure(
                    spec, space.workspace, cache, folder=folder, base=found.base_image
                )
    return Runner(content, _ready[key], space.remote, space.follower, spec, phases)


def data_of(host: LambdaHost) -> str:
    """The folder of persistent data as functions of the host's stack see it, or ``""``.

    Raises:
        FalServerlessError: credentials or the stack are not to be had.
    """
    with _lock:
        return _space(_settings(host)).workspace.data


def _settings(host: LambdaHost) -> settings.Settings:
    flags = {"stack": host.stack, "region": host.region, "profile": host.profile}
    found = settings.load(flags, os.environ)
    if found.debug:
        print_them()
    return found


def _place(found: settings.Settings) -> tuple[Any, ...]:
    return (found.home, found.local, found.profile, found.region, found.stack)


def _space(found: settings.Settings) -> _Space:
    """The parts for these settings, wired once; under the lock."""
    place = _place(found)
    if place not in _spaces:
        steps = Steps()
        space = workspace.connect(found, steps)
        remote = open_calls(space.session, space.outputs.bucket)
        _spaces[place] = _Space(space, remote, Follower(remote.read), steps)
    return _spaces[place]
