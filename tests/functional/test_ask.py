"""Questions on a real terminal, and where there is none."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from fal_serverless.cli import ask
from fal_serverless.errors import UsageError

SCRIPT = """
import typer
from fal_serverless.cli import ask
try:
    ask.or_abort("Delete it?")
    print("went on")
except typer.Exit as left:
    print("left with", left.exit_code)
"""


@pytest.mark.parametrize(
    ("answer", "said"), [("y", "went on"), ("n", "left with 1"), ("", "left with 1")]
)
def test_a_person_is_asked(answer, said):
    ours, theirs = pty.openpty()
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE
        )
        os.write(ours, f"{answer}\n".encode())
        output, _ = child.communicate(timeout=60)
        shown = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert output.decode().strip() == said
    assert "Delete it? [y/N]" in shown


def test_a_program_is_told_what_answers():
    with pytest.raises(UsageError) as caught:
        ask.or_abort("Delete it?")
    assert "Delete it?" in caught.value.reason
    assert "--yes" in caught.value.hint
