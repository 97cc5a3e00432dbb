"""The guard's code as it is built for Lambda: it holds everything that it imports."""

from __future__ import annotations

import os
import subprocess
import sys

from fal_serverless import stack

CODE = """
import sys
sys.path.insert(0, sys.argv[1])
import fal_serverless.guard_handler as guard
made = guard._guard()
print(guard.__file__.startswith(sys.argv[1]), made.stack, made.registry.table)
print({"event": made({"alarmData": {"alarmName": "x", "state": {"value": "ALARM"}}})})
"""


def test_the_built_guard_runs_alone(tmp_path):
    build = [sys.executable, str(stack.root() / "infra" / "build.py"), "guard", str(tmp_path)]
    subprocess.run(build, check=True)
    keep = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environ = {**keep, "FAL_STACK": "s", "FAL_TABLE": "t", "AWS_REGION": "us-east-1"}
    # -I: neither this folder nor PYTHONPATH, so that nothing is taken from the checkout.
    ran = subprocess.run(
        [sys.executable, "-I", "-c", CODE, str(tmp_path)],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "True s t",
        "{'event': 'x: not an alarm on a split of s'}",
    ]
