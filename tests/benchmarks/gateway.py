"""The gateway beside plain ones, against a stand-in for AWS that answers at once."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from tests.benchmarks import standin
from tests.benchmarks.load import load
from tests.benchmarks.peers import (
    PROGRAMS,
    ROOT,
    Row,
    clean,
    compared,
    in_turn,
    interpreter,
    on_core,
    times_less,
    times_more,
    warmed,
)

ROUNDS = 9
LOADS = 5
CONNECTIONS = 64
BODY = '{"text": "hi"}'
PLAIN = "FastAPI + Mangum + boto3"
ASYNC = "FastAPI + aioboto3"
# A core for the server that is measured, another for what calls it and for what it calls: where
# else the system would put them, anew each time, is nothing of theirs.
SERVERS, OTHERS = 0, -1


def event(key: dict[str, str]) -> dict:
    """An event of an HTTP API: a POST to a private function, with a key."""
    host = "abcde12345.execute-api.eu-central-1.amazonaws.com"
    headers = {
        "accept": "*/*",
        "content-length": str(len(BODY)),
        "content-type": "application/json",
        "host": host,
        "user-agent": "curl/8.5.0",
        "x-amzn-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
        **key,
    }
    path = f"/{standin.OWNER}-{standin.ALIAS}/"
    http = {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.9"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {"domainName": host, "http": http, "stage": "$default"},
        "body": BODY,
        "isBase64Encoded": False,
    }


def in_lambda(python: str, program: str, given: dict, environ: dict, count: int) -> list[float]:
    """[ms from before the import to the first answer, ms of each later call]."""
    command = [python, str(PROGRAMS / "timed.py"), str(PROGRAMS / f"{program}.py"), str(count)]
    ran = subprocess.run(
        command,
        input=json.dumps(given),
        # Log lines go nowhere: reading them meanwhile would take one of the cores.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        env={**clean(), **environ, "PYTHONPATH": str(ROOT)},
    )
    first, each = json.loads(ran.stderr.splitlines()[-1])
    return [first, each / 1e3]


@contextmanager
def server(command: list[str], environ: dict):
    """A server's port; its first line of output is JSON that holds it."""
    # To a file: a line for each request would fill a pipe that nobody reads.
    with tempfile.NamedTemporaryFile() as output, Path(output.name).open() as said:
        process = subprocess.Popen(
            command,
            env={**clean(), **environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield int(json.loads(first_line(said, process))["port"])
        finally:
            process.terminate()
            process.wait(timeout=30)


def first_line(said: IO[str], process: subprocess.Popen[bytes]) -> str:
    while process.poll() is None:
        said.seek(0)
        line = said.readline()
        if line.endswith("\n"):
            return line
        time.sleep(0.02)
    raise RuntimeError(f"the server ended with {process.returncode}")


def measure(python: str, *, quick: bool) -> list[Row]:
    with standin.aws(awake=True) as (environ, key):
        rows = mangum(python, environ, key, quick=quick)
    with ExitStack() as running:
        with on_core(OTHERS):
            environ, key = running.enter_context(standin.aws())
        return [*rows, *uvicorn(environ, key, quick=quick)]


def mangum(python: str, environ: dict, key: dict[str, str], *, quick: bool) -> list[Row]:
    given, count = event(key), 100 if quick else 1000
    ours = {**environ, "POWERTOOLS_METRICS_NAMESPACE": "fal"}
    works = {
        "ours": lambda: in_lambda(python, "gateway", given, ours, count),
        PLAIN: lambda: in_lambda(python, "plain_gateway", given, environ, count),
    }
    found, failed = warmed(1 if quick else ROUNDS, works)
    warm = {PLAIN: times_less(3)}
    cold = {PLAIN: times_less(2)}
    return [
        *compared("gateway, warm request through Mangum", "ms", found, failed, warm, index=1),
        *compared("gateway, import to first answer", "ms", found, failed, cold, index=0),
    ]


def uvicorn(environ: dict, key: dict[str, str], *, quick: bool) -> list[Row]:
    outside = {k: v for k, v in environ.items() if k != "AWS_LAMBDA_FUNCTION_NAME"}
    lines = [f"POST /{standin.OWNER}-{standin.ALIAS}/ HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in key.items()]
    lines += ["Content-Type: application/json", f"Content-Length: {len(BODY)}", "", BODY]
    request, count = "\r\n".join(lines).encode(), 200 if quick else 2000
    python = interpreter("aio")
    commands = {
        "ours": [python, "-m", "fal_serverless.gateway.server", "--port", "0"],
        ASYNC: [python, str(PROGRAMS / "plain_server.py")],
    }
    commands["ours"] += ["--table", standin.TABLE]

    def rate(port: int) -> float:
        with on_core(OTHERS):
            done = load(port, CONNECTIONS, count, request)
        if done.failed:
            raise RuntimeError(f"{done.failed} of {count} requests failed")
        return done.rate

    with ExitStack() as running:
        with on_core(SERVERS):
            ports = {
                name: running.enter_context(server(command, outside))
                for name, command in commands.items()
            }
        works = {name: partial(rate, port) for name, port in ports.items()}
        found, failed = in_turn(1 if quick else LOADS, works)
    label = f"gateway under uvicorn, {CONNECTIONS} connections"
    return compared(label, "requests/s", found, failed, {ASYNC: times_more(2)})
