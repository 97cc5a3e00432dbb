"""Invoking a Lambda stand-in on a loopback port."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_fakes import AwsStandIn, OnLoop

from fal_serverless.aws.async_invoke import AsyncLambdaInvoker, open_async_invoker
from fal_serverless.aws.lambda_invoke import LambdaInvoker, open_invoker
from fal_serverless.errors import AuthError, AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CREDENTIALS = Credentials("AKIDEXAMPLE", "aws-secret", "aws-token")


KINDS: dict[str, Callable[..., Any]] = {
    "blocking": LambdaInvoker,
    "on a loop": lambda *given, **named: OnLoop(AsyncLambdaInvoker(*given, **named)),
}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return KINDS[request.param]


@pytest.fixture
def invoker(aws: AwsStandIn, make: Callable[..., Any]) -> Iterator[Any]:
    made = make(CREDENTIALS, "eu-central-1", aws.url)
    yield made
    made.close()


def test_a_function_answers(aws: AwsStandIn, invoker: Any) -> None:
    result = invoker.invoke("fal-1-f-z", "call", b'{"a":1}', timeout=5)
    assert (result.outcome, result.status_code, result.function_error) == ("answered", 200, None)
    assert result.executed_version == "7"
    assert json.loads(json.loads(result.payload)["body"]) == {"a": 1}
    (request,) = aws.requests
    assert request["path"] == "/2015-03-31/functions/fal-1-f-z/invocations?Qualifier=call"
    assert request["body"] == b'{"a":1}'


def test_requests_are_signed_as_they_arrive(aws: AwsStandIn, invoker: Any) -> None:
    invoker.invoke("fal-1-f-z", "a-b_1", "é".encode(), timeout=5)
    (request,) = aws.requests
    headers = request["headers"]
    assert headers["X-Amz-Security-Token"] == "aws-token"
    scheme, _, parts = headers["Authorization"].partition(" ")
    assert scheme == "AWS4-HMAC-SHA256"
    sent = dict(part.strip().split("=", 1) for part in parts.split(","))
    signed = sent["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "x-amz-security-token"} <= set(signed)
    again = AWSRequest(
        "POST",
        f"http://{headers['Host']}{request['path']}",
        {name: value for name, value in headers.items() if name.lower() in signed},
        request["body"],
    )
    again.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(CREDENTIALS, "lambda", "eu-central-1")
    to_sign = signer.string_to_sign(again, signer.canonical_request(again))
    assert signer.signature(to_sign, again) == sent["Signature"]


def test_one_connection_serves_many_requests(aws: AwsStandIn, invoker: Any) -> None:
    for _ in range(5):
        invoker.invoke("f", "1", b"{}", timeout=5)
    assert len(aws.requests) == 5
    assert len(aws.connections) == 1


def test_connections_that_lay_idle_are_not_trusted(aws: AwsStandIn) -> None:
    times = iter([0.0, 0.0, 1.0, 60.0, 61.0, 62.0, 63.0])
    invoker = LambdaInvoker(CREDENTIALS, "eu-central-1", aws.url, clock=lambda: next(times))
    invoker.invoke("f", "1", b"{}", timeout=5)
    invoker.invoke("f", "1", b"{}", timeout=5)
    assert len(aws.connections) == 2
    invoker.invoke("f", "1", b"{}", timeout=5)
    assert len(aws.connections) == 2
    invoker.close()


def test_many_threads_share_it(aws: AwsStandIn) -> None:
    invoker = LambdaInvoker(CREDENTIALS, "eu-central-1", aws.url)
    outcomes: list[bytes] = []

    def work(number: int) -> None:
        body = json.dumps({"n": number}).encode()
        for _ in range(10):
            result = invoker.invoke("f", "1", body, timeout=10)
            said = json.loads(result.payload)["body"]
            outcomes.append(b"same" if json.loads(said) == {"n": number} else result.payload)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [b"same"] * 80
    invoker.close()


def test_many_wait_on_one_loop(aws: AwsStandIn) -> None:
    invoker = AsyncLambdaInvoker(CREDENTIALS, "eu-central-1", aws.url)

    async def work(number: int) -> list[bool]:
        body = json.dumps({"n": number}).encode()
        results = [await invoker.invoke("f", "1", body, timeout=10) for _ in range(10)]
        bodies = [json.loads(json.loads(result.payload)["body"]) for result in results]
        return [said == {"n": number} for said in bodies]

    async def everyone() -> None:
        assert await asyncio.gather(*map(work, range(8))) == [[True] * 10] * 8
        invoker.close()
        await asyncio.sleep(0)

    asyncio.run(everyone())
    assert len(aws.connections) == 8


def test_nobody_else_waits_while_credentials_are_refreshed(aws: AwsStandIn) -> None:
    asked: list[threading.Thread] = []

    class Role:
        def refresh_needed(self) -> bool:
            return not asked

        def get_frozen_credentials(self) -> Any:
            asked.append(threading.current_thread())
            return CREDENTIALS.get_frozen_credentials()

    invoker = OnLoop(AsyncLambdaInvoker(Role(), "eu-central-1", aws.url))
    for _ in range(2):
        assert invoker.invoke("f", "1", b"{}", timeout=5).outcome == "answered"
    invoker.close()
    assert asked[0] is not threading.main_thread()
    assert asked[1] is threading.main_thread()


def test_whoever_stops_waiting_leaves_no_connection_behind(aws: AwsStandIn) -> None:
    done = threading.Event()
    aws.answers["slow"] = lambda handler: done.wait(30)
    invoker = AsyncLambdaInvoker(CREDENTIALS, "eu-central-1", aws.url)

    async def leave() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(invoker.invoke("slow", "1", b"{}", timeout=20), 0.3)
        assert (await invoker.invoke("f", "1", b"{}", timeout=5)).outcome == "answered"
        invoker.close()
        await asyncio.sleep(0)

    asyncio.run(leave())
    done.set()
    assert len(aws.connections) == 2


@pytest.mark.parametrize(
    ("status", "headers", "body", "outcome", "wait"),
    [
        (429, {"x-amzn-errortype": "TooManyRequestsException", "Retry-After": "3"}, {}, 0, 3),
        (429, {}, {"Reason": "ConcurrentInvocationLimitExceeded"}, 0, None),
        (404, {"x-amzn-errortype": "ResourceNotFoundException:http://x"}, {}, 1, None),
        (404, {}, {"__type": "com.amazonaws#ResourceNotFoundException"}, 1, None),
        (413, {"x-amzn-errortype": "RequestTooLargeException"}, {}, 2, None),
        (409, {"x-amzn-errortype": "ResourceConflictException"}, {}, 3, None),
        (502, {"x-amzn-errortype": "ResourceNotReadyException"}, {}, 3, None),
        (403, {"x-amzn-errortype": "AccessDeniedException"}, {}, 4, None),
        (500, {"x-amzn-errortype": "ServiceException"}, {}, 4, None),
        (503, {}, [], 4, None),
        (302, {"Location": "http://127.0.0.1:1/"}, {}, 4, None),
    ],
)
def test_refusals_are_outcomes_and_never_tried_again(
    aws: AwsStandIn,
    invoker: Any,
    status: int,
    headers: dict[str, str],
    body: Any,
    outcome: int,
    wait: int | None,
) -> None:
    aws.answers["f"] = (status, headers, json.dumps(body).encode())
    result = invoker.invoke("f", "1", b"{}", timeout=5)
    expected = ("throttled", "missing", "too_large", "unready", "failed")[outcome]
    assert (result.outcome, result.status_code, result.retry_after) == (expected, status, wait)
    assert str(status) in result.reason
    assert len(aws.requests) == 1


def test_errors_of_the_function_are_told_apart(aws: AwsStandIn, invoker: Any) -> None:
    aws.answers["f"] = (200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorMessage":"x"}')
    result = invoker.invoke("f", "1", b"{}", timeout=5)
    assert (result.outcome, result.function_error) == ("answered", "Unhandled")
    assert result.payload == b'{"errorMessage":"x"}'


def test_no_answer_in_time_is_not_tried_again(aws: AwsStandIn, invoker: Any) -> None:
    done = threading.Event()
    aws.answers["f"] = lambda handler: done.wait(30)
    result = invoker.invoke("f", "1", b"{}", timeout=0.2)
    done.set()
    assert result.outcome == "timed_out"
    assert len(aws.requests) == 1


def test_a_connection_lost_after_sending_is_not_tried_again(aws: AwsStandIn, invoker: Any) -> None:
    def hang_up(handler: Any) -> None:
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)

    aws.answers["f"] = hang_up
    result = invoker.invoke("f", "1", b"{}", timeout=5)
    assert result.outcome == "failed"
    assert len(aws.requests) == 1


def test_nobody_listens(make: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    invoker = make(CREDENTIALS, "eu-central-1", f"http://127.0.0.1:{port}")
    assert invoker.invoke("f", "1", b"{}", timeout=1).outcome == "failed"
    invoker.close()


def test_traces_are_passed_on(aws: AwsStandIn) -> None:
    invoker = LambdaInvoker(CREDENTIALS, "eu-central-1", aws.url, trace=lambda: "Root=1-a")
    invoker.invoke("f", "1", b"{}", timeout=5)
    invoker.close()
    assert aws.requests[0]["headers"]["X-Amzn-Trace-Id"] == "Root=1-a"


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> pytest.MonkeyPatch:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    return monkeypatch


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA"])
def test_the_environment_names_an_endpoint(
    aws: AwsStandIn, configured: pytest.MonkeyPatch, variable: str
) -> None:
    configured.setenv(variable, aws.url)
    invoker = open_invoker()
    assert invoker.invoke("f", "1", b"{}", timeout=5).outcome == "answered"
    invoker.close()
    waiting = OnLoop(open_async_invoker())
    assert waiting.invoke("f", "1", b"{}", timeout=5).outcome == "answered"
    waiting.close()


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "lambda.eu-central-1.amazonaws.com"),
        ("cn-north-1", "lambda.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_regions_have_endpoints(configured: pytest.MonkeyPatch, region: str, host: str) -> None:
    assert open_invoker(region=region).endpoint == f"https://{host}"


def test_without_credentials(configured: pytest.MonkeyPatch) -> None:
    configured.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(AuthError):
        open_invoker()


def test_without_a_region(configured: pytest.MonkeyPatch) -> None:
    configured.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(AwsError) as caught:
        open_invoker(endpoint_url="http://127.0.0.1:1")
    assert "AWS_REGION" in caught.value.hint


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, trusted by nobody else."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def test_certificates_are_verified(
    certificate: tuple[Path, Path], make: Callable[..., Any]
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    aws = AwsStandIn(server)
    try:
        trusting = make(CREDENTIALS, "r", aws.url, ca_certs=str(certificate[0]))
        assert trusting.invoke("f", "1", b"{}", timeout=5).outcome == "answered"
        trusting.close()
        wary = make(CREDENTIALS, "r", aws.url)
        assert wary.invoke("f", "1", b"{}", timeout=5).outcome == "failed"
        wary.close()
    finally:
        aws.close()
    assert len(aws.requests) == 1
