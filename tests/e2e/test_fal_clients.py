"""fal's three published clients, as their registries have them, against the embedded stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.e2e.test_queue import FILE, receiver, served  # noqa: F401 - a fixture

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
# The older client uses tslib without naming it among its dependencies.
PACKAGES = ("@fal-ai/client@1.10.1", "@fal-ai/serverless-client@0.7.4", "tslib@2")
OLD = ("@fal-ai/serverless-client@0.5.4", "tslib@2")
pytestmark = [pytest.mark.e2e, pytest.mark.network]


def run(command, environ, cwd=None):
    ran = subprocess.run(
        command, env=environ, cwd=cwd, capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def installed(folder, *packages):
    """A folder of npm packages; skips where there is no Node or no registry."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Node and npm are not installed")
    words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
    ran = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=200, check=False
    )
    if ran.returncode:
        pytest.skip(f"npm has no access to its registry: {ran.stderr.strip()[-200:]}")
    return folder


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    return installed(tmp_path_factory.mktemp("npm"), *PACKAGES)


def node(modules, script, stack, asked, **more):
    shutil.copy(CLIENTS / script, modules / script)
    environ = {
        **os.environ,
        "NODE_EXTRA_CA_CERTS": stack.authority,
        "NODE_OPTIONS": f"--require {CLIENTS / 'localhost.cjs'}",
        **more,
    }
    output = run(["node", str(modules / script), json.dumps(asked)], environ)
    return json.loads(output.strip().splitlines()[-1])


def key_of(stack):
    return f"{stack.key['X-Fal-Key-Id']}:{stack.key['X-Fal-Key-Secret']}"


@pytest.mark.parametrize("version", ["0.7.4", "0.5.4"])
def test_the_serverless_client(served, modules, tmp_path, version):  # noqa: F811
    folder = modules if version == "0.7.4" else installed(tmp_path, *OLD)
    revision = served.serve(FILE, "work", "--alias", "q-work")["revision"]
    ids = {"alias": f"{served.user}-q-work", "revision": f"{served.user}/{revision}"}
    asked = {"ids": ids, "key": key_of(served)}
    host = f"gateway.localhost:{served.https_port}"
    said = node(folder, "serverless_client.cjs", served, asked, FAL_HOST=host)
    for name in ids:
        assert said[name]["run"] == {"n": 1, "length": 0}
        assert said[name]["subscribe"] == {"n": 2, "length": 0}
        assert said[name]["result"] == {"n": 3, "length": 0}
        assert said[name]["states"][-2:] == ["IN_PROGRESS", "COMPLETED"]
        assert said[name]["logs"] == ["begin 2", "end 2"]
    for name in ("invalid", "queued"):
        assert (said[name]["name"], said[name]["status"]) == ("ValidationError", 422)
        assert said[name]["body"]["detail"][0]["loc"] == ["body", "n"]
    assert (said["unknown"]["name"], said["unknown"]["status"]) == ("ApiError", 401)


def test_the_javascript_client(served, modules):  # noqa: F811
    with receiver() as (server, _):
        asked = {
            "host": f"127.0.0.1:{served.https_port}",
            "id": f"{served.user}/q-work",
            "key": key_of(served),
            "webhook": f"http://127.0.0.1:{server.server_port}/hook",
        }
        said = node(modules, "client.cjs", served, asked)
        assert server.came.acquire(timeout=60)
    assert said["run"] == {"n": 1, "length": 0}
    assert said["subscribe"] == {"n": 2, "length": 0}
    assert said["requestId"] == said["enqueued"]
    assert said["states"][-2:] == ["IN_PROGRESS", "COMPLETED"]
    assert said["logs"] == ["begin 2", "end 2"]
    assert said["result"] == {"n": 3, "length": 0}
    assert said["late"]["status"] == 400
    assert said["cancelled"]["error_type"] == "cancelled"
    assert said["invalid"] == {
        "validation": True,
        "api": True,
        "status": 422,
        "fields": [["body", "n"]],
    }
    assert (said["unknown"]["api"], said["unknown"]["status"]) == (True, 401)
    assert json.loads(server.seen[0][2])["payload"] == {"n": 3, "length": 0}


def test_the_python_client(served, tmp_path):  # noqa: F811
    python = tmp_path / "venv" / "bin" / "python"
    run([find_uv_bin(), "venv", "-q", "--python", sys.executable, str(tmp_path / "venv")], None)
    run([find_uv_bin(), "pip", "install", "-q", "--python", str(python), "fal-client==1.0.3"], None)
    host = f"127.0.0.1:{served.https_port}"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FAL_")},
        "FAL_KEY": key_of(served),
        "FAL_RUN_HOST": f"{host}/run",
        "FAL_QUEUE_RUN_HOST": f"{host}/queue",
        "SSL_CERT_FILE": served.authority,
    }
    with receiver() as (server, _):
        asked = {
            "id": f"{served.user}/q-work",
            "bad": f"{served.user}/q-bad",
            "webhook": f"http://127.0.0.1:{server.server_port}/hook",
        }
        output = run([str(python), str(CLIENTS / "client.py"), json.dumps(asked)], environ)
        assert server.came.acquire(timeout=60)
    said = json.loads(output)
    assert said["run"] == {"n": 1, "length": 0}
    assert said["subscribe"] == {"n": 2, "length": 0}
    assert {"Completed", "InProgress"} <= set(said["states"])
    assert said["progress"]
    assert said["logs"] == ["begin 2", "end 2"]
    assert said["result"] == {"n": 3, "length": 0}
    assert said["completed"]
    assert said["late"]["status"] == 400
    assert said["cancelled"] == "cancelled"
    assert said["invalid"]["status"] == 422
    assert (said["raised"]["status"], said["raised"]["type"]) == (500, "LookupError")
    assert said["unknown"]["status"] == 401
