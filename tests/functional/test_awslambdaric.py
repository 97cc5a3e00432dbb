"""Bundle and layers under AWS's own runtime client, with nothing else on the path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path

import pytest

from fal_serverless import package
from fal_serverless.discover import discover
from fal_serverless.publish.apply import Silent
from fal_serverless.publish.schedules import event_of
from tests.support.objects import objects
from tests.support.runtime_api import RuntimeApi

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A folder with the runtime client alone."""
    folder = tmp_path_factory.mktemp("client")
    for name in CLIENT:
        for file in files(name) or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), target)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@contextmanager
def running(built: package.Package, folder: Path, client: Path):
    task, opt = folder / "task", folder / "opt"
    with zipfile.ZipFile(built.bundle.path) as found:
        found.extractall(task)
    for layer in built.layers:
        with zipfile.ZipFile(layer.path) as found:
            found.extractall(opt)
    api = RuntimeApi()
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, (task, client, opt / "python"))),
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "LAMBDA_TASK_ROOT": str(task),
        # What Lambda always sets; the client reads them without asking whether they are there.
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{built.spec.environment.python}",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "group",
        "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
        "FAL_REVISION": "the-revision",
        "FAL_LOCAL": "1",
        "HOME": str(folder),
    }
    handler = "fal_serverless.runtime.handler.handler"
    with (folder / "log").open("wb") as log:
        # -S: no site-packages, neither of the environment nor of the machine.
        child = subprocess.Popen(
            [sys.executable, "-S", "-s", "-m", "awslambdaric", handler],
            env=environ,
            cwd=task,
            stdout=log,
            stderr=log,
        )
        try:
            yield api
        finally:
            child.kill()
            child.wait()
            api.close()


def event(method="POST", path="/", body="", headers=None):
    return {
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers or {},
        "requestContext": {"http": {"method": method, "sourceIp": "1.2.3.4"}},
        "body": body,
        "isBase64Encoded": False,
    }


def build(file, name, cache, folder):
    return package.build(discover(file, name), cache=cache, work=folder, progress=Silent())


def test_serve_mode(tmp_path, client, cache):
    file = tmp_path / "alone.py"
    file.write_text(
        "from fal_serverless import isolated\n"
        "@isolated(serve=True)\n"
        "def where(name: str = 'x'):\n"
        "    import sys\n"
        "    try:\n"
        "        import boto3\n"
        "    except ImportError:\n"
        "        return {'name': name, 'modules': sorted(sys.modules)}\n"
        "    raise AssertionError('the path is not clean')\n"
    )
    built = build(file, "where", cache, tmp_path / "work")
    with running(built, tmp_path, client) as api:
        kind, answer = api.invoke(event(body='{"name": "n"}'))
        assert kind == "response", (tmp_path / "log").read_text()
        assert answer["statusCode"] == 200, answer
        assert '"name":"n"' in answer["body"]
        assert '"pydantic"' not in answer["body"]
        assert answer["headers"]["x-fal-revision"] == "the-revision"
        kind, answer = api.invoke(event(body='{"name": 1}'))
        assert answer["statusCode"] == 422


def test_a_request_from_the_queue(tmp_path, client, cache):
    source = tmp_path / "long.py"
    source.write_text(
        "from fal_serverless import isolated\n"
        "@isolated(serve=True)\n"
        "def long(text: str, times: int = 1) -> str:\n"
        "    print('working')\n"
        "    return text * times\n",
        encoding="utf-8",
    )
    built = build(source, "long", cache, tmp_path / "work")
    with running(built, tmp_path, client) as api, objects() as store:
        store.objects["/body"] = json.dumps({"text": "ab"}).encode()
        places = {name: f"{store.url}/{name}" for name in ("body", "answer", "logs")}
        asked = event()
        asked["fal"] = {"headers": [], "request_id": "r-1", "job": places}
        _, answer = api.invoke(asked)
        assert json.loads(answer["body"]) == "ab"
        assert json.loads(store.objects["/logs"])[0]["message"] == "working"
        store.objects["/body"] = json.dumps({"text": "ab" * 1_000_000, "times": 5}).encode()
        _, answer = api.invoke(asked)
        assert (answer["statusCode"], answer["body"]) == (200, "")
        assert answer["fal"]["stored"] == len(store.objects["/answer"]) == 10_000_002


def test_a_scheduled_run(tmp_path, client, cache):
    source = tmp_path / "jobs.py"
    source.write_text(
        "from fal_serverless import isolated\n"
        "@isolated()\n"
        "def nightly(n: int = 2):\n"
        "    print('working', n)\n"
        "    return object()\n",
        encoding="utf-8",
    )
    built = build(source, "nightly", cache, tmp_path / "work")
    with running(built, tmp_path, client) as api:
        assert api.invoke(event_of("s-1")) == ("response", {"outcome": "ok"})
        assert api.invoke(event_of("s-1"))[1] == {"outcome": "ok"}
        kind, answer = api.invoke(event())
        assert (kind, answer["errorType"]) == ("error", "BundleError")
    log = (tmp_path / "log").read_text()
    assert log.count("working 2\n") == 2
    assert log.count('fal-cron {"schedule": "s-1"') == 4


@pytest.mark.network
def test_a_model(tmp_path, client, cache):
    built = build(EXAMPLES / "with_helpers" / "app.py", "quote", cache, tmp_path / "work")
    with running(built, tmp_path, client) as api:
        kind, answer = api.invoke(event(body='{"item": "pear", "count": 4}'))
        assert kind == "response", (tmp_path / "log").read_text()
        assert answer["body"] == '{"item":"pear","total":3.0}', answer


@pytest.mark.network
def test_flask(tmp_path, client, cache):
    built = build(EXAMPLES / "flask_app.py", "flask_app", cache, tmp_path / "work")
    with running(built, tmp_path, client) as api:
        for _ in range(2):
            kind, answer = api.invoke(event("GET", headers={"host": "h.example"}))
            assert kind == "response", (tmp_path / "log").read_text()
            assert (answer["statusCode"], answer["body"].strip()) == (200, '{"result":""}')


@pytest.mark.network
@pytest.mark.slow
def test_pandas_and_scikit_learn(tmp_path, client, cache):
    built = build(EXAMPLES / "house_prices.py", "predict", cache, tmp_path / "work")
    with running(built, tmp_path, client) as api:
        kind, answer = api.invoke(event(body='{"age": 10, "rooms": 4}'), seconds=120)
        assert kind == "response", (tmp_path / "log").read_text()
        assert answer["statusCode"] == 200, answer
