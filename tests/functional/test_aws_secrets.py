"""Secrets in SSM Parameter Store, on moto."""

from __future__ import annotations

import traceback

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from fal_serverless.aws.secrets import VALUE_MAX_BYTES, SecretStore
from fal_serverless.errors import AwsError, NotFoundError, UsageError


@pytest.fixture
def store():
    with mock_aws():
        client = boto3.client(
            "ssm", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        yield SecretStore(client, "stack", "1")


def test_a_secret_is_encrypted_listed_replaced_and_deleted(store):
    assert store.set("TOKEN", "first") == 1
    assert store.set("TOKEN", "second") == 2
    found = store.client.get_parameter(Name="/fal/stack/1/TOKEN", WithDecryption=True)["Parameter"]
    assert (found["Type"], found["Value"]) == ("SecureString", "second")
    assert [(item.name, item.version) for item in store.list()] == [("TOKEN", 2)]
    assert "second" not in repr(store.list())
    store.delete("TOKEN")
    assert store.list() == ()


def test_many_pages_and_other_users(store):
    for number in range(25):
        store.set(f"NAME_{number}", "x")
    SecretStore(store.client, "stack", "12").set("THEIRS", "x")
    assert len(store.list()) == 25
    store.require([f"NAME_{number}" for number in range(25)])
    with pytest.raises(NotFoundError, match="THEIRS"):
        store.require([*(f"NAME_{number}" for number in range(25)), "THEIRS"])


def test_wrong_values_and_names(store):
    store.set("TOKEN", "é" * (VALUE_MAX_BYTES // 2))
    for value in ("", "x" * (VALUE_MAX_BYTES + 1)):
        with pytest.raises(UsageError, match="cannot be stored"):
            store.set("TOKEN", value)
    with pytest.raises(NotFoundError) as caught:
        store.delete("TOKN")
    assert "TOKEN" in caught.value.hint


def test_what_aws_repeats_of_a_value_is_left_out():
    client = boto3.client(
        "ssm", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stub:
        value = "-".join(("hush", "hush"))
        words = f"Value '{value}' at 'value' failed to satisfy constraint"
        stub.add_client_error("put_parameter", "ValidationException", words)
        stub.add_client_error("put_parameter", "ThrottlingException", "too many")
        with pytest.raises(AwsError) as caught:
            SecretStore(client, "stack", "1").set("TOKEN", value)
        assert value not in "".join(traceback.format_exception(caught.value))
        assert "left out" in caught.value.reason
        with pytest.raises(AwsError, match="too many"):
            SecretStore(client, "stack", "1").set("TOKEN", value)
