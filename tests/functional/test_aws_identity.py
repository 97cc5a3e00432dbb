"""The clock of AWS, from the Date of an answer of STS."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from fal_serverless.aws.identity import clock_skew
from fal_serverless.errors import AuthError

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


class OneClient:
    """A session that has one client."""

    def __init__(self, client) -> None:
        self._client = client

    def client(self, name):
        assert name == "sts"
        return self._client


def stubbed():
    client = boto3.client(
        "sts", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    return client, Stubber(client)


def answer(**headers):
    return {
        "Account": "1",
        "Arn": "arn:aws:iam::1:user/me",
        "UserId": "U",
        "ResponseMetadata": {"HTTPHeaders": headers},
    }


@pytest.mark.parametrize(
    ("headers", "skew"),
    [
        ({"date": "Thu, 01 Jan 2026 12:00:00 GMT"}, 0.0),
        ({"date": "Thu, 01 Jan 2026 11:50:00 GMT"}, 600.0),
        ({"date": "Thu, 01 Jan 2026 12:02:00 GMT"}, -120.0),
        ({"date": "some day"}, None),
        ({}, None),
    ],
)
def test_skew(headers, skew):
    client, stub = stubbed()
    stub.add_response("get_caller_identity", answer(**headers), {})
    with stub:
        assert clock_skew(OneClient(client), now=lambda: NOON) == skew


def test_a_clock_so_far_off_that_the_signature_is_refused():
    client, stub = stubbed()
    stub.add_client_error("get_caller_identity", "SignatureDoesNotMatch", "expired", 403)
    with stub, pytest.raises(AuthError):
        clock_skew(OneClient(client))
