"""Reading the registry from DynamoDB, as the rest of the project writes it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from fal_serverless import keys
from fal_serverless.aws import records
from fal_serverless.aws.registry import RegistryTable
from fal_serverless.aws.registry_read import RegistryReader
from fal_serverless.errors import AwsError
from fal_serverless.gateway.protocols import Route
from fal_serverless.publish import state

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = "registry"
ROUTE = {
    "pk": {"S": "ROUTE#12-call"},
    "sk": {"S": "-"},
    "function": {"S": "fal-12-call-z"},
    "qualifier": {"S": "call"},
    "auth": {"S": "private"},
    "mode": {"S": "serve"},
    "timeout": {"N": "30"},
    "owner": {"S": "12"},
    "revision": {"S": "rev"},
}
KEY = {
    "pk": {"S": "KEY#k"},
    "sk": {"S": "-"},
    "secret_sha256": {"S": "00"},
    "owner": {"S": "12"},
    "scope": {"S": "API"},
    "alias": {"S": ""},
    "expires_at": {"N": "1800000000"},
    "revoked": {"BOOL": False},
}


def client() -> Any:
    return boto3.client(
        "dynamodb",
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def table() -> Iterator[Any]:
    with mock_aws():
        dynamodb = client()
        dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        yield dynamodb


def test_a_route_and_a_key(table: Any) -> None:
    table.put_item(TableName=TABLE, Item=ROUTE)
    table.put_item(TableName=TABLE, Item=KEY)
    reader = RegistryReader(table, TABLE)
    route = Route("fal-12-call-z", "call", "private", "serve", 30, "12", "rev")
    key = keys.KeyRecord("k", "00", "12", "API", "", 1_800_000_000, revoked=False)
    assert reader.read("12-call", "k") == (route, key)
    assert reader.read("12-call", None) == (route, None)
    assert reader.read(None, "k") == (None, key)
    assert reader.read("12-none", "none") == (None, None)
    assert reader.read(None, None) == (None, None)


def test_what_publishing_and_key_commands_write_can_be_read(table: Any) -> None:
    written = state.Route(
        owner="12",
        label="call",
        function="fal-12-call-z",
        qualifier="call",
        auth="private",
        mode="serve",
        timeout=30,
        revision="rev",
    )
    table.put_item(TableName=TABLE, Item=records.route_item(written))
    made = keys.generate()
    stored = keys.KeyRecord(
        made.id, keys.hash_secret(made.secret), "12", "ADMIN", "ci", 1_900_000_000
    )
    registry = RegistryTable(table, TABLE)
    registry.add_key(stored, "2026-01-01T00:00:00Z")
    reader = RegistryReader(table, TABLE)
    route = Route("fal-12-call-z", "call", "private", "serve", 30, "12", "rev")
    assert reader.read("12-call", made.id) == (route, stored)
    registry.revoke_key("12", made.id)
    assert reader.read(None, made.id)[1] == replace(stored, revoked=True)


@pytest.mark.parametrize(
    ("attribute", "revoked"),
    [(None, False), ({"BOOL": True}, True), ({"BOOL": False}, False), ({"S": "no"}, True)],
)
def test_doubtful_keys_are_revoked(table: Any, attribute: Any, revoked: bool) -> None:
    item: dict[str, Any] = {name: value for name, value in KEY.items() if name != "revoked"}
    del item["expires_at"], item["alias"]
    table.put_item(TableName=TABLE, Item={**item, **({"revoked": attribute} if attribute else {})})
    _, key = RegistryReader(table, TABLE).read(None, "k")
    assert key is not None
    assert key.revoked is revoked
    assert key.expires_at is None


def test_damaged_records_are_an_error(table: Any) -> None:
    table.put_item(TableName=TABLE, Item={"pk": {"S": "ROUTE#1-a"}, "sk": {"S": "-"}})
    with pytest.raises(AwsError) as caught:
        RegistryReader(table, TABLE).read("1-a", None)
    assert "ROUTE#1-a" in caught.value.reason


def test_a_missing_table_is_an_error(table: Any) -> None:
    with pytest.raises(AwsError) as caught:
        RegistryReader(table, "other").read("1-a", "k")
    assert "other" in caught.value.message


def asked(*names: str) -> dict[str, Any]:
    wanted = [{"pk": {"S": name}, "sk": {"S": "-"}} for name in names]
    return {"RequestItems": {TABLE: {"Keys": wanted, "ConsistentRead": True}}}


def test_what_dynamodb_leaves_undone_is_asked_for_again() -> None:
    dynamodb, pauses = client(), list[float]()
    with Stubber(dynamodb) as stubber:
        left = {TABLE: {"Keys": [{"pk": KEY["pk"], "sk": KEY["sk"]}], "ConsistentRead": True}}
        stubber.add_response(
            "batch_get_item",
            {"Responses": {TABLE: [ROUTE]}, "UnprocessedKeys": left},
            asked("ROUTE#12-call", "KEY#k"),
        )
        stubber.add_response(
            "batch_get_item",
            {"Responses": {TABLE: [KEY]}, "UnprocessedKeys": {}},
            asked("KEY#k"),
        )
        route, key = RegistryReader(dynamodb, TABLE, pauses.append).read("12-call", "k")
        stubber.assert_no_pending_responses()
    assert route is not None
    assert key is not None
    assert len(pauses) == 1


def test_but_not_forever() -> None:
    dynamodb, pauses = client(), list[float]()
    left = {TABLE: {"Keys": [{"pk": KEY["pk"], "sk": KEY["sk"]}]}}
    with Stubber(dynamodb) as stubber:
        for _ in range(4):
            stubber.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": left})
        with pytest.raises(AwsError) as caught:
            RegistryReader(dynamodb, TABLE, pauses.append).read(None, "k")
    assert "unprocessed" in caught.value.reason
    assert pauses == sorted(pauses)


def test_refusals_are_errors() -> None:
    dynamodb = client()
    with Stubber(dynamodb) as stubber:
        stubber.add_client_error("batch_get_item", "AccessDeniedException", "no")
        with pytest.raises(AwsError) as caught:
            RegistryReader(dynamodb, TABLE).read("1-a", None)
    assert "AccessDenied" in caught.value.reason
