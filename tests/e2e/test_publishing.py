"""Publishers that run at once, and publishers that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from tests.e2e.conftest import COMMAND, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
TEXT = "from fal_serverless import isolated\n@isolated(serve=True)\ndef {}():\n    return {}\n"


def start(stack: Stack, file, name: str, alias: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, "function", "serve", str(file), name, "--alias", alias, "--json"],
        env=stack.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_at_once_both_get_a_working_revision(stack: Stack, tmp_path):
    for turn in range(20):
        files = []
        for side in (1, 2):
            folder = tmp_path / f"{turn}-{side}"
            folder.mkdir()
            file = folder / "mine.py"
            file.write_text(TEXT.format("raced", turn * 10 + side), encoding="utf-8")
            files.append(file)
        running = [start(stack, file, "raced", "raced") for file in files]
        served = []
        for child in running:
            output, errors = child.communicate(timeout=120)
            assert child.returncode == 0, errors
            served.append(json.loads(output))
        answers = {
            stack.call(item["revision"], body={}, headers=stack.key).json() for item in served
        }
        assert answers == {turn * 10 + 1, turn * 10 + 2}
        pointed = stack.run("alias", "list", "--json").json()["aliases"]
        mine = next(item for item in pointed if item["alias"] == "raced")
        last = max(served, key=lambda item: int(item["version"]))
        assert mine["revision"] == last["revision"]
        expected = turn * 10 + 1 + served.index(last)
        assert stack.call("raced", body={}, headers=stack.key).json() == expected


STEPS = ("upload bundles", "update Lambda", "publish a version", "record revision", "point alias")


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step(stack: Stack, tmp_path, step):
    name = "killed_" + step.replace(" ", "_").lower()
    alias = name.replace("_", "-")
    file = tmp_path / "mine.py"
    file.write_text(TEXT.format(name, 1), encoding="utf-8")
    first = stack.serve(file, name, "--alias", alias, "--auth", "public")
    file.write_text(TEXT.format(name, 2), encoding="utf-8")
    child = subprocess.Popen(
        [COMMAND, "function", "serve", str(file), name, "--alias", alias],
        env=stack.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    for line in child.stderr:
        # A step is told when it is done: the process dies right after it, or in the next one.
        if line.strip().startswith(step):
            os.kill(child.pid, signal.SIGKILL)
            break
    child.wait(timeout=60)
    child.stderr.close()
    assert stack.call(first["revision"], body={}).json() == 1
    assert stack.call(alias, body={}).json() in (1, 2)
    again = stack.serve(file, name, "--alias", alias)
    deadline = time.monotonic() + 10
    while stack.call(alias, body={}).json() != 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert stack.call(alias, body={}).json() == 2
    assert stack.call(first["revision"], body={}).json() == 1
    stack.run("alias", "delete", alias)
    stack.run("function", "delete", name)
    assert stack.run("function", "show", again["revision"], ok=False).status == 3
