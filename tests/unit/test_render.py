"""What a person sees of steps."""

from __future__ import annotations

import gc
import threading
import time

from fal_serverless.cli.render import Steps


def waiting():
    return [thread for thread in threading.enumerate() if thread.daemon and thread.is_alive()]


def until(seen):
    """Wait for what another thread does."""
    for _ in range(1000):
        if seen():
            return True
        time.sleep(0.005)
    return False


def test_a_log_is_told_that_a_long_step_runs(capsys):
    steps, said = Steps([0.01, 0.02]), []
    steps.begin("build the layer of 9 packages")
    assert until(lambda: said.append(capsys.readouterr().err) or "".join(said).count("\n") >= 2)
    steps.end(4.25)
    lines = ("".join(said) + capsys.readouterr().err).splitlines()
    assert lines[0].startswith("  … build the layer of 9 packages, for ")
    assert lines[-1] == "  build the layer of 9 packages (4.2 s)"


def test_a_short_step_is_one_line_when_it_ends(capsys):
    steps = Steps()
    steps.begin("zip the bundle")
    steps.end(0.0)
    steps.tell("upload")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "  zip the bundle (0.0 s)\n  upload\n")


def test_a_step_that_failed_is_not_told_of_for_ever():
    before = set(waiting())
    steps = Steps([60.0])
    steps.begin("resolve 1 requirements")
    assert set(waiting()) - before
    del steps
    gc.collect()
    assert until(lambda: not set(waiting()) - before)
