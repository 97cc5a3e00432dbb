"""The gateway as a process, under uvicorn, asked over plain sockets, with a stand-in of AWS."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from gateway_fakes import DOMAIN, SECRET, FakeInvoker, FakeRegistry
from uvicorn.server import ServerState

from fal_serverless.gateway.http import GatewayProtocol
from fal_serverless.gateway.registry import CachedRegistry
from fal_serverless.gateway.server import THREADS, _listen, config, main
from fal_serverless.keys import hash_secret
from tests.support.gateway import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway_fakes import AwsStandIn


def route_item(name: str, auth: str, mode: str = "serve") -> dict[str, Any]:
    texts = {
        "pk": f"ROUTE#12-{name}",
        "sk": "-",
        "function": f"fal-12-{name}-z",
        "qualifier": name,
        "auth": auth,
        "mode": mode,
        "owner": "12",
        "revision": f"rev-{name}",
    }
    return {**{key: {"S": value} for key, value in texts.items()}, "timeout": {"N": "30"}}


KEY_ITEM = {
    "pk": {"S": "KEY#mine"},
    "sk": {"S": "-"},
    "secret_sha256": {"S": hash_secret(SECRET)},
    "owner": {"S": "12"},
    "scope": {"S": "API"},
    "alias": {"S": ""},
    "revoked": {"BOOL": False},
}


@dataclass
class Running:
    port: int
    process: subprocess.Popen[str]

    def raw(self, *lines: str, body: bytes = b"") -> tuple[str, list[tuple[str, str]], bytes]:
        """(status line, headers, body) of one request, written byte by byte."""
        head = "\r\n".join((*lines, "Connection: close", "", "")).encode("latin-1")
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(head + body)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        top, _, rest = received.partition(b"\r\n\r\n")
        status, *fields = top.decode("latin-1").split("\r\n")
        pairs = [field.split(": ", 1) for field in fields]
        return status, [(name.lower(), value) for name, value in pairs], rest


@pytest.fixture
def running(aws: AwsStandIn) -> Iterator[Running]:
    for item in (
        route_item("call", "private"),
        route_item("web", "public", "port"),
        KEY_ITEM,
    ):
        aws.items[item["pk"]["S"]] = item
    command = [sys.executable, "-m", "fal_serverless.gateway.server", "--port", "0"]
    command += ["--table", "registry", "--endpoint-url", aws.url, "--domain", DOMAIN]
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {
        **keep,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    process = subprocess.Popen(
        [*command, "--deadline", "20"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        yield Running(json.loads(line)["port"], process)
    finally:
        process.kill()
        process.communicate()


WEB = f"Host: 12-web.{DOMAIN}"


def test_bytes_arrive_as_they_were_sent(aws: AwsStandIn, running: Running) -> None:
    target = "/a%2Fb//..;x/%c3%A9%%20?b=&b&a=%41+&&fal_key_id=1&=~"
    status, headers, body = running.raw(
        f"POST {target} HTTP/1.1",
        WEB,
        "X-Forwarded-For: 1.1.1.1",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "Accept: a",
        "Accept: b",
        "X-Latin: caf\xe9",
        "Authorization: Bearer token",
        "Cookie: a=1; b=2",
        "Content-Length: 4",
        body=b"\x00\xff\r\n",
    )
    assert status == "HTTP/1.1 200 OK"
    event = json.loads(body)
    assert event["rawPath"] == "/a%2Fb//..;x/%c3%A9%%20"
    assert event["rawQueryString"] == "b=&b&a=%41+&&=~"
    assert (event["body"], event["isBase64Encoded"]) == ("AP8NCg==", True)
    sent = event["fal"]["headers"]
    assert ["accept", "a"] in sent
    assert ["accept", "b"] in sent
    assert ["x-latin", "caf\xe9"] in sent
    assert ["authorization", "Bearer token"] in sent
    assert ["cookie", "a=1; b=2"] in sent
    assert ["x-forwarded-for", "1.1.1.1, 127.0.0.1"] in sent
    assert ["x-forwarded-host", f"12-web.{DOMAIN}"] in sent
    assert ["x-forwarded-proto", "http"] in sent
    names = [name for name, _ in headers]
    assert [value for name, value in headers if name == "set-cookie"] == ["a=1; Path=/", "b=2"]
    assert [value for name, value in headers if name == "x-twice"] == ["1", "2"]
    assert "server" not in names
    assert names.count("content-length") == 1
    assert ("x-fal-revision", "rev-web") in headers


def test_chunked_bodies_and_whole_urls(running: Running) -> None:
    _, _, body = running.raw(
        f"PUT http://12-web.{DOMAIN}/x?y HTTP/1.1",
        "Host: ignored.example",
        "Transfer-Encoding: chunked",
        body=b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    )
    event = json.loads(body)
    assert (event["rawPath"], event["rawQueryString"], event["body"]) == ("/x", "y", "abcde")
    assert "transfer-encoding" not in event["headers"]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (f"http://12-web.{DOMAIN}?y", "/", "y"),
        (f"HTTP://12-web.{DOMAIN}:80", "/", ""),
        ("/a#b?c#d", "/a#b", "c#d"),
        ("//x//y?", "//x//y", ""),
        ("/?a?b", "/", "a?b"),
    ],
)
def test_odd_targets(running: Running, target: str, path: str, query: str) -> None:
    status, _, body = running.raw(f"GET {target} HTTP/1.1", WEB, "X-A: \t b \t")
    assert status == "HTTP/1.1 200 OK"
    event = json.loads(body)
    assert (event["rawPath"], event["rawQueryString"]) == (path, query)
    assert event["headers"]["x-a"] == "b"


@pytest.mark.parametrize(
    "lines",
    [
        ("GET / HTTP/1.1",),
        ("GET / HTTP/1.1", WEB, "Host: other"),
        ("GET / HTTP/1.1", WEB, f"X: {'x' * 65_536}"),
        (f"GET /{'x' * 65_536} HTTP/1.1", WEB),
        ("GET / HTTP/1.1", WEB, "X: a\x00b"),
        ("GET / HTTP/1.1", WEB, "X Y: a"),
        ("GET / HTTP/1.1", WEB, "Content-Length: 1", "Content-Length: 2"),
        ("GET / HTTP/1.1", WEB, "Content-Length: 1", "Transfer-Encoding: chunked"),
    ],
)
def test_requests_that_are_none(running: Running, lines: tuple[str, ...]) -> None:
    status, _, body = running.raw(*lines)
    assert status == "HTTP/1.1 400 Bad Request"
    assert body == b"Invalid HTTP request received."


def test_old_requests_need_no_host(running: Running) -> None:
    status, _, body = running.raw("GET /12-web/x HTTP/1.0")
    assert status == "HTTP/1.1 200 OK"
    assert json.loads(body)["rawPath"] == "/x"


def test_the_second_packet_of_an_answer_waits_for_nobody() -> None:
    made: list[GatewayProtocol] = []

    async def ask() -> int:
        settings = config(
            create_app(registry=CachedRegistry(FakeRegistry()), invoker=FakeInvoker())
        )
        settings.load()

        def protocol() -> GatewayProtocol:
            made.append(GatewayProtocol(settings, ServerState(), {}))
            return made[-1]

        listener = _listen("127.0.0.1", 0)
        serving = await asyncio.get_running_loop().create_server(protocol, sock=listener)
        async with serving:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET /_fal/health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            connected = made[0].transport.get_extra_info("socket")
            found: int = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
            await writer.wait_closed()
        return found

    assert asyncio.run(ask())


def answer_with(aws: AwsStandIn, **said: Any) -> None:
    aws.answers["fal-12-web-z"] = (200, {}, json.dumps(said).encode())


def test_more_wait_for_their_functions_than_there_are_threads(
    aws: AwsStandIn, running: Running
) -> None:
    together = threading.Barrier(THREADS + 16)

    def answer(handler: Any) -> None:
        together.wait(15)
        handler.reply(200, {}, b'{"statusCode": 200, "body": "all here"}')

    aws.answers["fal-12-web-z"] = answer
    with ThreadPoolExecutor(together.parties) as callers:
        asked = [
            callers.submit(running.raw, "GET / HTTP/1.1", WEB) for _ in range(together.parties)
        ]
        answers = [found.result() for found in asked]
    assert {body for _, _, body in answers} == {b"all here"}


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(aws: AwsStandIn, running: Running, status: int) -> None:
    answer_with(aws, statusCode=status, headers={"etag": "e", "content-length": "5"}, body="")
    line, headers, body = running.raw("GET / HTTP/1.1", WEB)
    assert line.startswith(f"HTTP/1.1 {status}")
    assert body == b""
    assert ("etag", "e") in headers


def test_head(aws: AwsStandIn, running: Running) -> None:
    answer_with(aws, statusCode=200, fal={"headers": [["content-length", "5"]]}, body="")
    line, headers, body = running.raw("HEAD / HTTP/1.1", WEB)
    assert line == "HTTP/1.1 200 OK"
    assert body == b""
    assert [value for name, value in headers if name == "content-length"] == ["5"]


def test_redirects_and_binary_answers(aws: AwsStandIn, running: Running) -> None:
    answer_with(
        aws,
        statusCode=302,
        fal={"headers": [["location", "/elsewhere?a=%20"], ["content-encoding", "gzip"]]},
        body="H4sA/w==",
        isBase64Encoded=True,
    )
    line, headers, body = running.raw("GET / HTTP/1.1", WEB)
    assert line.startswith("HTTP/1.1 302")
    assert ("location", "/elsewhere?a=%20") in headers
    assert body == base64.b64decode("H4sA/w==")
    assert ("content-encoding", "gzip") in headers


def test_keys_throttling_and_errors(aws: AwsStandIn, running: Running) -> None:
    call = f"Host: 12-call.{DOMAIN}"
    assert "401" in running.raw("POST / HTTP/1.1", call)[0]
    key = f"Authorization: Key mine:{SECRET}"
    assert "200" in running.raw("POST / HTTP/1.1", call, key)[0]
    aws.answers["fal-12-call-z"] = (429, {"Retry-After": "4"}, b"{}")
    line, headers, _ = running.raw("POST / HTTP/1.1", call, key)
    assert "429" in line
    assert ("retry-after", "4") in headers
    error = json.dumps({"errorMessage": "Task timed out after 30.00 seconds"}).encode()
    aws.answers["fal-12-call-z"] = (200, {"X-Amz-Function-Error": "Unhandled"}, error)
    assert "504" in running.raw("POST / HTTP/1.1", call, key)[0]


@pytest.mark.parametrize("name", ["web", "call"])
def test_refused_bodies_are_taken_off_the_line(running: Running, name: str) -> None:
    # More than socket buffers hold, so that a closed connection would be reset.
    large = b"x" * 8_000_000
    host = f"Host: 12-{name}.{DOMAIN}"
    line, _, body = running.raw(
        "POST / HTTP/1.1", host, f"Content-Length: {len(large)}", body=large
    )
    assert ("413" if name == "web" else "401") in line
    assert (b"6,291,556" in body) == (name == "web")


def test_whoever_asks_first_is_told_before_the_body_is_sent(running: Running) -> None:
    line, _, _ = running.raw(
        "POST / HTTP/1.1",
        f"Host: 12-call.{DOMAIN}",
        "Expect: 100-continue",
        "Content-Length: 4",
    )
    assert "401" in line


def test_it_logs_a_line_a_request_and_no_secrets(aws: AwsStandIn, running: Running) -> None:
    call = f"Host: 12-call.{DOMAIN}"
    query = f"/p?fal_key_id=mine&fal_key_secret={SECRET}&token=t0ken"
    running.raw(f"POST {query} HTTP/1.1", call, "X-Fal-Request-Id: r-1")
    running.raw("POST / HTTP/1.1", call, f"Authorization: Key mine:{SECRET}")
    running.raw("POST / HTTP/1.1", call, "X-Fal-Key-Id: no", f"X-Fal-Key-Secret: {SECRET}")
    running.process.send_signal(signal.SIGTERM)
    out, err = running.process.communicate(timeout=60)
    assert SECRET not in out + err
    assert "t0ken" not in out + err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["status"] for line in lines] == [200, 200, 401]
    assert {name: lines[0][name] for name in ("event", "request_id", "target", "revision")} == {
        "event": "request",
        "request_id": "r-1",
        "target": "12-call",
        "revision": "rev-call",
    }
    assert not any(SECRET.encode() in request["body"] for request in aws.requests)
    assert err == ""


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["--port", port, "--table", "t", "--region", "eu-central-1"]) == 1
    err = capsys.readouterr().err
    assert port in err
    assert "hint: " in err
