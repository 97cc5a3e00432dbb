"""Signing and sending to AWS without botocore: the same signatures, and HTTP's odd corners."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from gateway_fakes import OnLoop

from fal_serverless.aws import ambient
from fal_serverless.aws.async_wire import AsyncWire
from fal_serverless.aws.dynamodb_wire import DynamoDB, RefusedError
from fal_serverless.aws.http1 import NoAnswerError, UnconnectedError, WireError
from fal_serverless.aws.registry_read import RegistryReader, open_registry
from fal_serverless.aws.signing import Signer, Static
from fal_serverless.aws.wire import Wire
from fal_serverless.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway_fakes import AwsStandIn

MOMENT = datetime(2026, 5, 17, 9, 8, 7, tzinfo=timezone.utc)


class At(SigV4Auth):
    """botocore's signer, at a moment of the test's choice."""

    def add_auth(self, request: Any) -> None:
        request.context["timestamp"] = MOMENT.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        signature = self.signature(self.string_to_sign(request, canonical), request)
        self._inject_signature_to_request(request, signature)


@pytest.mark.parametrize("token", [None, "a/token+with=signs"])
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/2015-03-31/functions/fal-1-f-z/invocations", "Qualifier=a-b_1"),
        ("/a%3Ab/~", ""),
        ("/", ""),
    ],
)
def test_signatures_are_botocores(path: str, query: str, token: str | None) -> None:
    credentials, more = Credentials("AKID", "aws-secret", token), {"content-type": "a/b"}
    url = f"http://127.0.0.1:4566{path}" + (f"?{query}" if query else "")
    theirs = AWSRequest("POST", url, dict(more), b'{"a": 1}')
    At(credentials, "lambda", "eu-central-1").add_auth(theirs)
    signer = Signer(credentials, "lambda", "eu-central-1", "127.0.0.1:4566")
    for _ in range(2):  # derived, and remembered
        ours = signer.headers(path, query, more, b'{"a": 1}', MOMENT.timestamp())
        assert ours["authorization"] == theirs.headers["Authorization"]
        assert ours.get("x-amz-security-token") == token
    other = signer.headers(path, query, more, b'{"a": 2}', MOMENT.timestamp())
    assert other["authorization"] != ours["authorization"]


def test_refreshed_credentials_sign_anew() -> None:
    found = [Static("A", "one"), Static("B", "two")]

    class Refreshing:
        def get_frozen_credentials(self) -> Static:
            return found.pop(0)

    signer = Signer(Refreshing(), "lambda", "r", "h")
    first = signer.headers("/", "", {}, b"", 0.0)
    assert signer.headers("/", "", {}, b"", 0.0) == (
        Signer(Static("B", "two"), "lambda", "r", "h").headers("/", "", {}, b"", 0.0)
    )
    assert first["authorization"].startswith("AWS4-HMAC-SHA256 Credential=A/19700101/r/lambda/")


def request(connection: socket.socket) -> bytes:
    """A whole request, or nothing where the connection ends; bodies here are JSON objects."""
    found = b""
    while not found.endswith(b"}") and (more := connection.recv(65536)):
        found += more
    return found


KINDS: dict[str, Callable[..., Any]] = {
    "blocking": Wire,
    "on a loop": lambda *given, **named: OnLoop(AsyncWire(*given, **named)),
}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return KINDS[request.param]


@contextmanager
def server(*answers: bytes, make: Callable[..., Any] = Wire) -> Iterator[tuple[Any, list[bytes]]]:
    """A server that gives each connection's requests the answers in turn, then hangs up."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def run() -> None:
            left = list(answers)
            while left:
                connection, _ = listener.accept()
                with connection:
                    while left and (got := request(connection)):
                        seen.append(got)
                        answer = left.pop(0)
                        connection.sendall(answer)
                        if b"Connection: close" in answer or not answer:
                            break
                    else:
                        connection.recv(1)

        thread = threading.Thread(target=run)
        thread.start()
        wire = make(f"http://127.0.0.1:{listener.getsockname()[1]}/base/")
        try:
            yield wire, seen
        finally:
            wire.close()
            thread.join()


def post(wire: Any, timeout: float = 5) -> Any:
    return wire.post(f"{wire.prefix}/x", {"host": wire.host}, b"{}", connect=5, timeout=timeout)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi", 200, b"hi"),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n1\r\n!\r\n0\r\nT: 1\r\n\r\n",
            200,
            b"hi!",
        ),
        (OK + b"Connection: close\r\n\r\nto the end", 200, b"to the end"),
        (b"HTTP/1.1 204 \r\n\r\n", 204, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.0 500 No\r\nContent-Length: 1\r\nA: 1\r\na: 2\r\n\r\n-", 500, b"-"),
    ],
)
def test_answers_of_all_forms(
    sent: bytes, status: int, body: bytes, make: Callable[..., Any]
) -> None:
    with server(sent, make=make) as (wire, seen):
        answer = post(wire)
    assert (answer.status, answer.body) == (status, body)
    assert seen[0].startswith(b"POST /base/x HTTP/1.1\r\nHost: 127.0.0.1:")
    assert seen[0].endswith(b"\r\nContent-Length: 2\r\n\r\n{}")
    if status == 500:
        assert answer.headers["a"] == "1, 2"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"SSH-2.0\r\n\r\n",
        OK + b"Content-Length: 9\r\nConnection: close\r\n\r\nhalf",
        OK + b"a",
        (OK + b"Content-Length: 0\r\n\r\n") * 2,
        OK + b"Content-Length: 0\r\n\r\nmore",
        b"HTTP/1.1 101 Other\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
    ],
)
def test_answers_that_are_none(sent: bytes, make: Callable[..., Any]) -> None:
    with server(sent, make=make) as (wire, _):
        with pytest.raises(WireError):
            post(wire, 0.3)
        assert not wire._idle


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    # Its end may come at any moment; here it has come before the next request.
    closing = OK + b"Content-Length: 0\r\nX: Connection: close\r\n\r\n"
    with server(closing, closing) as (wire, seen):
        post(wire)
        idle = wire._idle[0][0]._socket
        assert idle.recv(1, socket.MSG_PEEK) == b""
        assert post(wire).status == 200
    assert len(seen) == 2


def test_the_time_covers_the_whole_answer(make: Callable[..., Any]) -> None:
    half = OK + b"Content-Length: 9\r\n\r\nhalf"
    with server(half, make=make) as (wire, _), pytest.raises(NoAnswerError):
        post(wire, 0.2)


def test_idle_connections_that_end_or_grow_old_are_not_used_again() -> None:
    now = [0.0]
    whole = OK + b"Content-Length: 0\r\n\r\n"
    closing = OK + b"Content-Length: 0\r\nX: Connection: close\r\n\r\n"

    def made(url: str) -> OnLoop:
        return OnLoop(AsyncWire(url, clock=lambda: now[0]))

    with server(whole, whole, closing, whole, make=made) as (wire, seen):
        post(wire)
        first = wire._idle[0][0]
        post(wire)
        assert wire._idle[0][0] is first
        now[0] = 16.0
        post(wire)
        assert wire._idle[0][0] is not first
        # The server has hung up meanwhile; the loop hears of it before the next request.
        while wire._idle[0][0].free:
            wire.run(asyncio.sleep(0.01))
        assert post(wire).status == 200
    assert len(seen) == 4


def test_nobody_listens(make: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    wire = make(f"http://127.0.0.1:{port}")
    with pytest.raises(UnconnectedError):
        post(wire)
    wire.close()


INSIDE = {
    "AWS_LAMBDA_FUNCTION_NAME": "gateway",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "AKID",
    "AWS_SECRET_ACCESS_KEY": "aws-secret",
    "AWS_SESSION_TOKEN": "token",
}


def test_lambda_says_all_that_is_needed() -> None:
    found = ambient.of_lambda("dynamodb", None, None, INSIDE)
    assert found is not None
    assert (found.region, found.endpoint) == (
        "eu-central-1",
        "https://dynamodb.eu-central-1.amazonaws.com",
    )
    assert found.credentials == Static("AKID", "aws-secret", "token")
    assert "aws-secret" not in repr(found)
    named = {**INSIDE, "AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_LAMBDA": "http://b"}
    for service, url in (("dynamodb", "http://a"), ("lambda", "http://b")):
        found = ambient.of_lambda(service, None, None, named)
        assert found is not None
        assert found.endpoint == url


@pytest.mark.parametrize(
    "changed",
    [
        {"AWS_REGION": "cn-north-1"},
        {"AWS_REGION": "us-gov-west-1"},
        {"AWS_REGION": ""},
        {"AWS_LAMBDA_FUNCTION_NAME": ""},
        {"AWS_ACCESS_KEY_ID": ""},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_PROFILE": "x"},
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_botocore(changed: dict[str, str]) -> None:
    assert ambient.of_lambda("dynamodb", None, None, {**INSIDE, **changed}) is None


def place(aws: AwsStandIn) -> ambient.Place:
    return ambient.Place(Static("AKID", "aws-secret"), "eu-central-1", aws.url, None)


def test_items_are_read(aws: AwsStandIn) -> None:
    from test_gateway_server import KEY_ITEM, route_item

    aws.items = {"ROUTE#12-call": route_item("call", "private"), "KEY#mine": KEY_ITEM}
    route, key = RegistryReader(DynamoDB(place(aws)), "registry").read("12-call", "mine")
    assert route is not None
    assert key is not None
    assert (route.owner, key.id) == ("12", "mine")


def refusing(status: int, kind: str) -> bytes:
    body = b'{"__type": "com.amazonaws#%s", "message": "no"}' % kind.encode()
    return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


def test_what_passes_is_asked_again() -> None:
    pauses: list[float] = []
    good = b'{"Responses": {"t": []}}'
    whole = OK + b"Content-Length: %d\r\n\r\n" % len(good) + good
    throttled, broken = refusing(400, "ThrottlingException"), refusing(500, "InternalServerError")
    with server(throttled, broken, whole) as (wire, seen):
        where = ambient.Place(Static("A", "b"), "r", f"http://{wire.host}", None)
        found = DynamoDB(where, sleep=pauses.append).batch_get_item(RequestItems={})
    assert found == {"Responses": {"t": []}}
    assert len(seen) == 3
    assert len(pauses) == 2
    assert pauses[0] < pauses[1] * 2


def test_refusals_are_final() -> None:
    with server(refusing(400, "AccessDeniedException")) as (wire, seen):
        where = ambient.Place(Static("A", "b"), "r", f"http://{wire.host}", None)
        with pytest.raises(RefusedError, match="400 AccessDeniedException: no"):
            DynamoDB(where).batch_get_item(RequestItems={})
    assert len(seen) == 1


def test_an_unreachable_registry_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in INSIDE.items():
        monkeypatch.setenv(name, value)
    reader = open_registry("registry", endpoint_url="http://127.0.0.1:9")
    assert isinstance(reader.client, DynamoDB)
    with pytest.raises(AwsError, match="cannot be read"):
        reader.read("12-call", None)
