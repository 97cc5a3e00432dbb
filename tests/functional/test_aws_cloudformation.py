"""Which parameters a stack is updated with."""

from __future__ import annotations

import boto3
from botocore.stub import ANY, Stubber

from fal_serverless.aws.cloudformation import Deployer
from tests.functional.test_aws_identity import OneClient

WAS = {
    "StackName": "s",
    "CreationTime": "2026-01-01",
    "StackStatus": "UPDATE_COMPLETE",
    "Parameters": [
        {"ParameterKey": "DomainName", "ParameterValue": "gateway.example.com"},
        {"ParameterKey": "LogRetentionDays", "ParameterValue": "30"},
    ],
}


class Cloud(OneClient):
    def client(self, name):
        assert name == "cloudformation"
        return self._client


def test_what_is_not_said_keeps_its_value():
    client = boto3.client(
        "cloudformation", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    stub = Stubber(client)
    for _ in range(2):
        stub.add_response("describe_stacks", {"Stacks": [WAS]}, {"StackName": "s"})
    stub.add_response(
        "create_change_set",
        {},
        {
            "StackName": "s",
            "ChangeSetName": ANY,
            "ChangeSetType": "UPDATE",
            "TemplateBody": "t",
            "Capabilities": ANY,
            "Parameters": [
                {"ParameterKey": "LogRetentionDays", "ParameterValue": "7"},
                {"ParameterKey": "DomainName", "UsePreviousValue": True},
            ],
        },
    )
    stub.add_response(
        "describe_change_set",
        {"Status": "FAILED", "StatusReason": "No updates are to be performed."},
        {"StackName": "s", "ChangeSetName": ANY},
    )
    stub.add_response("delete_change_set", {}, {"StackName": "s", "ChangeSetName": ANY})
    with stub:
        changed = Deployer(Cloud(client)).deploy("s", "t", {"LogRetentionDays": "7"}, print)
    assert changed is False
    stub.assert_no_pending_responses()
