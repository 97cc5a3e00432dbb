"""The gateway as a Lambda function: literal events of an HTTP API through Mangum."""

from __future__ import annotations

import asyncio
import io
import json
import re
import subprocess
import sys
import uuid
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from gateway_fakes import DOMAIN, NOW, SECRET, FakeInvoker, FakeRegistry, answered

from fal_serverless.gateway import lambda_handler
from fal_serverless.gateway.entry import Access
from fal_serverless.gateway.lambda_handler import adapter_of
from fal_serverless.gateway.protocols import PAYLOAD_MAX
from fal_serverless.gateway.record import Recorder
from fal_serverless.gateway.registry import CachedRegistry
from tests.support.gateway import create_app

if TYPE_CHECKING:
    from collections.abc import Callable


EVENTS = Path(__file__).parents[2] / "events"


def event(name: str) -> dict[str, Any]:
    text = (EVENTS / f"{name}.json").read_text(encoding="utf-8").replace("SECRET", SECRET)
    found: dict[str, Any] = json.loads(text)
    return found


def ask(
    given: dict[str, Any],
    invoker: FakeInvoker,
    record: Callable[[Access], None] | None = None,
) -> dict[str, Any]:
    app = create_app(
        registry=CachedRegistry(FakeRegistry()),
        invoker=invoker,
        domain=DOMAIN,
        record=record,
        now=lambda: NOW,
    )
    # Mangum would make an event loop, and leave it open.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return adapter_of(app)(given, None)  # type: ignore[arg-type]
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_a_request_to_execute_api() -> None:
    invoker = FakeInvoker()
    answer = ask(event("http_api_post"), invoker)
    assert answer["statusCode"] == 200
    assert answer["cookies"] == ["a=1; Path=/", "b=2"]
    assert answer["headers"]["x-twice"] == "1, 2"
    assert answer["headers"]["x-fal-revision"] == "rev-call"
    assert answer["headers"]["content-type"] == "application/json"
    assert answer["isBase64Encoded"] is False
    (seen,) = invoker.calls
    assert (seen["rawPath"], seen["body"]) == ("/", '{"text": "hié"}')
    headers = dict(seen["fal"]["headers"])
    assert headers["x-forwarded-for"] == "203.0.113.9"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == "abcde12345.execute-api.eu-central-1.amazonaws.com"
    assert seen["requestContext"]["http"]["sourceIp"] == "203.0.113.9"
    assert SECRET not in json.dumps(seen)


def test_what_api_gateway_decoded_can_be_sent_on() -> None:
    invoker = FakeInvoker()
    assert ask(event("http_api_custom_domain"), invoker)["statusCode"] == 200
    (seen,) = invoker.calls
    assert seen["rawPath"] == "/a%20b/%2525/%C3%A9%3Fx"
    assert seen["rawQueryString"] == "b=&b&a=%41%20+"
    assert seen["cookies"] == ["a=1", "b=2", "c"]
    assert dict(seen["fal"]["headers"])["cookie"] == "a=1; b=2; c"


def test_stages_and_binary_bodies() -> None:
    invoker = FakeInvoker()
    assert ask(event("http_api_stage"), invoker)["statusCode"] == 200
    (seen,) = invoker.calls
    assert (seen["rawPath"], seen["body"], seen["isBase64Encoded"]) == ("/live/x", "AP8=", True)


def test_odd_headers_do_no_harm() -> None:
    invoker = FakeInvoker()
    assert ask(event("http_api_odd_host"), invoker)["statusCode"] == 200
    assert dict(invoker.calls[0]["fal"]["headers"])["host"] == "a:b:c"


def test_binary_and_empty_answers() -> None:
    binary = {"statusCode": 200, "headers": {"x": "caf\xe9"}, "body": "/w==", "isBase64Encoded": 1}
    answer = ask(event("http_api_stage"), FakeInvoker(lambda _: answered(binary)))
    assert (answer["body"], answer["isBase64Encoded"]) == ("/w==", True)
    assert answer["headers"]["x"] == "caf\xe9"
    assert "content-type" not in answer["headers"]
    answer = ask(event("http_api_stage"), FakeInvoker(lambda _: answered({"statusCode": 204})))
    assert (answer["statusCode"], answer["body"]) == (204, "")


def test_answers_that_outgrow_the_limit_on_their_way_back() -> None:
    # Fits as the function sends it; the gateway's own headers are what is too much.
    body = "x" * (PAYLOAD_MAX - 40)
    large = {"statusCode": 200, "body": body}
    answer = ask(event("http_api_stage"), FakeInvoker(lambda _: answered(large)))
    assert answer["statusCode"] == 502
    assert "6,291,556" in json.loads(answer["body"])["detail"]
    assert answer["headers"]["x-fal-request-id"]
    assert answer["headers"]["x-fal-revision"] == "rev-web"


def test_log_lines_and_metrics_hold_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    log = io.StringIO()
    logger = Logger(service="gateway-test", stream=log)
    record = Recorder(logger, "fal/test", "stack-1")
    ask(event("http_api_post"), FakeInvoker(), record)
    ask(event("http_api_custom_domain"), FakeInvoker(), record)
    unknown = event("http_api_post")
    unknown["rawPath"] = unknown["requestContext"]["http"]["path"] = "/99-nothing/"
    ask(unknown, FakeInvoker(), record)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["target"], line["status"]) for line in lines] == [
        ("12-call", 200),
        ("12-call", 200),
        ("99-nothing", 404),
    ]
    assert lines[0]["request_id"]
    assert lines[0]["duration_ms"] >= 0
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(blob["target"], blob["status"]) for blob in metrics] == [
        ("12-call", "200"),
        ("12-call", "200"),
        ("unknown", "404"),
    ]
    assert metrics[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "fal/test"
    assert metrics[0]["Requests"] == [1.0]
    assert SECRET not in log.getvalue() + json.dumps(metrics)


def test_metrics_are_written_as_powertools_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    access = Access("id", "POST", "12-call", True, 200, 0.0125, None)
    Recorder(Logger(service="metrics-test", stream=io.StringIO()), "fal/test", "stack-1")(access)
    ours = json.loads(capsys.readouterr().out)
    metrics = EphemeralMetrics(namespace="fal/test", service="stack-1")
    metrics.add_dimension("target", "12-call")
    metrics.add_dimension("status", "200")
    metrics.add_metric("Requests", MetricUnit.Count, 1)
    metrics.add_metric("Duration", MetricUnit.Milliseconds, 12.5)
    metrics.flush_metrics()
    theirs = json.loads(capsys.readouterr().out)
    assert 0 <= theirs["_aws"].pop("Timestamp") - ours["_aws"].pop("Timestamp") < 60_000
    assert ours == theirs


@pytest.mark.parametrize("revision", [None, "rev-1"])
@pytest.mark.parametrize("trace", ["", "Root=1-5bef4de7-ad49b0e8;Parent=1;Sampled=0"])
def test_requests_are_logged_as_powertools_logs_them(
    monkeypatch: pytest.MonkeyPatch, trace: str, revision: str | None
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
    ours, theirs = io.StringIO(), io.StringIO()
    access = Access("id", "POST", "12-call", True, 200, 0.0125, revision)
    # Loggers of one service share a stream.
    names = str(uuid.uuid4()), str(uuid.uuid4())
    Recorder(Logger(service=names[0], stack="s", stream=ours), "", "s")(access)
    Logger(service=names[1], stack="s", stream=theirs).info(
        "request",
        request_id="id",
        method="POST",
        target="12-call",
        status=200,
        duration_ms=12.5,
        revision=revision,
    )
    found, expected = json.loads(ours.getvalue()), json.loads(theirs.getvalue())
    form = "%Y-%m-%d %H:%M:%S,%f%z"
    times = [datetime.strptime(line.pop("timestamp"), form) for line in (found, expected)]
    assert 0 <= (times[1] - times[0]).total_seconds() < 60
    assert (found.pop("service"), expected.pop("service")) == names
    # Where a line of code stands says nothing of a request.
    assert expected.pop("location")
    assert (list(found), found) == (list(expected), expected)


def test_levels_are_powertools(capsys: pytest.CaptureFixture[str]) -> None:
    log = io.StringIO()
    record = Recorder(Logger(service="level-test", level="WARNING", stream=log), "fal/test", "s")
    record(Access("id", "POST", "12-call", True, 200, 0.0125, None))
    assert log.getvalue() == ""
    assert '"Requests":[1.0]' in capsys.readouterr().out


def test_what_goes_wrong_is_logged_by_powertools() -> None:
    program = (
        "import logging, os; from fal_serverless.gateway.record import recorder; "
        "recorder({'FAL_STACK': 's', 'POWERTOOLS_SERVICE_NAME': 'gateway'}); "
        "logging.getLogger('fal_serverless.gateway').error('request %s: no', 'id')"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    line = json.loads(found.stdout)
    assert (line["level"], line["message"], line["stack"]) == ("ERROR", "request id: no", "s")


def test_without_a_namespace_there_are_no_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    record = Recorder(Logger(service="gateway-test-2", stream=io.StringIO()), "", "")
    ask(event("http_api_post"), FakeInvoker(), record)
    assert capsys.readouterr().out == ""


def test_importing_the_handler_makes_no_client() -> None:
    assert lambda_handler._adapter.cache_info().currsize == 0
    program = (
        "import sys; import fal_serverless.gateway.lambda_handler; "
        "print(sorted({'botocore.session', 'boto3', 'aws_xray_sdk'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert re.sub(r"\s", "", found.stdout) == "[]", found.stderr


def test_the_real_handler_with_a_stand_in_of_aws(aws: Any) -> None:
    program = (
        "import json, sys\n"
        "from fal_serverless.gateway.lambda_handler import handler\n"
        "given = json.load(sys.stdin)\n"
        "sys.stderr.write(json.dumps([handler(given, None), handler(given, None)]))\n"
    )
    from test_gateway_server import KEY_ITEM, route_item

    aws.items = {"ROUTE#12-call": route_item("call", "private"), "KEY#mine": KEY_ITEM}
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        input=json.dumps(event("http_api_post")),
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "FAL_TABLE": "registry",
            "FAL_STACK": "stack",
            "FAL_DOMAIN": "",
            "POWERTOOLS_SERVICE_NAME": "gateway",
            "POWERTOOLS_METRICS_NAMESPACE": "fal",
            "AWS_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        },
    )
    assert found.returncode == 0, found.stderr
    answers = json.loads(found.stderr)
    assert [answer["statusCode"] for answer in answers] == [200, 200]
    assert SECRET not in found.stdout
    assert len(aws.requests) == 2
    assert aws.requests[0]["qualifier"] == "call"


def test_what_is_built_for_lambda_holds_all_that_it_imports(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    environ = {"PATH": "/usr/bin:/bin", "FAL_PYTHON": version}
    words = [sys.executable, str(root / "infra" / "build.py"), "function", str(tmp_path)]
    subprocess.run(words, check=True, env=environ)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import fal_serverless.gateway.lambda_handler as handler\n"
        "import fal_serverless.gateway.app, fal_serverless.gateway.queue.lambda_handler\n"
        "import fal_serverless.aws.lambda_invoke, fal_serverless.aws.registry_read\n"
        "print(handler.__file__, handler.__cached__)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    file, cached = ran.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert Path(cached).read_bytes()[4] == 1, "no bytecode by unchecked hash"
