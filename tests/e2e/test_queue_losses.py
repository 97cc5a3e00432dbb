"""Two thousand requests while workers and gateways are killed: none is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fal_serverless.aws.cloudformation import Deployer
from fal_serverless.aws.session import emulator_session
from fal_serverless.local.processes import free_port
from fal_serverless.stack import outputs_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

REQUESTS = 2_000
KILLS = 12
PATIENCE_S = 400
SUBMITTERS = 8

COUNTED = """
import os, time
from fal_serverless import isolated

@isolated(serve=True, timeout=20)
def count(n: int, path: str) -> int:
    with open(path, "ab", buffering=0) as file:
        file.write(b"%d\\n" % n)
    time.sleep(0.02)
    return n
"""


class Gateway:
    """A gateway of our own beside the embedded one, which can be killed and started again."""

    def __init__(self, stack):
        status = stack.run("local", "status", "--json").json()
        self.endpoint = status["endpoint_url"]
        self.outputs = outputs_of(
            status["stack"], Deployer(emulator_session(self.endpoint)).outputs(status["stack"])
        )
        self.port = free_port()
        self.start()

    def start(self):
        words = [sys.executable, "-m", "fal_serverless.gateway.server", "--port", str(self.port)]
        words += ["--table", self.outputs.table, "--endpoint-url", self.endpoint]
        words += ["--requests", self.outputs.requests, "--queue-url", self.outputs.queue_url]
        words += ["--bucket", self.outputs.bucket, "--region", "us-east-1"]
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        self.process = subprocess.Popen(
            words, env={**os.environ, **keys}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self):
        self.process.kill()
        self.process.wait()

    def call(self, method, path, body, headers):
        """An answer, once there is one: (status, document)."""
        deadline = time.monotonic() + 60
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                return response.status, json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            finally:
                connection.close()


def descendants(pid):
    """Processes that a process started, and those that they started."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, pending = [], [pid]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


class Killer(threading.Thread):
    """Kills one of the emulator's processes every two seconds."""

    def __init__(self, emulator):
        super().__init__()
        self.emulator, self.killed, self.over = emulator, 0, threading.Event()

    def run(self):
        chance = random.Random(7)
        while not self.over.wait(2.0) and self.killed < KILLS:
            victims = descendants(self.emulator)
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(victims), signal.SIGKILL)
                    self.killed += 1


def submit_all(gateway, base, key, path):
    """(number, request id) of each, while the gateway is killed twice."""

    def submit(n):
        body = json.dumps({"n": n, "path": str(path)})
        while True:
            status, said = gateway.call("POST", base, body, key)
            if status == 200:
                return n, said["request_id"]
            assert status in (429, 503), said
            time.sleep(0.1)

    with ThreadPoolExecutor(SUBMITTERS) as pool:
        futures = [pool.submit(submit, n) for n in range(REQUESTS)]
        for restart in (1, 2):
            while sum(future.done() for future in futures) < REQUESTS * restart // 3:
                time.sleep(0.05)
            gateway.kill()
            gateway.start()
        return [future.result() for future in futures]


def ends_of(gateway, base, key, accepted):
    """How the requests ended, and those that did not."""
    ended, waiting = Counter(), dict(accepted)
    deadline = time.monotonic() + PATIENCE_S
    while waiting and time.monotonic() < deadline:
        for n, request_id in list(waiting.items()):
            _, status = gateway.call("GET", f"{base}/requests/{request_id}/status", None, key)
            if status["status"] != "COMPLETED":
                time.sleep(1.0)
                break
            ended[status.get("error_type", "ok")] += 1
            del waiting[n]
    return ended, waiting


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find processes")
def test_no_accepted_request_is_lost(stack, tmp_path):
    source, runs = tmp_path / "counted.py", tmp_path / "runs"
    source.write_text(COUNTED, encoding="utf-8")
    stack.serve(source, "count", "--alias", "q-count")
    state = json.loads((Path(stack.environ["FAL_HOME"]) / "local/state.json").read_text())
    base = f"/queue/{stack.user}/q-count"
    gateway, killer = Gateway(stack), Killer(state["emulator"]["pid"])
    # Whoever is killed before it began is followed once SQS shows the message again: on AWS that
    # takes the 900 s that Lambda wants of a queue, which is longer than a test should wait.
    boto = emulator_session(gateway.endpoint).boto
    boto.client("sqs", endpoint_url=gateway.endpoint).set_queue_attributes(
        QueueUrl=gateway.outputs.queue_url, Attributes={"VisibilityTimeout": "30"}
    )
    killer.start()
    began = time.monotonic()
    try:
        accepted = submit_all(gateway, base, stack.key, runs)
        submitted = time.monotonic() - began
        ended, waiting = ends_of(gateway, base, stack.key, accepted)
    finally:
        killer.over.set()
        killer.join()
        gateway.kill()
    ran = Counter(int(line) for line in runs.read_text().split())
    print(
        f"\n{len(accepted)} accepted in {submitted:.0f} s, ended {dict(ended)} after "
        f"{time.monotonic() - began:.0f} s; 2 gateways and {killer.killed} processes killed; "
        f"{sum(ran.values()) - len(ran)} ran more than once"
    )
    assert not waiting, f"{len(waiting)} never ended"
    assert sum(ended.values()) == len(accepted) == REQUESTS
    assert killer.killed > 0
    # Whatever was killed three times over ends with an error; everything else has run.
    assert set(ended) <= {"ok", "crashed", "Runtime.ExitError", "lost"}
    assert len(ran) >= ended["ok"]
