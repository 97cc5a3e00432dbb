"""An image on a real registry, unpacked by umoci, and run under awslambdaric in a chroot."""

from __future__ import annotations

import base64
import io
import json
import os
import queue
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from fal_serverless import isolated, package
from fal_serverless.discover import discover
from fal_serverless.local.processes import free_port
from fal_serverless.package import environment
from fal_serverless.package.oci.push import push
from fal_serverless.package.oci.reference import parse
from fal_serverless.package.oci.registry import Repository
from fal_serverless.publish.apply import Silent
from fal_serverless.remote import calls
from fal_serverless.remote.environment import HANDLER
from tests.support.base import interpreter_tar, layout
from tests.support.runtime_api import RuntimeApi

MISSING = [name for name in ("docker-registry", "skopeo", "umoci") if not shutil.which(name)]
pytestmark = [
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs Debian's {', '.join(MISSING)}"),
]
CODE = """
from pathlib import Path
from fal_serverless import isolated

@isolated(kind="container", serve=True, requirements=["six"], files=["words.txt"])
def hello(name: str = "x") -> dict:
    import os, six
    print("said by", name)
    words = (Path(__file__).parent / "words.txt").read_text()
    return {"name": name, "six": six.__name__, "words": words, "data": os.readlink("/data")}
"""


@contextmanager
def docker_registry(folder):
    """Debian's registry on a free port."""
    port = free_port()
    config = folder / "registry.json"
    about = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    config.write_text(json.dumps(about), encoding="utf-8")
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(config)], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2).close()
                break
            except urllib.error.URLError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def build(folder, base, cache):
    folder.mkdir()
    (folder / "hello.py").write_text(CODE, encoding="utf-8")
    (folder / "words.txt").write_text("so be it", encoding="utf-8")
    found = discover(folder / "hello.py", "hello")
    return package.build(
        found, cache=cache, work=folder / "work", progress=Silent(), base=base, owner="12"
    )


def run(*words, **more):
    ran = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base image that holds this Python."""
    return layout(tmp_path_factory.mktemp("base") / "oci", interpreter_tar())


def test_the_unpacked_image_answers_an_event(tmp_path, base):
    built = build(tmp_path / "code", base, tmp_path / "cache")
    assert built.kind == "image"
    assert "container" in built.why
    with docker_registry(tmp_path) as host:
        place = Repository(parse(f"{host}/fal"))
        first = push(built.image.image, place, cache=built.image.cache, tag="1")
        again = push(built.image.image, place, cache=built.image.cache, tag="1")
        assert (first.digest, again.sent) == (built.image.digest, 0)
        told = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{host}/fal:1"))
        assert told["Digest"] == built.image.digest
        assert told["Labels"]["fal-serverless.owner"] == "12"
        begins = told["Labels"]["org.opencontainers.image.base.digest"]
        assert begins == built.image.image.base.digest
        copied = f"oci:{tmp_path / 'copy'}:1"
        run("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{host}/fal:1", copied)
    run("umoci", "raw", "unpack", "--image", f"{tmp_path / 'copy'}:1", str(tmp_path / "root"))
    config = json.loads(run("skopeo", "inspect", "--config", copied))["config"]
    assert config["WorkingDir"] == "/var/task"
    if os.geteuid() != 0:
        pytest.skip("unpacked; running it in a chroot needs root")
    event = {
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {},
        "requestContext": {"http": {"method": "POST", "sourceIp": "1.2.3.4"}},
        "body": '{"name": "n"}',
        "isBase64Encoded": False,
    }
    answer = answered(tmp_path / "root", config, event)
    assert answer["statusCode"] == 200, answer
    assert json.loads(answer["body"]) == {
        "name": "n",
        "six": "six",
        "words": "so be it",
        "data": "/mnt/data",
    }
    assert answer["headers"]["x-fal-revision"] == "the-revision"


@pytest.mark.skipif(os.geteuid() != 0, reason="running it in a chroot needs root")
def test_an_image_for_calls_runs_what_it_is_sent(tmp_path, base):
    @isolated(kind="container", requirements=["six"])
    def double(number):
        import six

        return six.__name__, number * 2

    spec = double.spec(("six",))
    cache = tmp_path / "cache"
    needs = environment.needs(spec, cache=cache, progress=Silent())
    assert "container" in needs.why
    built = environment.image(
        spec,
        needs,
        environment.placeholder(spec, tmp_path / "work"),
        handler=HANDLER,
        cache=cache,
        base=base,
        owner="12",
        connect=Repository,
    )
    with docker_registry(tmp_path) as host:
        place = Repository(parse(f"{host}/fal"))
        push(built.image, place, cache=built.cache, tag="1")
        copied = f"oci:{tmp_path / 'copy'}:1"
        run("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{host}/fal:1", copied)
    run("umoci", "raw", "unpack", "--image", f"{tmp_path / 'copy'}:1", str(tmp_path / "root"))
    config = json.loads(run("skopeo", "inspect", "--config", copied))["config"]
    event = calls.event_of(calls.pickled(double))
    with io.BytesIO() as arguments:
        calls.write_arguments("double", (21,), {}, arguments)
        event["arguments"] = base64.b64encode(arguments.getvalue()).decode()
    answer = answered(tmp_path / "root", config, event)
    assert calls.value_of("double", answer, lambda: None) == ("six", 42)


def answered(root, config, event):
    """Run what the image's configuration says, inside its root, beside a stand-in of Lambda."""
    (root / "dev").mkdir(exist_ok=True)
    (root / "dev" / "null").touch()
    api = RuntimeApi()
    environ = dict(item.partition("=")[::2] for item in config["Env"])
    environ |= {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "g",
        "AWS_LAMBDA_LOG_STREAM_NAME": "s",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "FAL_REVISION": "the-revision",
    }
    program = shutil.which(config["Entrypoint"][0], path=str(root / "usr/local/bin"))
    assert program
    words = [f"/usr/local/bin/{config['Entrypoint'][0]}", *config["Entrypoint"][1:], *config["Cmd"]]
    process = subprocess.Popen(
        [shutil.which("chroot"), str(root), *words],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        kind, answer = api.invoke(event)
    except queue.Empty:
        kind, answer = "nothing", {}
    finally:
        process.kill()
        printed = process.communicate()[0].decode()
        api.close()
    assert kind == "response", printed
    return answer


def test_two_runs_in_two_folders_make_the_same_image(tmp_path, base):
    script = (
        "import sys, pathlib\n"
        "from tests.functional.test_image_runs import build\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "print(build(folder / 'code', sys.argv[2], folder / 'cache').image.digest)\n"
    )
    digests = []
    for name in ("one", "another"):
        (tmp_path / name).mkdir()
        words = [sys.executable, "-c", script, str(tmp_path / name), base]
        digests.append(run(*words, cwd=Path.cwd()))
    assert digests[0] == digests[1]
    assert digests[0].startswith("sha256:")
