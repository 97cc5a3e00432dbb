"""Which requests count for a key, through the app, the wire to DynamoDB and the server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from gateway_fakes import DOMAIN, NOW, FakeInvoker, answered
from gateway_served import MINE, OTHERS, Served
from test_gateway_server import KEY_ITEM, Running, route_item

from fal_serverless.aws.ambient import Place
from fal_serverless.aws.dynamodb_wire import DynamoDB, RefusedError
from fal_serverless.aws.key_uses import KeyUseWriter
from fal_serverless.aws.signing import Static
from fal_serverless.errors import AwsError
from fal_serverless.gateway.uses import KeyUses, Use

if TYPE_CHECKING:
    from gateway_fakes import AwsStandIn


def counting() -> tuple[list[Use], KeyUses]:
    written: list[Use] = []
    return written, KeyUses(written.append, now=lambda: NOW)


def test_requests_count_for_the_key_that_let_them_pass() -> None:
    written, uses = counting()
    failing = FakeInvoker(lambda event: answered({"statusCode": 500 if event.get("body") else 200}))
    gateway = Served(invoker=failing, uses=uses)
    assert gateway.call("12-call", headers=MINE).status_code == 200
    assert [(use.key_id, use.requests, use.errors) for use in written] == [("mine", 1, 0)]
    assert gateway.call("12-call", headers=MINE, content=b"x").status_code == 500
    assert gateway.call("12-team", headers=OTHERS).status_code == 200
    # None of these was let in by its key.
    assert gateway.call("12-call", headers={**MINE, "x-fal-key-secret": "no"}).status_code == 401
    assert gateway.call("12-call", headers=OTHERS).status_code == 403
    assert gateway.call("12-open", headers=MINE).status_code == 200
    assert gateway.call("12-none", headers=MINE).status_code == 404
    uses.flush()
    assert [(use.key_id, use.requests, use.errors) for use in written[1:]] == [
        ("mine", 1, 1),
        ("other", 1, 0),
    ]


def test_no_request_fails_for_being_counted(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(use: Use) -> None:
        raise AwsError("The use of a key cannot be written.", reason="throttled", hint="none")

    gateway = Served(uses=KeyUses(refuse, now=lambda: NOW))
    assert gateway.call("12-call", headers=MINE).status_code == 200
    assert "throttled" in caplog.text


def test_with_an_executor_nothing_is_written_by_a_request() -> None:
    written, uses = counting()
    with ThreadPoolExecutor(1) as executor:
        assert Served(uses=uses, executor=executor).call("12-call", headers=MINE).status_code == 200
    assert written == []
    uses.flush()
    assert [use.requests for use in written] == [1]


def test_the_wire_adds_once(aws: AwsStandIn) -> None:
    place = Place(Static("AKID", "aws-secret"), "eu-central-1", aws.url, None)
    write = KeyUseWriter(DynamoDB(place), "requests")
    write(Use("k", "2026-11-02", 3, 1, 9))
    (update,) = aws.updates
    assert update["Key"] == {"pk": {"S": "KEYUSE#k#2026-11"}}
    assert update["ExpressionAttributeNames"]["#r"] == "r02"
    aws.close()
    with pytest.raises(AwsError):
        KeyUseWriter(DynamoDB(place), "requests")(Use("k", "2026-11-02", 3, 1, 9))
    with pytest.raises(RefusedError):
        DynamoDB(place).update_item(TableName="requests")


def test_the_server_writes_down_the_rest_when_it_is_told_to_end(aws: AwsStandIn) -> None:
    for item in (route_item("call", "private"), KEY_ITEM):
        aws.items[item["pk"]["S"]] = item
    command = [sys.executable, "-m", "fal_serverless.gateway.server", "--port", "0"]
    command += ["--table", "registry", "--endpoint-url", aws.url, "--domain", DOMAIN]
    command += ["--requests", "requests", "--queue-url", f"{aws.url}/q", "--bucket", "b"]
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    variables |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}
    process = subprocess.Popen(
        [*command, "--region", "us-east-1"], stdout=subprocess.PIPE, text=True, env=variables
    )
    assert process.stdout is not None
    try:
        served = Running(json.loads(process.stdout.readline())["port"], process)
        lines = [f"{name}: {value}" for name, value in MINE.items()]
        for _ in range(3):
            where = f"Host: 12-call.{DOMAIN}"
            status, _, _ = served.raw("POST / HTTP/1.1", where, "Content-Length: 0", *lines)
            assert status == "HTTP/1.1 200 OK"
        process.terminate()
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    written: list[Any] = [update["ExpressionAttributeValues"] for update in aws.updates]
    assert sum(int(values[":r"]["N"]) for values in written) == 3
    assert len(written) == 1
