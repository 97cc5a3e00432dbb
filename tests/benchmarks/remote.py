"""A call from Python beside a bare boto3 ``invoke`` of the same environment, on the emulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.peers import Row

ROUNDS = 5
PROGRAM = """
import json, sys, time
import boto3
from fal_serverless import isolated
from fal_serverless.remote import calls
from fal_serverless.remote.fanout import runner

@isolated
def same(x):
    print(x)
    return x

if __name__ == "__main__":
    rounds, count = int(sys.argv[1]), 40
    same(0)
    run = runner(same)
    event = json.dumps({**calls.event_of(calls.pickled(same)), "arguments": sys.argv[3]})
    client = boto3.client("lambda", endpoint_url=sys.argv[2], region_name="us-east-1",
                          aws_access_key_id="x", aws_secret_access_key="x")
    found = []
    for _ in range(rounds):
        t0 = time.perf_counter()
        for number in range(count):
            same(number)
        t1 = time.perf_counter()
        for _ in range(count):
            client.invoke(FunctionName=run.environment, Payload=event)["Payload"].read()
        t2 = time.perf_counter()
        found.append([(t1 - t0) / count * 1e3, (t2 - t1) / count * 1e3])
    sys.stderr.write(json.dumps(found))
"""
ARGUMENTS = "gASVCQAAAAAAAABLAYWUfZSGlC4="
"""``((1,), {})``, pickled and in base64."""


def measure(python: str, *, quick: bool) -> list[Row]:
    command = str(Path(sys.executable).parent / "fal-serverless")
    with tempfile.TemporaryDirectory() as home:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "FAL_"))}
        environ = {**kept, "FAL_HOME": home, "FAL_PROFILE": "local"}
        started = subprocess.run(
            [command, "local", "start", "--port", "0", "--emulator-port", "0", "--json"],
            env=environ,
            capture_output=True,
            check=True,
        )
        try:
            file = Path(home) / "program.py"
            file.write_text(PROGRAM, encoding="utf-8")
            rounds = "1" if quick else str(ROUNDS)
            endpoint = json.loads(started.stdout)["endpoint_url"]
            ran = subprocess.run(
                [sys.executable, str(file), rounds, endpoint, ARGUMENTS],
                env=environ,
                capture_output=True,
                check=True,
            )
        finally:
            subprocess.run([command, "local", "stop"], env=environ, capture_output=True, check=True)
    found = json.loads(ran.stderr.decode().splitlines()[-1])
    ours, bare = [pair[0] for pair in found], [pair[1] for pair in found]
    return [Row("call of a decorated function, warm", "ms", ours, "bare boto3 invoke", bare)]
