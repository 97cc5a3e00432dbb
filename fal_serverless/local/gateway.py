"""The embedded stack's gateway: a process of our own Python."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from fal_serverless.local import emulator, processes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fal_serverless.local.processes import Process
    from fal_serverless.stack import Outputs

DOMAIN = "gateway.localhost"


def launch(
    log: Path,
    endpoint: str,
    outputs: Outputs,
    port: int,
    note: Callable[[Process], None],
    certificate: str = "",
    key: str = "",
) -> Process:
    """Start a gateway on ``port``, and wait until it answers.

    Args:
        endpoint: of the emulator.
        note: is told of the process at once, as by ``emulator.launch``.
        certificate: file for https, with the file of its key; without, it speaks http.

    Raises:
        LocalStackError: it ended or did not answer.
    """
    variables = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    variables |= {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }
    command = [sys.executable, "-m", "fal_serverless.gateway.server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--table", outputs.table]
    command += ["--endpoint-url", endpoint, "--domain", DOMAIN]
    command += ["--requests", outputs.requests, "--queue-url", outputs.queue_url]
    command += ["--bucket", outputs.bucket, "--private-webhooks"]
    command += ["--manager", outputs.manager]
    # Whoever tries things out looks at once.
    command += ["--count-every", "1"]
    if certificate:
        command += ["--certificate", certificate, "--certificate-key", key]
    process = processes.start(command, environ=variables, cwd=log.parent, log=log, port=port)
    note(process)
    url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}/_fal/health"
    try:
        emulator.wait(process, url, "The gateway", log)
    except BaseException:
        processes.stop(process)
        raise
    return process
