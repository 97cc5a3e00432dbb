"""What the runtime writes into the log of each request, for usage and for finding it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fal_serverless.runtime.handler import Runtime
from tests.unit.runtime.test_loader import bundle

CONTEXT = SimpleNamespace(
    aws_request_id="lambda-1",
    function_name="fal-1-f-z",
    invoked_function_arn="arn:aws:lambda:r:1:function:fal-1-f-z:3",
    get_remaining_time_in_millis=lambda: 30_000,
)


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("FAL_REVISION", "rev-1")
    return Runtime(bundle(tmp_path, {"function": ascii, "setup": None}))


def asked(path="/", method="POST", **fal):
    http = {"method": method, "path": path, "sourceIp": "", "protocol": "HTTP/1.1"}
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {},
        "requestContext": {"http": http},
        "isBase64Encoded": False,
        "fal": {"headers": [], **fal},
    }


def lines(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("fal-")]


def test_requests_are_told_by_id_and_name_and_the_first_one_as_such(runtime, capsys):
    runtime.handle(asked(path="/docs", method="GET", request_id="a", target="12-web"), CONTEXT)
    runtime.handle(asked(path="/docs", method="GET", request_id="b", target="12-x-y"), CONTEXT)
    runtime.handle(asked(path="/docs", method="GET", request_id="c"), CONTEXT)
    runtime.handle(asked(path="/docs", method="GET"), CONTEXT)
    assert lines(capsys) == ["fal-request a web (first)", "fal-request b x-y", "fal-request c"]


def test_answers_that_failed_are_told(runtime, capsys):
    found = runtime.handle(asked(request_id="a", target="12-web"), CONTEXT)
    assert found["statusCode"] == 500
    found = runtime.handle(asked(path="/none", request_id="b", target="12-web"), CONTEXT)
    assert found["statusCode"] == 404
    assert lines(capsys) == [
        "fal-request a web (first)",
        "fal-failed 500 web",
        "fal-request b web",
    ]


def test_kept_environments_were_there_before_anybody_asked(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "provisioned-concurrency")
    runtime = Runtime(bundle(tmp_path, {"function": ascii, "setup": None}))
    runtime.handle(asked(request_id="a", target="12-web", path="/docs", method="GET"), CONTEXT)
    assert lines(capsys) == ["fal-request a web"]


def test_scheduled_runs_count_for_their_revision(runtime, capsys):
    runtime.handle({"fal": {"cron": {"schedule": "s"}}}, CONTEXT)
    told = [line for line in lines(capsys) if not line.startswith("fal-cron")]
    assert told == ["fal-request lambda-1 rev-1 (first)", "fal-failed 500 rev-1"]
