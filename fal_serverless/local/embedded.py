"""Start, stop, look at and reset the embedded stack."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from fal_serverless import stack
from fal_serverless.aws.cloudformation import Deployer
from fal_serverless.aws.session import emulator_session
from fal_serverless.errors import LocalStackError, NotFoundError
from fal_serverless.local import emulator, gateway, processes
from fal_serverless.local.processes import Process
from fal_serverless.package.files import write_atomically
from fal_serverless.spec import host_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GATEWAY_PORT = 8080
EMULATOR_PORT = 4566
HTTPS_PORT = 8443
DOMAIN = gateway.DOMAIN
STACK = "fal-serverless"
State = Literal["running", "stopped", "degraded"]


def data_folder(home: Path) -> Path:
    """The persistent data of functions on the embedded stack, and on this machine."""
    return home / "local" / "data"


@dataclass(frozen=True, kw_only=True)
class Status:
    """The embedded stack as it is.

    Attributes:
        https_url: of the gateway, or ``""`` when it has no certificate.
        problems: what is wrong when it is degraded.
    """

    state: State
    gateway_url: str
    https_url: str
    endpoint_url: str
    stack: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """What ``state.json`` holds."""

    emulator: Process | None = None
    gateway: Process | None = None
    https: Process | None = None
    certificate: str = ""
    certificate_key: str = ""
    https_port: int = HTTPS_PORT
    gateway_port: int = GATEWAY_PORT
    emulator_port: int = EMULATOR_PORT
    table: str = ""


class Embedded:
    """The embedded stack of one home folder; one operation at a time."""

    def __init__(self, home: Path, tell: Callable[[str], None] = lambda _: None) -> None:
        self._home = home / "local"
        self._tell = tell

    def start(
        self,
        *,
        port: int | None = None,
        emulator_port: int | None = None,
        https_port: int | None = None,
        certificate: tuple[str, str] | None = None,
        auth: bool = False,
    ) -> Status:
        """Start what does not run; ports 0 mean any free one, None whatever was last time.

        Args:
            certificate: its file and that of its key; the gateway then speaks https too.

        Raises:
            LocalStackError: a port is taken, or a part does not start.
            StackError: the template could not be deployed.
        """
        with self._lock():
            saved = self._read()
            wanted = {"gateway_port": port, "emulator_port": emulator_port}
            wanted |= {"https_port": https_port} if saved.certificate or certificate else {}
            if self._status(saved).state == "running" and _same(saved, wanted, certificate):
                return self._status(saved)
            if saved.emulator is not None and not saved.emulator.alive():
                self._tell("the emulator had died, which keeps its state when it is stopped only:")
                self._tell("what was served since it was started is to be served again")
            self._stop(saved)
            pair = certificate or (saved.certificate, saved.certificate_key)
            secure = saved.https_port
            if pair[0]:
                secure = _choose(https_port, secure, "--https-port", "the gateway's https")
            saved = _Saved(
                certificate=pair[0],
                certificate_key=pair[1],
                https_port=secure,
                gateway_port=_choose(port, saved.gateway_port, "--port", "the gateway"),
                emulator_port=_choose(
                    emulator_port, saved.emulator_port, "--emulator-port", "the emulator"
                ),
            )
            self._write(saved)
            self._tell("start the emulator")
            # Written down at once: should this be killed, the next start ends what it began.
            running = emulator.launch(
                self._home,
                saved.emulator_port,
                lambda process: self._write(replace(saved, emulator=process)),
                auth=auth,
            )
            saved = replace(saved, emulator=running)
            saved = self._gateways(saved, self._deploy(saved))
            return self._status(saved)

    def stop(self) -> Status:
        """End both processes; the state is kept."""
        with self._lock():
            saved = self._read()
            self._stop(saved)
            saved = replace(saved, emulator=None, gateway=None, https=None)
            self._write(saved)
            return self._status(saved)

    def reset(self) -> Status:
        """End both processes, and forget everything that was deployed and served."""
        status = self.stop()
        with self._lock():
            shutil.rmtree(self._home / "emulator-state", ignore_errors=True)
        return status

    def status(self) -> Status:
        """Look, and change nothing."""
        return self._status(self._read())

    def gateway_url(self) -> str:
        """The gateway's address, whether it runs or not."""
        return _gateway_url(self._read())

    def endpoint(self) -> str:
        """The emulator's address.

        Raises:
            NotFoundError: the embedded stack does not run.
            LocalStackError: a part of it has died.
        """
        status = self.status()
        if status.state == "stopped":
            raise NotFoundError(
                "The embedded stack does not run.",
                reason="it was not started, or was stopped",
                hint="run: fal-serverless local start",
            )
        if status.state == "degraded":
            raise LocalStackError(
                "The embedded stack is degraded.",
                reason="; ".join(status.problems),
                hint="run: fal-serverless local start, which mends it",
            )
        return status.endpoint_url

    def _status(self, saved: _Saved) -> Status:
        problems = []
        parts = {"emulator": saved.emulator, "gateway": saved.gateway}
        parts |= {"https": saved.https} if saved.certificate else {}
        for name, process in parts.items():
            log = self._home / "logs" / f"{name}.log"
            if process is None:
                problems.append(f"the {name} was not started")
            elif not process.alive():
                # Its last lines are of what it worked on, and seldom say why.
                problems.append(f"the {name} has ended; its log is {log}")
        if not problems and not emulator.answers(
            f"http://127.0.0.1:{saved.gateway_port}/_fal/health"
        ):
            problems.append("the gateway does not answer")
        state: State = "degraded" if problems else "running"
        if saved.emulator is None and saved.gateway is None:
            state, problems = "stopped", []
        return Status(
            state=state,
            gateway_url=_gateway_url(saved),
            https_url=f"https://{DOMAIN}:{saved.https_port}" if saved.certificate else "",
            endpoint_url=f"http://127.0.0.1:{saved.emulator_port}",
            stack=STACK,
            problems=tuple(problems),
        )

    def _deploy(self, saved: _Saved) -> stack.Outputs:
        session = emulator_session(f"http://127.0.0.1:{saved.emulator_port}")
        deployer = Deployer(session, poll=0.1)
        mark = self._home / "emulator-state" / "deployed"
        wanted = _digest()
        found = deployer.outputs(STACK)
        if found is None or not mark.is_file() or mark.read_text(encoding="utf-8") != wanted:
            # The emulator runs functions on this machine's own Python.
            stack.deploy(
                deployer,
                STACK,
                # Whoever tries webhooks out here has their receiver on this machine. The emulator
                # cannot read a limit that comes from a parameter, and has one of its own.
                {"PrivateWebhooks": "true", "QueueConcurrency": "0"},
                python=host_python(),
                architecture="x86_64",
                tell=self._tell,
            )
            found = deployer.outputs(STACK)
            mark.write_text(wanted, encoding="utf-8")
        return stack.outputs_of(STACK, found or {})

    def _gateways(self, saved: _Saved, outputs: stack.Outputs) -> _Saved:
        """Start the gateway, and the one for https where there is a certificate."""
        endpoint = f"http://127.0.0.1:{saved.emulator_port}"
        self._tell("start the gateway")
        log = self._home / "logs" / "gateway.log"
        saved = replace(saved, table=outputs.table)
        started = gateway.launch(
            log,
            endpoint,
            outputs,
            saved.gateway_port,
            lambda process: self._write(replace(saved, gateway=process)),
        )
        saved = replace(saved, gateway=started)
        if saved.certificate:
            log = self._home / "logs" / "https.log"
            pair = (saved.certificate, saved.certificate_key)
            secure = gateway.launch(
                log,
                endpoint,
                outputs,
                saved.https_port,
                lambda process: self._write(replace(saved, https=process)),
                *pair,
            )
            saved = replace(saved, https=secure)
        return saved

    def _stop(self, saved: _Saved) -> None:
        for process in (saved.https, saved.gateway, saved.emulator):
            if process is not None:
                processes.stop(process)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        from filelock import FileLock

        self._home.mkdir(parents=True, exist_ok=True)
        with FileLock(self._home / "lock"):
            yield

    def _read(self) -> _Saved:
        path = self._home / "state.json"
        try:
            found = json.loads(path.read_bytes())
            for part in ("emulator", "gateway", "https"):
                found[part] = Process(**found[part]) if found.get(part) else None
            return _Saved(**found)
        except FileNotFoundError:
            return _Saved()
        except (OSError, ValueError, TypeError) as error:
            raise LocalStackError(
                "The embedded stack's state cannot be read.",
                reason=f"{path}: {error}",
                hint=f"end its processes by hand, and delete {path}",
            ) from error

    def _write(self, saved: _Saved) -> None:
        write_atomically(self._home / "state.json", json.dumps(asdict(saved)).encode())


def _same(saved: _Saved, ports: dict[str, int | None], certificate: tuple[str, str] | None) -> bool:
    kept = certificate in (None, (saved.certificate, saved.certificate_key))
    return kept and all(port in (None, 0, getattr(saved, name)) for name, port in ports.items())


def _choose(wanted: int | None, before: int, flag: str, who: str) -> int:
    if wanted == 0:
        return processes.free_port()
    port = before if wanted is None else wanted
    if not processes.is_free(port):
        raise LocalStackError(
            f"Port {port} is taken, and {who} needs one.",
            reason="another program listens there",
            hint=f"choose another with {flag} N, or {flag} 0 for any free one",
        )
    return port


def _digest() -> str:
    """What the deployed stack is made of, so that a start without changes deploys nothing."""
    # The emulator runs the gateway's parts on this very Python.
    return f"{sys.executable} {stack.digest()}"


def _gateway_url(saved: _Saved) -> str:
    return f"http://{DOMAIN}:{saved.gateway_port}"
