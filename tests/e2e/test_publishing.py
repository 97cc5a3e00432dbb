"""Publishers that run at once."""

from __future__ import annotations

import json
import subprocess

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
