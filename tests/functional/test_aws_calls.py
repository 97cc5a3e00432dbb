"""Invocations of remote calls: throttling, what is repeated and what never, data in S3."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import threading
import time

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from moto import mock_aws

from fal_serverless.aws.calls import KEPT_S, PATIENCE_S, URL_USED_S, Gate, RemoteCalls
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


def test_a_refused_call_waits_for_one_that_runs():
    now = [0.0]
    gate = Gate(lambda: now[0])
    assert not gate.wait(0)
    running, over, waited = threading.Event(), threading.Event(), []

    def run():
        with gate.passing():
            running.set()
            over.wait(10)

    def wait():
        waited.append(gate.wait(10))

    runs, waits = threading.Thread(target=run), threading.Thread(target=wait)
    runs.start()
    running.wait(10)
    # It began this very moment, and may be about to be refused as well.
    assert not gate.wait(10)
    now[0] = 2.0
    waits.start()
    over.set()
    runs.join()
    waits.join()
    assert waited == [True]
    assert not gate.wait(0)


class Busy:
    """A gate with other calls under way, one of which ends whenever it is waited for."""

    def __init__(self):
        self.waits = []

    def passing(self):
        return contextlib.nullcontext()

    def wait(self, seconds):
        self.waits.append(seconds)
        return True


def test_waiting_for_calls_that_run_is_no_impatience(invoking):
    remote, stub, pauses = invoking
    gate = Busy()
    for _ in range(100):
        stub.add_client_error("invoke", "TooManyRequestsException", http_status_code=429)
    stub.add_response("invoke", an_answer(), {"FunctionName": "f", "Payload": b"{}"})
    assert dataclasses.replace(remote, gate=gate).invoke("f", {}) == (True, b"{}")
    assert pauses == []
    assert sum(gate.waits) > PATIENCE_S


@pytest.fixture
def bucket():
    with mock_aws():
        client = boto3.client("s3", **KEYS)
        client.create_bucket(Bucket="bucket")
        yield RemoteCalls(None, client, "bucket")


def test_functions_are_stored_once_by_their_digest(bucket):
    url = bucket.keep("calls/functions/d", b"pickle")
    stored = bucket.objects.head_object(Bucket="bucket", Key="calls/functions/d")
    bucket.objects.delete_object(Bucket="bucket", Key="calls/functions/d")
    assert bucket.keep("calls/functions/d", b"pickle") == url
    assert bucket.read("calls/functions/d") is None
    # Once the hour is over it is looked for again.
    bucket.kept["calls/functions/d"] = (time.monotonic() - 1, url)
    bucket.keep("calls/functions/d", b"pickle")
    assert bucket.read("calls/functions/d")[0] == b"pickle"
    assert bucket.kept["calls/functions/d"][0] > time.monotonic() + KEPT_S - 60
    assert stored["ContentLength"] == 6


def test_an_object_is_read_when_it_has_changed(bucket):
    assert bucket.read("calls/1/output") is None
    bucket.put("calls/1/output", io.BytesIO(b"one"))
    content, mark = bucket.read("calls/1/output")
    assert content == b"one"
    assert bucket.read("calls/1/output", mark) is None


def test_addresses_serve_the_next_call_and_not_for_long(bucket):
    first, second = bucket.place(), bucket.place()
    assert first.result != second.result
    bucket.give_back(first)
    assert bucket.place() is first
    bucket.give_back(dataclasses.replace(first, signed_at=time.monotonic() - URL_USED_S - 1))
    assert bucket.place().result not in (first.result, second.result)
