"""One DynamoDB table with the string keys ``pk`` and ``sk``, in plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws import records
from fal_serverless.aws.session import error_code, from_client_error, translated

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Table:
    """Reads and conditional writes; what the items mean is its heirs' affair."""

    client: Any
    table: str

    def _get(self, pk: str, sk: str) -> dict[str, Any] | None:
        item = self._item(pk, sk)
        return records.from_item(item) if item else None

    def _item(self, pk: str, sk: str) -> dict[str, Any] | None:
        with translated("Reading the registry"):
            found = self.client.get_item(
                TableName=self.table, Key=key_of(pk, sk), ConsistentRead=True
            )
        item: dict[str, Any] | None = found.get("Item")
        return item

    def _query(self, pk: str, prefix: str) -> list[dict[str, Any]]:
        with translated("Reading the registry"):
            pages = self.client.get_paginator("query").paginate(
                TableName=self.table,
                ConsistentRead=True,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
                ExpressionAttributeValues={":pk": {"S": pk}, ":sk": {"S": prefix}},
            )
            return [item for page in pages for item in page["Items"]]

    def _put(self, item: Mapping[str, Any], condition: str, values: Mapping[str, Any]) -> bool:
        try:
            self.client.put_item(
                TableName=self.table,
                Item=item,
                ConditionExpression=condition,
                **({"ExpressionAttributeValues": values} if values else {}),
            )
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise from_client_error("Writing the registry", error) from error
        return True

    def _transact(self, operations: list[dict[str, Any]]) -> bool:
        """Whether all were done; False when a condition did not hold or somebody interfered."""
        with translated("Writing the registry"):
            try:
                self.client.transact_write_items(TransactItems=operations)
            except ClientError as error:
                reasons = {
                    str(reason.get("Code", "None"))
                    for reason in error.response.get("CancellationReasons", [])
                } - {"None"}
                lost = {"ConditionalCheckFailed", "TransactionConflict"}
                if error_code(error) == "TransactionCanceledException" and reasons <= lost:
                    return False
                raise
        return True

    def _delete(self, pk: str, sk: str) -> dict[str, Any]:
        return {"Delete": {"TableName": self.table, "Key": key_of(pk, sk)}}

    def _if_token(self, expected: str | None) -> dict[str, Any]:
        if expected is None:
            return {
                "TableName": self.table,
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        return {
            "TableName": self.table,
            "ConditionExpression": "#token = :token",
            "ExpressionAttributeNames": {"#token": "token"},
            "ExpressionAttributeValues": {":token": {"S": expected}},
        }


def key_of(pk: str, sk: str) -> dict[str, dict[str, str]]:
    """The key of an item."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}
