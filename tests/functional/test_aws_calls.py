"""Invocations of remote calls: throttling, what is repeated and what never, data in S3."""

from __future__ import annotations

import io

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from moto import mock_aws

from fal_serverless.aws.calls import PATIENCE_S, RemoteCalls
from fal_serverless.errors import AwsError, ThrottledError

KEYS = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}


@pytest.fixture
def invoking():
    client, pauses = boto3.client("lambda", **KEYS), []
    with Stubber(client) as stub:
        yield RemoteCalls(client, None, "b", pauses.append), stub, pauses


def an_answer(**more):
    return {"Payload": StreamingBody(io.BytesIO(b"{}"), 2), "StatusCode": 200, **more}


def test_what_did_not_run_is_sent_again(invoking):
    remote, stub, pauses = invoking
    stub.add_client_error("invoke", "TooManyRequestsException", http_status_code=429)
    stub.add_client_error("invoke", "ResourceConflictException", http_status_code=409)
    stub.add_response("invoke", an_answer(), {"FunctionName": "f", "Payload": b'{"a":1}'})
    assert remote.invoke("f", {"a": 1}) == (True, b"{}")
    stub.assert_no_pending_responses()
    assert 0.05 <= pauses[0] <= 0.1
    assert 0.1 <= pauses[1] <= 0.2


def test_a_failed_function_is_told_from_an_answer(invoking):
    remote, stub, _ = invoking
    stub.add_response("invoke", an_answer(FunctionError="Unhandled"))
    assert remote.invoke("f", {}) == (False, b"{}")


def test_what_may_have_run_is_sent_once(invoking):
    remote, stub, pauses = invoking
    stub.add_client_error("invoke", "ServiceException", http_status_code=500)
    with pytest.raises(AwsError):
        remote.invoke("f", {})
    assert pauses == []


def test_throttling_that_does_not_end(invoking):
    remote, stub, pauses = invoking
    for _ in range(60):
        stub.add_client_error("invoke", "TooManyRequestsException", http_status_code=429)
    with pytest.raises(ThrottledError):
        remote.invoke("f", {})
    assert PATIENCE_S / 2 < sum(pauses) <= PATIENCE_S + 5


def test_data_goes_through_s3_and_is_deleted():
    with mock_aws():
        client = boto3.client("s3", **KEYS)
        client.create_bucket(Bucket="bucket")
        remote = RemoteCalls(None, client, "bucket")
        remote.put("calls/1/arguments", io.BytesIO(b"data"))
        with io.BytesIO() as file:
            remote.get("calls/1/arguments", file)
            assert file.getvalue() == b"data"
        assert "calls/1/result" in remote.url("put_object", "calls/1/result")
        remote.delete(["calls/1/arguments", "calls/1/result"])
        assert "Contents" not in client.list_objects_v2(Bucket="bucket")
