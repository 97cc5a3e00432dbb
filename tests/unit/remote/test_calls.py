"""A call as an event, through the runtime, and back as a value or an exception."""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import pytest

from fal_serverless import isolated
from fal_serverless.errors import (
    MissingDependencyError,
    PythonMismatchError,
    RemoteCrashError,
    RemoteError,
    RemoteMemoryError,
    RemoteTimeoutError,
    SerializationError,
    SpecError,
)
from fal_serverless.remote import calls, distributions
from fal_serverless.runtime import call
from fal_serverless.runtime.spool import Spool
from tests.support.objects import objects


class CodedError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code


class StubbornError(Exception):
    def __reduce__(self):
        raise TypeError("no")


@isolated
def answering(what, *rest, **more):
    return what(*rest, **more) if callable(what) else what


def made(what, *rest, **more):
    """What calling ``answering`` remotely does, without a network in between."""
    event = calls.event_of(calls.pickled(answering))
    with io.BytesIO() as file:
        calls.write_arguments("answering", (what, *rest), more, file)
        event["arguments"] = base64.b64encode(file.getvalue()).decode()
    answer = call.perform(json.loads(json.dumps(event)))
    return calls.value_of("answering", json.loads(json.dumps(answer)), lambda: "stored")


@pytest.mark.parametrize("value", [None, 1, "é", b"\x00", {"a": [1, (2,)]}, float("inf")])
def test_values_come_back(value):
    assert made(value) == value


def test_keyword_arguments_and_coroutines():
    async def later(x, *, y):
        return x - y

    # In a thread: asyncio.run would take away the main thread's event loop, which is not ours.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(made, later, 5, y=3).result() == 2


def test_an_exception_comes_back_as_itself_with_its_traceback():
    def fail():
        raise CodedError(7, "bad")

    with pytest.raises(CodedError) as caught:
        made(fail)
    assert (caught.value.code, caught.value.args) == (7, (7, "bad"))
    told = str(caught.value.__cause__)
    assert "in fail" in told
    assert 'raise CodedError(7, "bad")' in told
    assert "runtime/call.py" not in told


def test_what_an_exception_was_raised_from_is_told():
    def fail():
        try:
            try:
                {}["first"]
            except KeyError:
                raise CodedError(1, "second")  # noqa: B904 - a context is wanted
        except CodedError as error:
            raise ValueError("third") from error

    with pytest.raises(ValueError, match="third") as caught:
        made(fail)
    told = str(caught.value.__cause__)
    order = ["KeyError: 'first'", "During handling", "CodedError: (1, 'second')", "direct cause"]
    places = [told.index(text) for text in [*order, "ValueError: third"]]
    assert places == sorted(places)
    assert told.count('raise ValueError("third") from error') == 1


def test_a_module_beside_the_file_is_no_requirement(tmp_path):
    (tmp_path / "own_helper.py").touch()
    frames = [[str(tmp_path / "program.py"), 3, "f", "import own_helper"]]
    error = {
        "type": "ModuleNotFoundError",
        "message": "x",
        "module": "own_helper",
        "frames": frames,
    }
    with pytest.raises(MissingDependencyError, match="did not travel") as caught:
        calls.value_of("f", {"error": error}, lambda: None)
    assert 'local_modules=["own_helper"]' in caught.value.hint


PROGRAM = """
from pathlib import Path
from fal_serverless import isolated

@isolated(files=["words"], local_modules=["lazy_words"])
def reading():
    import lazy_words
    return lazy_words.NAME, (Path(__file__).parent / "words" / "a.txt").read_text()
"""


def test_files_and_local_modules_travel_along(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "a.txt").write_text("text")
    (tmp_path / "lazy_words.py").write_text("NAME = 'lazy'")
    (tmp_path / "travelling.py").write_text(PROGRAM)
    event = calls.event_of(calls.pickled(importlib.import_module("travelling").reading))
    event["arguments"] = base64.b64encode(pickle.dumps(((), {}))).decode()
    for name in ("lazy_words.py", "travelling.py", "words/a.txt"):
        (tmp_path / name).unlink()
    (tmp_path / "request").write_text(json.dumps(event))
    command = [sys.executable, "-m", "fal_serverless.runtime.call", "request", "answer"]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run(command, cwd=tmp_path, env=environ, check=True)
    answer = json.loads((tmp_path / "answer").read_bytes())
    assert calls.value_of("f", answer, lambda: None) == ("lazy", "text")
    assert not list(tmp_path.glob("fal-files-*"))


def test_an_exception_that_does_not_pickle_comes_as_text():
    def fail():
        raise StubbornError("what it said")

    with pytest.raises(RemoteError, match="raised StubbornError") as caught:
        made(fail)
    assert caught.value.reason == "what it said"
    assert "in fail" in str(caught.value.__cause__)


def test_a_missing_module_names_the_requirement():
    def fail():
        import nowhere_to_be_found.part  # noqa: F401

    with pytest.raises(MissingDependencyError) as caught:
        made(fail)
    assert isinstance(caught.value, ModuleNotFoundError)
    assert 'requirements=["nowhere_to_be_found"]' in caught.value.hint


def test_exit_is_an_exception_and_not_the_end():
    with pytest.raises(SystemExit):
        made(sys.exit, 3)


def test_a_result_that_does_not_pickle_is_named():
    with pytest.raises(SerializationError, match="cannot travel") as caught:
        made(threading.Lock)
    assert "_thread.lock" in caught.value.reason


@pytest.mark.parametrize("pickled", [b"cnothing_of_ours\nThing\n.", b"cjson\nThing\n."])
def test_a_result_whose_class_is_not_here_is_named(pickled):
    answer = {"value": base64.b64encode(pickled).decode()}
    with pytest.raises(SerializationError, match="cannot be loaded here") as caught:
        calls.value_of("f", answer, lambda: None)
    assert "Thing" in caught.value.reason or "nothing_of_ours" in caught.value.reason
    with pytest.raises(SerializationError, match="cannot be loaded here"):
        calls.value_of("f", {"stored": 1}, lambda: pickle.loads(pickled))


def test_an_argument_that_does_not_pickle_is_named():
    with io.BytesIO() as file, pytest.raises(SerializationError) as caught:
        calls.write_arguments("f", (1, threading.Lock()), {}, file)
    assert "argument 2" in caught.value.reason


@pytest.mark.parametrize(
    ("change", "error"),
    [({"python": "3.9"}, PythonMismatchError), ({"format": 99}, SerializationError)],
)
def test_refused_before_anything_is_unpickled(change, error):
    event = {**calls.event_of(calls.pickled(answering)), "function": "not a pickle", **change}
    with pytest.raises(error, match="was not called") as caught:
        calls.value_of("f", call.perform(event), lambda: None)
    assert type(caught.value) is error


def test_a_pickle_other_than_announced_is_refused():
    event = {**calls.event_of(calls.pickled(answering)), "digest": "0" * 64}
    with pytest.raises(ValueError, match="not the one that was announced"):
        calls.value_of("f", call.perform(event), lambda: None)


def test_a_large_function_is_fetched_once_and_compared():
    heavy = bytes(calls.FUNCTION_MAX)

    @isolated
    def carrying():
        return len(heavy)

    found = calls.pickled(carrying)
    assert len(found.content) > calls.FUNCTION_MAX
    with objects() as server:
        event = calls.event_of(found, function_url=f"{server.url}/f")
        assert "function" not in event
        event["arguments"] = base64.b64encode(pickle.dumps(((), {}))).decode()
        server.objects["/f"] = found.content[:-1]
        with pytest.raises(ValueError, match="announced"):
            calls.value_of("f", call.perform(event), lambda: None)
        server.objects["/f"] = found.content
        for _ in range(2):
            assert calls.value_of("f", call.perform(event), lambda: None) == len(heavy)
            server.objects.clear()


def test_functions_make_room_for_others():
    def carrying(size):
        held = bytes(size)

        @isolated
        def held_by():
            return len(held)

        found = calls.pickled(held_by)
        event = {
            **calls.event_of(found),
            "arguments": base64.b64encode(b"\x80\x04)}\x86.").decode(),
        }
        assert calls.value_of("f", call.perform(event), lambda: None) == size
        return found.digest

    first = carrying(1)
    assert first in call._functions
    second = carrying(call.KEPT_BYTES)
    assert first not in call._functions
    assert second in call._functions


def test_large_data_lies_in_memory_once(tmp_path):
    big = bytes(8 * call.INLINE_MAX)
    event = {"result_path": str(tmp_path / "out")}
    tracemalloc.start()
    try:
        with Spool(call.INLINE_MAX) as file:
            assert calls.write_arguments("f", (big,), {}, file) > len(big)
        assert call._result(big, event)["stored"] > len(big)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(big) // 4


def test_setup_runs_once_for_an_environment(tmp_path):
    log = tmp_path / "log"

    def setup():
        with log.open("a") as file:
            file.write("setup\n")

    @isolated(setup_function=setup)
    def prepared():
        return log.read_text()

    event = calls.event_of(calls.pickled(prepared))
    event["arguments"] = base64.b64encode(pickle.dumps(((), {}))).decode()
    for _ in range(2):
        assert calls.value_of("p", call.perform(event), lambda: None) == "setup\n"


def test_large_data_travels_by_files(tmp_path):
    big = bytes(call.INLINE_MAX + 1)
    (tmp_path / "in").write_bytes(cloudpickle.dumps(((lambda: big,), {})))
    event = calls.event_of(calls.pickled(answering))
    event |= {"arguments_path": str(tmp_path / "in"), "result_path": str(tmp_path / "out")}
    answer = call.perform(event)
    assert answer["stored"] > len(big)
    assert pickle.loads((tmp_path / "out").read_bytes()) == big


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b'{"errorMessage": "x Task timed out after 3.00 seconds"}', RemoteTimeoutError),
        (b'{"errorType": "Sandbox.Timedout", "errorMessage": "y"}', RemoteTimeoutError),
        (
            b'{"errorType": "Runtime.ExitError", "errorMessage": "signal: killed"}',
            RemoteMemoryError,
        ),
        (b'{"errorType": "Runtime.OutOfMemory", "errorMessage": "x"}', RemoteMemoryError),
        (b'{"errorType": "Runtime.ExitError", "errorMessage": "exit status 1"}', RemoteCrashError),
        (b'{"errorType": "x", "errorMessage": "Worker process died"}', RemoteCrashError),
        (b'{"errorType": "Runtime.ImportModuleError", "errorMessage": "z"}', RemoteError),
        (b"nonsense", RemoteError),
    ],
)
def test_what_lambda_itself_says(payload, error):
    assert type(calls.lambda_failure("f", payload, 3, 512)) is error


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("cv2", "opencv-python-headless"),
        ("sklearn.svm", "scikit-learn"),
        ("PIL", "pillow"),
        ("google.cloud.storage", "google-cloud-storage"),
        ("_pytest", "pytest"),
        ("nowhere", "nowhere"),
    ],
)
def test_modules_and_what_brings_them(module, name):
    assert distributions.distribution_of(module) == name


@pytest.mark.parametrize(
    ("concurrency", "on_error"), [(0, "raise"), (129, "raise"), (True, "raise"), (8, "ignore")]
)
def test_options_of_map_that_cannot_work(concurrency, on_error):
    for fan_out in (answering.map, answering.map_aio):
        with pytest.raises(SpecError):
            fan_out([1], concurrency=concurrency, on_error=on_error)
