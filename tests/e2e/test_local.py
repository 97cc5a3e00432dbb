"""The embedded stack itself: kept state, taken ports, dead parts."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.conftest import EXAMPLES, Stack

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
    own.run("local", "start")
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
    assert own.run("local", "status", "--json").json()["state"] == "degraded"
    own.run("local", "reset")
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


def _kill(own: Stack, part: str) -> None:
    state = json.loads((Path(own.environ["FAL_HOME"]) / "local" / "state.json").read_text())
    os.kill(state[part]["pid"], signal.SIGKILL)
