"""Starting and ending our own processes, and only those."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STOP_SECONDS = 10.0


class Process(Frozen, kw_only=True):
    """A process that we started.

    Attributes:
        started: what tells it from a later one with the same pid.
    """

    pid: int
    started: str
    port: int

    def alive(self) -> bool:
        """Whether it still runs, and is not another process with its number."""
        return bool(self.started) and start_mark(self.pid) == self.started


def start_mark(pid: int) -> str:
    """When a process began, as the system writes it; empty when there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]
    ran = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return ran.stdout.strip()


def start(
    command: Sequence[str], *, environ: Mapping[str, str], cwd: Path, log: Path, port: int
) -> Process:
    """Start a process that outlives this one, in a session of its own."""
    cwd.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(command),
            env=dict(environ),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    # It is meant to go on; its end is noticed by its mark.
    child.returncode = 0
    return Process(pid=child.pid, started=start_mark(child.pid), port=port)


def stop(process: Process) -> None:
    """End a process and those it started: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not process.alive():
            return
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + STOP_SECONDS
        while process.alive() and time.monotonic() < deadline:
            _reap(process.pid)
            time.sleep(0.02)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def is_free(port: int) -> bool:
    """Whether a port of this machine can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Any free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tail(log: Path, lines: int = 3) -> str:
    """The last lines of a log, as one."""
    try:
        found = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "there is no log"
    return " | ".join(line.strip() for line in found[-lines:] if line.strip()) or "the log is empty"
