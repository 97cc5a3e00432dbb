"""The embedded stack, once for all end-to-end tests: real processes, real HTTP."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COMMAND = str(Path(sys.executable).parent / "fal-serverless")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def json(self):
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        return [v for k, v in self.headers if k.lower() == name.lower()]


@dataclass(frozen=True)
class Ran:
    status: int
    output: str
    errors: str

    def json(self):
        return json.loads(self.output)


@dataclass(frozen=True)
class Stack:
    """A running embedded stack, its command line, and a caller without a DNS resolver."""

    environ: dict[str, str]
    port: int
    user: str = ""
    key: dict[str, str] = field(default_factory=dict)
    https_port: int = 0
    authority: str = ""

    def run(self, *words: str, ok: bool = True, cwd: Path | None = None) -> Ran:
        ran = subprocess.run(
            [COMMAND, *words],
            env=self.environ,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=240,
        )
        if ok:
            assert ran.returncode == 0, ran.stderr
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def serve(self, file: Path | str, name: str, *more: str) -> dict:
        return self.run("function", "serve", str(file), name, *more, "--json").json()

    def call(
        self,
        label: str,
        method: str = "POST",
        path: str = "/",
        body: object = None,
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
        host: str = "",
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host or f"{self.user}-{label}.gateway.localhost:{self.port}")
        for name, value in pairs:
            connection.putheader(name, value)
        if raw is not None:
            connection.putheader("Content-Length", str(len(raw)))
        connection.endheaders(raw)
        response = connection.getresponse()
        answer = Answer(response.status, response.getheaders(), response.read())
        connection.close()
        return answer


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("home")
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "FAL_"))}
    environ = {**keep, "FAL_HOME": str(home), "FAL_PROFILE": "local"}
    bare = Stack(environ, 0)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(home / "authority.pem"))
    made = authority.issue_cert("*.gateway.localhost", "gateway.localhost", "127.0.0.1")
    made.private_key_pem.write_to_path(str(home / "key.pem"))
    for part in made.cert_chain_pems:
        part.write_to_path(str(home / "certificate.pem"), append=True)
    words = ["local", "start", "--port", "0", "--emulator-port", "0", "--https-port", "0"]
    words += ["--certificate", str(home / "certificate.pem")]
    words += ["--certificate-key", str(home / "key.pem"), "--json"]
    started = bare.run(*words).json()
    try:
        assert started["state"] == "running"
        port = int(started["gateway_url"].rpartition(":")[2])
        hello = bare.run("auth", "hello", "--json").json()
        made = bare.run("key", "generate", "--scope", "API", "--json").json()
        key = {"X-Fal-Key-Id": made["key_id"], "X-Fal-Key-Secret": made["key_secret"]}
        secure = int(started["https_url"].rpartition(":")[2])
        trusted = str(home / "authority.pem")
        yield Stack(environ, port, hello["user_id"], key, secure, trusted)
    finally:
        bare.run("local", "stop")
