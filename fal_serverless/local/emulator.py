"""The emulator's own Python environment, and its process."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import ssl
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fal_serverless import stack
from fal_serverless.errors import LocalStackError
from fal_serverless.local import processes
from fal_serverless.package.files import write_atomically
from fal_serverless.package.uv import run_uv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fal_serverless.local.processes import Process

READY_SECONDS = 60.0
# Addresses of its own that it keeps: of the stack's queues, of layers' contents, of APIs. Others
# that name this machine are a user's.
_OWN_ADDRESS = re.compile(
    rb"(http://localhost:)[0-9]+(?=/[0-9]{12}/fal-serverless-|/_ministack/)"
    rb"|([0-9a-z]+\.execute-api\.localhost:)[0-9]+"
)
_ADDRESSED = ("apigateway", "cloudformation", "lambda", "sqs")


def requirements() -> Path:
    """The emulator's pinned requirements."""
    return stack.root() / "infra" / "emulator-requirements.txt"


def environment(folder: Path) -> Path:
    """The Python of the emulator's environment in ``folder``; made when missing or outdated.

    Raises:
        LocalStackError: it could not be made.
    """
    wanted = hashlib.sha256(requirements().read_bytes() + sys.executable.encode()).hexdigest()
    python = folder / "bin" / "python"
    stamp = folder / "made-of"
    if python.exists() and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    base = getattr(sys, "_base_executable", sys.executable)
    commands = (
        ["venv", "--quiet", "--no-python-downloads", "--python", base, str(folder)],
        ["pip", "install", "--quiet", "--python", str(python), "-r", str(requirements())],
    )
    for command in commands:
        ran = run_uv(command)
        if ran.status:
            raise LocalStackError(
                "The emulator could not be installed.",
                reason=" ".join(ran.errors.split())[-400:] or "uv gives no reason",
                hint="check the network and the package index, and run it again",
            )
    stamp.write_text(wanted, encoding="utf-8")
    return python


def launch(
    home: Path, port: int, note: Callable[[Process], None], *, auth: bool = False
) -> Process:
    """Start the emulator on ``port`` and wait until it answers.

    Args:
        note: is told of the process at once, so that it is known if this one is killed meanwhile.

    Raises:
        LocalStackError: it ended or did not answer; the end of its log is the reason.
    """
    python = environment(home / "emulator-venv")
    log = home / "logs" / "emulator.log"
    folder = home / "emulator-state"
    for service in _ADDRESSED:
        _move(folder / f"{service}.json", port)
    # Nothing of the caller's AWS configuration or Python path may reach it.
    variables = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "PYTHON", "FAL_", "VIRTUAL_ENV"))
    }
    variables |= {
        "GATEWAY_PORT": str(port),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "s3"),
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    if auth:
        variables["AUTH"] = "true"
    process = processes.start(
        [str(python.parent / "ministack")],
        environ=variables,
        cwd=folder,
        log=log,
        port=port,
    )
    note(process)
    wait(process, f"http://127.0.0.1:{port}/_localstack/health", "The emulator", log)
    return process


def readdressed(state: bytes, port: int) -> bytes:
    """The emulator's kept state with its own addresses at ``port``. Pure.

    It hands a queue's messages to functions only where the queue's address is that of today.
    """
    return _OWN_ADDRESS.sub(lambda found: (found[1] or found[2]) + str(port).encode("ascii"), state)


def _move(path: Path, port: int) -> None:
    if not path.is_file():
        return
    before = path.read_bytes()
    after = readdressed(before, port)
    if after != before:
        write_atomically(path, after)


def wait(process: Process, url: str, who: str, log: Path) -> None:
    """Wait until ``url`` answers.

    Raises:
        LocalStackError: the process ended, or does not answer in a minute.
    """
    import time

    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if answers(url):
            return
        if not process.alive():
            raise LocalStackError(
                f"{who} ended while it started.",
                reason=processes.tail(log),
                hint=f"read {log}, and run: fal-serverless local start",
            )
        time.sleep(0.05)
    processes.stop(process)
    raise LocalStackError(
        f"{who} does not answer.",
        reason=f"{READY_SECONDS:.0f} s have passed; {processes.tail(log)}",
        hint=f"read {log}, and run: fal-serverless local start",
    )


def answers(url: str) -> bool:
    """Whether something answers at ``url`` with less than 500."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection = http.client.HTTPConnection(host, port, timeout=2)
    if parts.scheme == "https":
        # Whether it is there, not who it is: the certificate of a gateway is the user's business.
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname = False
        anybody.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=2, context=anybody)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
