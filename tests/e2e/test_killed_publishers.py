"""Publishers that are killed: what answered still answers, and the next one finishes the work."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import COMMAND, Stack
from tests.e2e.test_publishing import TEXT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
STEPS = ("upload bundles", "update Lambda", "publish a version", "record revision", "point alias")


@pytest.fixture(scope="module")
def played(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Future[None]]:
    """All of them at once: most of their time is spent waiting for a dead one's lease to end."""
    with ThreadPoolExecutor(len(STEPS)) as pool:
        return {
            step: pool.submit(killed_at, stack, tmp_path_factory.mktemp("killed"), step)
            for step in STEPS
        }


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step(played: dict[str, Future[None]], step: str):
    played[step].result()


def killed_at(stack: Stack, folder: Path, step: str) -> None:
    name = "killed_" + step.replace(" ", "_").lower()
    alias = name.replace("_", "-")
    file = folder / "mine.py"
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
