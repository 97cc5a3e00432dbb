"""Limits, simulated permissions and drift, as AWS answers them page by page."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from fal_serverless.aws.account import denied, limits, principal_of
from fal_serverless.aws.drift import PAUSE_S, WAIT_S, detect
from fal_serverless.checks.account import Ask
from fal_serverless.errors import AuthError


class Session:
    """A session that has one client."""

    def __init__(self, service):
        self.made = boto3.client(
            service, "us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        self.service = service

    def client(self, service):
        assert service == self.service
        return self.made


@pytest.fixture
def session(request):
    found = Session(request.param)
    with Stubber(found.made) as found.stub:
        yield found
        found.stub.assert_no_pending_responses()


ME = "arn:aws:iam::1:user/me"
using = pytest.mark.parametrize


@using("session", ["lambda"], indirect=True)
def test_limits_are_the_accounts_own(session):
    answer = {
        "AccountLimit": {"TotalCodeSize": 80, "UnreservedConcurrentExecutions": 10},
        "AccountUsage": {"TotalCodeSize": 7},
    }
    session.stub.add_response("get_account_settings", answer, {})
    found = limits(session)
    assert (found.unreserved, found.code, found.used) == (10, 80, 7)


def asks(stub, resource, decisions, actions=("a:One", "a:Two"), marker="", more=False):
    asked = {
        "PolicySourceArn": ME,
        "ActionNames": list(actions),
        "ResourceArns": [resource],
        "ContextEntries": [
            {"ContextKeyName": "iam:K", "ContextKeyValues": ["v"], "ContextKeyType": "string"}
        ],
    }
    if marker:
        asked["Marker"] = marker
    results = [
        {"EvalActionName": name, "EvalDecision": decision} for name, decision in decisions.items()
    ]
    answer = {"EvaluationResults": results, "IsTruncated": more}
    if more:
        answer["Marker"] = "next"
    stub.add_response("simulate_principal_policy", answer, asked)


def an_ask(*resources):
    return Ask(name="S", actions=("a:One", "a:Two"), resources=resources, context=(("iam:K", "v"),))


@using("session", ["iam"], indirect=True)
def test_an_action_is_denied_when_it_is_allowed_on_no_resource_of_any_page(session):
    asks(session.stub, "r1", {"a:One": "implicitDeny"}, more=True)
    asks(session.stub, "r1", {"a:Two": "explicitDeny"}, marker="next")
    asks(session.stub, "r2", {"a:One": "allowed", "a:Two": "implicitDeny"})
    assert denied(session, ME, [an_ask("r1", "r2")]) == {"S": ["a:Two"]}


@using("session", ["iam"], indirect=True)
def test_who_may_not_simulate_is_told_so(session):
    session.stub.add_client_error("simulate_principal_policy", "AccessDenied", "no", 403)
    with pytest.raises(AuthError):
        denied(session, ME, [an_ask("r1")])


ROLE = {
    "Path": "/aws-reserved/",
    "RoleName": "Dev",
    "RoleId": "A" * 16,
    "Arn": "arn:aws:iam::1:role/aws-reserved/Dev",
    "CreateDate": "2026-01-01",
}


@using("session", ["iam"], indirect=True)
def test_a_role_is_asked_for_with_its_path_where_that_may_be_read(session):
    session.stub.add_response("get_role", {"Role": ROLE}, {"RoleName": "Dev"})
    session.stub.add_client_error("get_role", "AccessDenied", "no", 403)
    arn = "arn:aws:sts::1:assumed-role/Dev/me"
    assert principal_of(session, arn) == ROLE["Arn"]
    assert principal_of(session, arn) == "arn:aws:iam::1:role/Dev"
    assert principal_of(session, "arn:aws:iam::1:user/me") == "arn:aws:iam::1:user/me"
    assert principal_of(session, "arn:aws:sts::1:federated-user/me") is None


BEGUN = {"StackDriftDetectionId": "d"}


def is_at(stub, status):
    answer = {
        "StackId": "s",
        "StackDriftDetectionId": "d",
        "DetectionStatus": status,
        "Timestamp": "2026-01-01",
    }
    stub.add_response("describe_stack_drift_detection_status", answer, BEGUN)


def a_drift(resource, status, differences=()):
    return {
        "StackId": "s",
        "LogicalResourceId": resource,
        "ResourceType": "AWS::SQS::Queue",
        "StackResourceDriftStatus": status,
        "Timestamp": "2026-01-01",
        "PropertyDifferences": list(differences),
    }


@using("session", ["cloudformation"], indirect=True)
def test_all_pages_of_a_drift_are_read_once_the_comparison_has_ended(session):
    stub, pauses = session.stub, []
    stub.add_response("detect_stack_drift", BEGUN, {"StackName": "s"})
    is_at(stub, "DETECTION_IN_PROGRESS")
    # Some resource could not be looked at; what was found of the others counts.
    is_at(stub, "DETECTION_FAILED")
    asked = {"StackName": "s", "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"]}
    difference = {
        "PropertyPath": "/DelaySeconds",
        "ExpectedValue": "0",
        "ActualValue": "9",
        "DifferenceType": "NOT_EQUAL",
    }
    page = {"StackResourceDrifts": [a_drift("A", "MODIFIED", [difference])], "NextToken": "t"}
    stub.add_response("describe_stack_resource_drifts", page, asked)
    page = {"StackResourceDrifts": [a_drift("B", "DELETED")]}
    stub.add_response("describe_stack_resource_drifts", page, {**asked, "NextToken": "t"})
    first, second = detect(session, "s", sleep=pauses.append) or ()
    assert first.differences == (("DelaySeconds", "0", "9"),)
    assert (first.deleted, second.deleted) == (False, True)
    assert pauses == [PAUSE_S]


@using("session", ["cloudformation"], indirect=True)
def test_a_comparison_is_not_waited_for_forever(session):
    session.stub.add_response("detect_stack_drift", BEGUN, {"StackName": "s"})
    for _ in range(int(WAIT_S / PAUSE_S)):
        is_at(session.stub, "DETECTION_IN_PROGRESS")
    assert detect(session, "s", sleep=lambda _: None) is None
