"""Change sets made, read, executed, discarded; failures explained; leftovers cleared away."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import ANY, Stubber

from fal_serverless.aws.cloudformation import STILL_POLLS, Deployer
from fal_serverless.changes import Proposal
from fal_serverless.errors import StackError
from tests.functional.test_aws_identity import OneClient

WAS = {
    "StackName": "s",
    "CreationTime": "2026-01-01",
    "LastUpdatedTime": "2026-01-02",
    "StackStatus": "UPDATE_COMPLETE",
    "Parameters": [
        {"ParameterKey": "DomainName", "ParameterValue": "gateway.example.com"},
        {"ParameterKey": "LogRetentionDays", "ParameterValue": "30"},
    ],
}
CHANGE = {"StackName": "s", "ChangeSetName": ANY}
KEPT = [
    {"ParameterKey": "LogRetentionDays", "ParameterValue": "7"},
    {"ParameterKey": "DomainName", "UsePreviousValue": True},
]


class Cloud(OneClient):
    def client(self, name):
        assert name == "cloudformation"
        return self._client


@pytest.fixture
def stub():
    client = boto3.client(
        "cloudformation", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as found:
        found.deployer = Deployer(Cloud(client), sleep=lambda _: None)
        yield found
        found.assert_no_pending_responses()


def is_now(stub, status=None, **more):
    """What the stack is when it is asked for next; None: there is none."""
    if status is None:
        stub.add_client_error(
            "describe_stacks", "ValidationError", "Stack with id s does not exist"
        )
        return
    found = {**WAS, "StackStatus": status, **more}
    stub.add_response("describe_stacks", {"Stacks": [found]}, {"StackName": "s"})


def makes(stub, kind="UPDATE", parameters=KEPT):
    asked = {
        **CHANGE,
        "ChangeSetType": kind,
        "TemplateBody": "t",
        "Capabilities": ANY,
        "Parameters": parameters,
    }
    stub.add_response("create_change_set", {}, asked)


def a_resource(name, action="Modify", **more):
    return {
        "Type": "Resource",
        "ResourceChange": {
            "Action": action,
            "LogicalResourceId": name,
            "ResourceType": "AWS::DynamoDB::Table",
            **more,
        },
    }


def test_what_is_not_said_keeps_its_value_and_no_change_is_no_deployment(stub):
    is_now(stub, "UPDATE_COMPLETE")
    makes(stub)
    told = {"Status": "FAILED", "StatusReason": "No updates are to be performed."}
    stub.add_response("describe_change_set", told, CHANGE)
    stub.add_response("delete_change_set", {}, CHANGE)
    assert stub.deployer.propose("s", "t", {"LogRetentionDays": "7"}, print) is None


def test_all_pages_of_the_changes_are_read(stub):
    is_now(stub, "UPDATE_COMPLETE")
    makes(stub)
    stub.add_response("describe_change_set", {"Status": "CREATE_IN_PROGRESS"}, CHANGE)
    target = {"Attribute": "Properties", "Name": "KeySchema"}
    first = a_resource(
        "Table", Replacement="True", PolicyAction="ReplaceAndDelete", Details=[{"Target": target}]
    )
    page = {"Status": "CREATE_COMPLETE", "Changes": [first], "NextToken": "more"}
    stub.add_response("describe_change_set", page, CHANGE)
    second = [
        a_resource(
            "Perhaps", Replacement="Conditional", Details=[{"Target": {"Attribute": "Tags"}}]
        ),
        a_resource("Gone", "Remove", PolicyAction="Retain"),
        a_resource("New", "Add"),
    ]
    page = {"Status": "CREATE_COMPLETE", "Changes": second}
    stub.add_response("describe_change_set", page, {**CHANGE, "NextToken": "more"})
    found = stub.deployer.propose("s", "t", {"LogRetentionDays": "7"}, print)
    assert found is not None
    assert not found.new
    table, perhaps, gone, new = found.changes
    assert (table.word, table.properties, table.holds) == ("replace", ("KeySchema",), "its records")
    assert (perhaps.replacement, perhaps.properties) == ("perhaps", ("Tags",))
    assert (gone.word, gone.holds) == ("remove", "")
    assert new.word == "add"


def test_what_a_failed_creation_left_is_deleted_first(stub):
    is_now(stub, "ROLLBACK_COMPLETE")
    is_now(stub, "ROLLBACK_COMPLETE")
    stub.add_response("delete_stack", {}, {"StackName": "s"})
    is_now(stub, "DELETE_IN_PROGRESS")
    is_now(stub)
    makes(stub, "CREATE", [{"ParameterKey": "A", "ParameterValue": "b"}])
    stub.add_response("describe_change_set", {"Status": "CREATE_COMPLETE", "Changes": []}, CHANGE)
    told: list[str] = []
    found = stub.deployer.propose("s", "t", {"A": "b"}, told.append)
    assert found is not None
    assert found.new
    assert told == ["delete what an earlier failure left"]


def test_a_change_set_that_nobody_executed_is_no_stack(stub):
    is_now(stub, "REVIEW_IN_PROGRESS")
    makes(stub, "CREATE", [])
    stub.add_response("describe_change_set", {"Status": "CREATE_COMPLETE", "Changes": []}, CHANGE)
    found = stub.deployer.propose("s", "t", {}, print)
    assert found is not None
    assert found.new
    is_now(stub, "REVIEW_IN_PROGRESS")
    assert stub.deployer.outputs("s") is None


@pytest.mark.parametrize("new", [True, False])
def test_what_is_not_approved_leaves_nothing(stub, new):
    stub.add_response("delete_change_set", {}, {"StackName": "s", "ChangeSetName": "c"})
    if new:
        is_now(stub, "REVIEW_IN_PROGRESS")
        stub.add_response("delete_stack", {}, {"StackName": "s"})
    stub.deployer.discard(Proposal(stack="s", change_set="c", new=new, changes=()))


def executes(stub):
    stub.add_response("execute_change_set", {}, {"StackName": "s", "ChangeSetName": "c"})


def a_proposal(**more):
    return Proposal(stack="s", change_set="c", new=False, changes=(), **more)


def test_the_state_from_before_the_update_is_not_taken_for_its_end(stub):
    executes(stub)
    is_now(stub, "UPDATE_COMPLETE")
    is_now(stub, "UPDATE_IN_PROGRESS", LastUpdatedTime="2026-01-03")
    is_now(stub, "UPDATE_COMPLETE", LastUpdatedTime="2026-01-03")
    told: list[str] = []
    stub.deployer.execute(a_proposal(updated="2026-01-02"), told.append)
    assert told == ["update complete", "update in progress", "update complete"]


def test_whoever_waits_is_told_now_and_then_that_it_goes_on(stub):
    executes(stub)
    for _ in range(2 * STILL_POLLS + 2):
        is_now(stub, "UPDATE_IN_PROGRESS", LastUpdatedTime="2026-01-03")
    is_now(stub, "UPDATE_COMPLETE", LastUpdatedTime="2026-01-03")
    told: list[str] = []
    stub.deployer.execute(a_proposal(updated="2026-01-02"), told.append)
    first, second = (STILL_POLLS * stub.deployer.poll * times for times in (1, 2))
    assert told == [
        "update in progress",
        f"… update in progress, for {first:.0f} s",
        f"… update in progress, for {second:.0f} s",
        "update complete",
    ]


def test_a_rollback_is_explained_by_its_first_failure_from_all_pages(stub):
    executes(stub)
    is_now(stub, "UPDATE_ROLLBACK_IN_PROGRESS")
    is_now(stub, "UPDATE_ROLLBACK_COMPLETE")

    def an_event(resource, status, reason="", kind="AWS::ApiGatewayV2::DomainName"):
        return {
            "StackId": "s",
            "EventId": "e",
            "StackName": "s",
            "Timestamp": "2026-01-01",
            "LogicalResourceId": resource,
            "ResourceType": kind,
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
        }

    newest = [an_event("Api", "UPDATE_FAILED", "Resource update cancelled")]
    older = [
        an_event("Domain", "CREATE_FAILED", "The certificate is not issued"),
        an_event("s", "UPDATE_IN_PROGRESS", kind="AWS::CloudFormation::Stack"),
        an_event("Other", "UPDATE_FAILED", "of an earlier deployment"),
    ]
    page = {"StackEvents": newest, "NextToken": "more"}
    stub.add_response("describe_stack_events", page, {"StackName": "s"})
    asked = {"StackName": "s", "NextToken": "more"}
    stub.add_response("describe_stack_events", {"StackEvents": older}, asked)
    with pytest.raises(StackError) as met:
        stub.deployer.execute(a_proposal(), lambda _: None)
    assert met.value.message == "The stack 's' was rolled back."
    assert met.value.reason == (
        "Domain (AWS::ApiGatewayV2::DomainName): The certificate is not issued"
    )
    assert "deploy again; what was deployed before is still there" in met.value.hint


def test_a_refused_change_set_says_why(stub):
    is_now(stub, "UPDATE_COMPLETE")
    makes(stub)
    told = {"Status": "FAILED", "StatusReason": "Template format error:\n bad"}
    stub.add_response("describe_change_set", told, CHANGE)
    with pytest.raises(StackError) as met:
        stub.deployer.propose("s", "t", {"LogRetentionDays": "7"}, print)
    assert met.value.reason == "Template format error: bad"


def test_a_second_deletion_is_not_judged_by_the_first_ones_end(stub):
    is_now(stub, "DELETE_FAILED")
    stub.add_response("delete_stack", {}, {"StackName": "s"})
    is_now(stub, "DELETE_FAILED")
    is_now(stub, "DELETE_IN_PROGRESS")
    is_now(stub)
    assert stub.deployer.delete("s") is True
