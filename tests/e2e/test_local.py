"""The embedded stack itself: kept state, taken ports, dead parts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.conftest import COMMAND, EXAMPLES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def own(stack: Stack, tmp_path):
    """A stack of its own, which shares the emulator's installed environment."""
    home = tmp_path / "home"
    (home / "local").mkdir(parents=True)
    shared = Path(stack.environ["FAL_HOME"]) / "local" / "emulator-venv"
    (home / "local" / "emulator-venv").symlink_to(shared)
    found = Stack({**stack.environ, "FAL_HOME": str(home)}, 0)
    yield found
    found.run("local", "stop")


def test_life_of_a_stack(own: Stack):
    assert own.run("local", "status", "--json").json()["state"] == "stopped"
    missing = own.run("function", "list", ok=False)
    assert missing.status == 3
    assert "local start" in missing.errors
    first = own.run("local", "start", "--port", "0", "--emulator-port", "0", "--json").json()
    assert first["state"] == "running"
    again = own.run("local", "start", "--json").json()
    assert again["gateway_url"] == first["gateway_url"]
    served = own.serve(EXAMPLES / "hello.py", "hello", "--alias", "hello")
    own.run("local", "stop")
    moved = own.run("local", "start", "--emulator-port", "0", "--json").json()
    assert moved["endpoint_url"] != first["endpoint_url"]
    assert _queued(own, moved, "hello") == 200
    listed = own.run("function", "list", "--json").json()["functions"]
    assert [item["revision"] for item in listed] == [served["revision"]]
    _kill(own, "gateway")
    state = own.run("local", "status", "--json").json()
    assert state["state"] == "degraded"
    assert "gateway" in state["problems"][0]
    refused = own.run("function", "list", ok=False)
    assert "degraded" in refused.errors
    own.run("local", "start")
    assert own.run("local", "status", "--json").json()["state"] == "running"
    _kill(own, "emulator")
    state = own.run("local", "status", "--json").json()
    assert state["state"] == "degraded"
    assert state["problems"][0].endswith("emulator.log")
    assert "to be served again" in own.run("local", "start").errors
    own.run("local", "reset")
    _kill_while_it_starts(own)
    own.run("local", "start")
    assert own.run("function", "list", "--json").json()["functions"] == []


def test_a_taken_port(own: Stack):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = own.run("local", "start", "--port", str(port), "--emulator-port", "0", ok=False)
    assert ran.status == 1
    assert f"Port {port} is taken" in ran.errors
    assert "--port 0" in ran.errors


def _queued(own: Stack, started: dict, alias: str) -> int:
    """The status of a queued request's answer, once it has one."""
    made = own.run("key", "generate", "--scope", "API", "--json").json()
    key = {"X-Fal-Key-Id": made["key_id"], "X-Fal-Key-Secret": made["key_secret"]}
    user = own.run("auth", "hello", "--json").json()["user_id"]
    caller = replace(own, port=int(started["gateway_url"].rpartition(":")[2]), user=user)
    submitted = caller.call(alias, path="/fal/queue/submit/", body={"name": "you"}, headers=key)
    path = f"/fal/queue/requests/{submitted.json()['request_id']}/response"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = caller.call(alias, "GET", path, headers=key)
        if answer.status != 202:
            return answer.status
        time.sleep(0.2)
    return 202


def _kill_while_it_starts(own: Stack) -> None:
    """``local start``, which is killed while the emulator that it began does not answer yet."""
    log = Path(own.environ["FAL_HOME"]) / "local" / "logs" / "emulator.log"
    before = log.stat().st_size
    starting = subprocess.Popen(
        [COMMAND, "local", "start"],
        env=own.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while log.stat().st_size == before and time.monotonic() < deadline:
        time.sleep(0.01)
    starting.kill()
    starting.wait()


def _kill(own: Stack, part: str) -> None:
    state = json.loads((Path(own.environ["FAL_HOME"]) / "local" / "state.json").read_text())
    os.kill(state[part]["pid"], signal.SIGKILL)
