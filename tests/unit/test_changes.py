"""What is said of a change set, what is refused, and what explains a failure."""

from __future__ import annotations

import pytest

from fal_serverless.aws.stack_events import first_failure, next_step
from fal_serverless.changes import Change, check_losses, check_state, rows
from fal_serverless.errors import ConflictError, StackError

TABLE = "AWS::DynamoDB::Table"


def a_change(action="Modify", kind=TABLE, **more) -> Change:
    return Change(action=action, resource="Thing", type=kind, **more)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (a_change("Add"), "add"),
        (a_change("Remove"), "remove"),
        (a_change(), "modify"),
        (a_change(replacement="yes"), "replace"),
        (a_change(replacement="perhaps"), "modify, perhaps replace"),
        (a_change("Dynamic"), "perhaps modify"),
        (a_change("New"), "new"),
    ],
)
def test_each_change_has_a_word(change, word):
    assert change.word == word


def test_what_loses_data_comes_first_and_says_what():
    listed = rows(
        [
            a_change("Add", "AWS::SQS::Queue"),
            a_change("Modify", "AWS::Lambda::Function", properties=("Role", "Layers")),
            a_change("Remove", "AWS::Lambda::LayerVersion"),
            a_change(replacement="yes", properties=("KeySchema",)),
            a_change("Remove", keeps=True),
        ]
    )
    assert [(row["change"], row["detail"]) for row in listed] == [
        ("replace", "LOSES its records, KeySchema"),
        ("remove", ""),
        ("remove", ""),
        ("add", ""),
        ("modify", "Role, Layers"),
    ]
    assert rows([a_change(replacement="perhaps")])[0]["detail"] == "MAY LOSE its records"


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (a_change(replacement="yes"), True),
        (a_change(replacement="yes", keeps=True), True),
        (a_change("Remove", keeps=True), False),
        (a_change("Remove"), True),
        (a_change("Remove", "AWS::Lambda::Function"), False),
        (a_change(replacement="perhaps"), True),
        (a_change(), False),
        (a_change("Add"), False),
    ],
)
def test_the_loss_of_data_is_refused(change, refused):
    harmless = a_change("Add")
    if not refused:
        check_losses("s", [harmless, change])
        return
    with pytest.raises(ConflictError) as met:
        check_losses("s", [harmless, change])
    assert met.value.reason == f"Thing: {change.word}, with its records"
    assert "--allow-data-loss" in met.value.hint


def test_what_an_emulator_only_supposes_is_no_loss():
    check_losses("s", [a_change(replacement="perhaps")], certain=True)
    with pytest.raises(ConflictError):
        check_losses("s", [a_change(replacement="yes")], certain=True)


@pytest.mark.parametrize(
    ("status", "error", "hint"),
    [
        ("UPDATE_IN_PROGRESS", ConflictError, "stack status"),
        ("DELETE_IN_PROGRESS", ConflictError, "stack status"),
        ("UPDATE_ROLLBACK_FAILED", StackError, "continue-update-rollback --stack-name s"),
        ("DELETE_FAILED", StackError, "stack delete --stack s"),
        ("CREATE_FAILED", StackError, "stack delete --stack s"),
    ],
)
def test_a_stack_that_cannot_be_deployed_says_why_and_what_to_do(status, error, hint):
    with pytest.raises(error) as met:
        check_state("s", status)
    assert hint in met.value.hint
    assert status in met.value.reason


@pytest.mark.parametrize(
    "status",
    [None, "REVIEW_IN_PROGRESS", "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"],
)
def test_other_states_take_a_deployment(status):
    check_state("s", status)


def an_event(resource, status, reason="", kind="AWS::X::Y"):
    return {
        "LogicalResourceId": resource,
        "ResourceType": kind,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


STACK = "AWS::CloudFormation::Stack"
NEWEST_FIRST = [
    an_event("s", "UPDATE_ROLLBACK_COMPLETE", kind=STACK),
    an_event("s", "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed", STACK),
    an_event("Api", "UPDATE_FAILED", "Resource update cancelled"),
    an_event("Domain", "CREATE_FAILED", "The certificate\n is not issued"),
    an_event("s", "UPDATE_IN_PROGRESS", "User Initiated", STACK),
    an_event("Old", "UPDATE_FAILED", "of an earlier deployment"),
]


def test_the_first_failure_of_the_latest_operation_explains_it():
    found = first_failure(NEWEST_FIRST)
    assert found is not None
    assert found.resource == "Domain (AWS::X::Y)"
    assert found.reason == "The certificate is not issued"
    assert first_failure(NEWEST_FIRST[4:]) is None


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("ROLLBACK_COMPLETE", "x already exists", "choose another name with --stack"),
        ("ROLLBACK_COMPLETE", "boom", "what is left is deleted first"),
        ("UPDATE_ROLLBACK_COMPLETE", "is not authorized to perform", "ask for the right"),
        ("UPDATE_ROLLBACK_COMPLETE", "boom", "still there"),
        ("UPDATE_ROLLBACK_FAILED", "boom", "continue-update-rollback --stack-name s"),
        ("DELETE_FAILED", "boom", "stack delete --stack s"),
        ("ROLLBACK_COMPLETE", "the certificate is bad", "certificate is issued"),
        ("ROLLBACK_COMPLETE", "limit exceeded", "quota"),
    ],
)
def test_the_next_step_fits_the_failure_and_the_state(status, reason, expected):
    assert expected in next_step("s", status, reason)
