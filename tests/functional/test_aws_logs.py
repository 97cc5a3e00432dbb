"""CloudWatch Logs: pages, throttling, following over a change of streams."""

from __future__ import annotations

import itertools
import time

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from fal_serverless.aws.logs import FOLLOW_PAUSE_S, LambdaLogs
from fal_serverless.errors import AwsError

GROUP = "/aws/lambda/fal-f"


def a_client():
    return boto3.client(
        "logs", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


def an_event(number, stream="s"):
    return {
        "eventId": str(number),
        "timestamp": number,
        "logStreamName": stream,
        "message": f"line {number}",
    }


def expect(stub, events, *, start=0, token="", following=""):
    asked = {"logGroupName": GROUP, "startTime": start}
    if token:
        asked["nextToken"] = token
    answer = {"events": events}
    if following:
        answer["nextToken"] = following
    stub.add_response("filter_log_events", answer, asked)


def test_a_thousand_events_on_moto_and_the_whole_life_of_a_group():
    with mock_aws():
        client = a_client()
        found = LambdaLogs(client)
        assert found.since("fal-f", 0) == ()
        found.keep("fal-f", 7)
        found.keep("fal-f", 14)
        group = client.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"][0]
        assert group["retentionInDays"] == 14
        client.create_log_stream(logGroupName=GROUP, logStreamName="2026/11/24/[1]a")
        base = int(time.time() * 1000) - 60_000
        written = [{"timestamp": base + n, "message": f"line {n}"} for n in range(1000)]
        client.put_log_events(
            logGroupName=GROUP, logStreamName="2026/11/24/[1]a", logEvents=written
        )
        events = found.since("fal-f", base + 10)
        assert [event.message for event in events] == [f"line {n}" for n in range(10, 1000)]
        events = found.since("fal-f", base + 10, base + 12)
        assert [event.message for event in events] == [f"line {n}" for n in (10, 11, 12)]
        # CloudWatch refuses an end before the beginning.
        assert found.since("fal-f", base + 10, base + 9) == ()
        found.delete("fal-f")
        found.delete("fal-f")
        assert found.since("fal-f", 0) == ()


def test_throttled_pages_are_asked_again():
    client, pauses = a_client(), []
    with Stubber(client) as stub:
        expect(stub, [an_event(1)], following="more")
        stub.add_client_error("filter_log_events", "ThrottlingException")
        stub.add_client_error("filter_log_events", "ThrottlingException")
        expect(stub, [an_event(3), an_event(2)], token="more")
        found = LambdaLogs(client, sleep=pauses.append).since("fal-f", 0)
        stub.assert_no_pending_responses()
    assert [event.id for event in found] == ["1", "2", "3"]
    assert pauses == [0.5, 1]


def test_throttling_that_does_not_end_is_an_error():
    client = a_client()
    with Stubber(client) as stub:
        for _ in range(6):
            stub.add_client_error("filter_log_events", "ThrottlingException")
        with pytest.raises(AwsError):
            LambdaLogs(client, sleep=lambda _: None).since("fal-f", 0)


def test_following_finds_new_streams_and_late_events_once():
    client = a_client()
    with Stubber(client) as stub:
        expect(stub, [an_event(50_000)])
        expect(stub, [an_event(50_000), an_event(49_000, "late")], start=40_000)
        expect(stub, [an_event(49_000, "late"), an_event(51_000, "rolled over")], start=40_000)
        following = LambdaLogs(client, sleep=lambda _: None).follow("fal-f", 0)
        seen = [event.id for event in itertools.islice(following, 3)]
        stub.assert_no_pending_responses()
    assert seen == ["50000", "49000", "51000"]


def test_following_waits_when_it_is_throttled_and_goes_on_over_pages():
    client, pauses = a_client(), []
    with Stubber(client) as stub:
        expect(stub, [an_event(50_000)])
        stub.add_client_error("filter_log_events", "ThrottlingException")
        expect(stub, [an_event(51_000)], start=40_000, following="more")
        stub.add_client_error("filter_log_events", "ThrottlingException")
        expect(stub, [an_event(52_000, "rolled over")], start=40_000, token="more")
        following = LambdaLogs(client, sleep=pauses.append).follow("fal-f", 0)
        seen = [event.id for event in itertools.islice(following, 3)]
        stub.assert_no_pending_responses()
    assert seen == ["50000", "51000", "52000"]
    assert pauses == [FOLLOW_PAUSE_S, 0.5, 0.5]


def test_following_a_function_that_has_no_log_yet():
    client = a_client()
    with Stubber(client) as stub:
        stub.add_client_error("filter_log_events", "ResourceNotFoundException")
        expect(stub, [an_event(7)])
        following = LambdaLogs(client, sleep=lambda _: None).follow("fal-f", 0)
        assert next(following).id == "7"
        stub.assert_no_pending_responses()
