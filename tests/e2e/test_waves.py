"""What a publish that was done before asks of AWS, and what of it goes side by side.

On AWS each request takes 20 to 100 ms, so that the longest chain of them is what a user waits for.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import COMMAND
from tests.e2e.test_publishing import TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
TOGETHER_S = 20
"""How long a request is held for the others of its wave; those that are asked one by one fail."""

LOOK = (
    # Who it is, and which stack.
    ["GetCallerIdentity", "DescribeStacks"],
    ["GetItem IDENTITY"],
    # What is there: the one layer of a function without requirements is our runtime's.
    ["layer", "GetItem RULE", "GetItem ALIAS", "function"],
)
LEASES = (
    ["PutItem LEASE"],
    ["PutItem LEASE"],
    # What an interrupted publish may have left.
    ["Query ALIAS", "Query REV", "aliases", "versions"],
    ["configuration"],
)
CODE = (["PUT code"], ["configuration"])
REVISION = (
    ["PUT configuration"],
    ["configuration"],
    ["POST versions"],
    ["configuration"],
    ["TransactWriteItems Put Put"],
    ["PUT alias"],
    ["TransactWriteItems ConditionCheck Put Put"],
    ["TransactWriteItems Delete", "TransactWriteItems Delete"],
)

CHANGED = (*LOOK, ["PUT bundle"], *LEASES, *CODE, *REVISION)
UNCHANGED = (*LOOK, *LEASES, *REVISION)


def label(method: str, path: str, target: str, body: bytes) -> str:
    """A short name of a request to AWS."""
    if action := re.match(rb"Action=(\w+)", body):
        return action[1].decode()
    if target:
        operation, words = target.rpartition(".")[2], json.loads(body)
        if operation == "TransactWriteItems":
            return " ".join([operation, *(next(iter(item)) for item in words["TransactItems"])])
        key = words.get("Key") or words.get("Item") or {}
        values = words.get("ExpressionAttributeValues", {})
        named = [key.get("sk"), key.get("pk"), values.get(":sk")]
        kinds = [item["S"].partition("#")[0] for item in named if item]
        kind = next(kind for kind in kinds if kind not in ("-", "USER"))
        return f"{operation} {kind}"
    parts = urlsplit(path).path.strip("/").split("/")
    if "layers" in parts:
        return "layer"
    if "functions" not in parts:
        return f"{method} bundle"
    what = parts[parts.index("functions") + 2 :] or ["function"]
    kind = "alias" if len(what) == 2 else what[0]
    return kind if method == "GET" else f"{method} {kind}"


class Recorded:
    """Requests by their labels, as they come; waves are held until they are whole."""

    def __init__(self, waves: Sequence[Sequence[str]]) -> None:
        self.told: list[str] = []
        self.lock = threading.Lock()
        together = [wave for wave in waves if len(wave) > 1]
        self.barriers = {
            name: barrier
            for wave in together
            for barrier in [threading.Barrier(len(wave), timeout=TOGETHER_S)]
            for name in wave
        }

    def come(self, name: str) -> None:
        with self.lock:
            # Only the first one of what is asked until it says yes.
            if not self.told or self.told[-1] != name or name != "configuration":
                self.told.append(name)
        if name in self.barriers:
            self.barriers[name].wait()


@contextmanager
def recording(endpoint: str, recorded: Recorded) -> Iterator[str]:
    """The address of a server that passes everything on to ``endpoint``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            name = label(self.command, self.path, self.headers.get("X-Amz-Target", ""), body)
            try:
                recorded.come(name)
            except threading.BrokenBarrierError:
                self.send_error(400, f"{name} came alone")
                return
            connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=60)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def serve(stack: Stack, endpoint: str, file: Path, *more: str) -> None:
    """As on AWS: the embedded stack's own profile would not go by way of ``endpoint``."""
    environ = {
        **{key: value for key, value in stack.environ.items() if key != "FAL_PROFILE"},
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    words = ["function", "serve", str(file), "waves", "--alias", "waves", *more]
    ran = subprocess.run(
        [COMMAND, *words], env=environ, capture_output=True, text=True, timeout=240
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("value", "more", "waves"),
    [(2, ["--dry-run"], LOOK), (2, [], CHANGED), (1, [], UNCHANGED)],
    ids=["dry-run", "changed", "unchanged"],
)
def test_a_publish_asks_nothing_twice_and_what_it_can_at_once(
    stack: Stack, tmp_path: Path, value: int, more: list[str], waves: Sequence[Sequence[str]]
):
    endpoint = stack.run("local", "status", "--json").json()["endpoint_url"]
    file = tmp_path / "mine.py"
    file.write_text(TEXT.format("waves", 1), encoding="utf-8")
    serve(stack, endpoint, file)
    file.write_text(TEXT.format("waves", value), encoding="utf-8")
    recorded = Recorded(waves)
    with recording(endpoint, recorded) as address:
        serve(stack, address, file, *more)
    told = iter(recorded.told)
    for wave in waves:
        assert Counter(next(told, "") for _ in wave) == Counter(wave)
    assert list(told) == []
