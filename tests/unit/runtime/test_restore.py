"""Environments out of a snapshot: what is new in each, and what gets no snapshot at all."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import snapshot_restore_py

from fal_serverless.runtime import restore, secrets
from fal_serverless.runtime.secrets import SecretError
from tests.support.serving import serving
from tests.unit.runtime.test_loader import bundle

ROOT = Path(__file__).resolve().parents[3]


def test_what_was_seeded_before_the_snapshot_is_seeded_again():
    state = random.getstate()
    first = random.random()
    drawn = set()
    for _ in range(3):
        random.setstate(state)  # as a restore has it
        restore.renew(())
        drawn.add(random.random())
    assert len(drawn | {first}) == 4


def test_lambda_is_told_what_to_call_after_a_restore():
    restore.register(())
    hooks = snapshot_restore_py.get_after_restore()
    assert hooks[-1] == (restore.renew, ((),), {})


class Both(BaseHTTPRequestHandler):
    """A stand-in of Lambda's credentials and of SSM."""

    def do_GET(self):
        self.server.asked.append(("GET", self.path, self.headers["authorization"]))
        self._answer(self.server.credentials)

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        signed = self.headers["authorization"].partition("Credential=")[2]
        self.server.asked.append(("POST", signed[:5], self.headers["x-amz-security-token"]))
        self._answer(self.server.answers.pop(0))

    def _answer(self, given):
        self.send_response(given[0])
        self.end_headers()
        self.wfile.write(json.dumps(given[1]).encode())

    def log_message(self, *_):
        return


@pytest.fixture
def lambda_(monkeypatch):
    given = {"AccessKeyId": "ASIAX", "SecretAccessKey": "s", "Token": "fresh", "Expiration": "…"}
    with serving(Both, asked=[], answers=[], credentials=(200, given)) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "FAL_STACK": "s",
            "FAL_USER": "1",
            "AWS_ENDPOINT_URL": address,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{address}/2021/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token of Lambda",
            "T_A": "of the snapshot",
        }.items():
            monkeypatch.setenv(name, value)
        yield server


def test_secrets_are_fetched_again_with_credentials_of_the_day(lambda_):
    lambda_.answers.append((200, {"Parameters": [{"Name": "/fal/s/1/T_A", "Value": "new"}]}))
    restore.renew(("T_A",))
    assert os.environ["T_A"] == "new"
    assert lambda_.asked == [
        ("GET", "/2021/credentials", "token of Lambda"),
        ("POST", "ASIAX", "fresh"),
    ]


def test_a_secret_that_is_gone_stops_the_environment(lambda_):
    lambda_.answers.append((200, {"Parameters": []}))
    with pytest.raises(SecretError, match="no secret T_A"):
        restore.renew(("T_A",))


def test_no_credentials(lambda_):
    lambda_.credentials = (403, {"message": "not from here"})
    with pytest.raises(SecretError, match="no credentials: KeyError") as caught:
        restore.renew(("T_A",))
    assert "not from here" not in str(caught.value)


def test_nothing_is_tried_again_when_the_time_for_a_restore_is_over(lambda_):
    lambda_.answers += [(503, {}), (503, {}), (503, {})]
    with pytest.raises(SecretError, match="503"):
        secrets.install(["T_A"], within=1)
    assert [item[0] for item in lambda_.asked] == ["GET", "POST"]


def started(folder, **changes):
    """The import of the handler, as Lambda does it before a snapshot."""
    code = (
        "import fal_serverless.runtime.handler, snapshot_restore_py as hooks\n"
        "print([hook[0].__name__ for hook in hooks.get_after_restore()])"
    )
    keep = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environ = {
        **keep,
        "PYTHONPATH": str(ROOT),
        "LAMBDA_TASK_ROOT": str(folder),
        "FAL_LOAD_AT_IMPORT": "1",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        **changes,
    }
    return subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )


def test_a_function_that_loads_gets_its_hooks(tmp_path):
    folder = bundle(tmp_path, {"function": len, "setup": None})
    assert started(folder).stdout.strip() == "['renew']"
    plain = started(folder, AWS_LAMBDA_INITIALIZATION_TYPE="on-demand")
    assert plain.stdout.strip() == "[]"


def test_a_function_that_does_not_load_gets_no_snapshot(tmp_path):
    folder = bundle(tmp_path, {"function": len, "setup": None}, format=99)
    failed = started(folder)
    assert failed.returncode
    assert "bundle format 99" in failed.stderr
    told = started(folder, AWS_LAMBDA_INITIALIZATION_TYPE="on-demand")
    assert told.returncode == 0
