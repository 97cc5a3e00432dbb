"""EventBridge Scheduler: on moto, and by strict Stubbers what moto cannot judge."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws

from fal_serverless.aws.registry import RegistryTable
from fal_serverless.aws.scheduler import AGE_MAX_S, BUSY_TRIES, EventScheduler
from fal_serverless.errors import AuthError, AwsError, ConflictError
from fal_serverless.publish.schedules import Schedule, event_of
from tests.fakes import OWNER, a_revision

KEYS = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
ROLE = "arn:aws:iam::123456789012:role/r"
LETTERS = "arn:aws:sqs:us-east-1:123456789012:dead"
TARGET = "arn:aws:lambda:us-east-1:123456789012:function:fal-1-f-z:3"
WANTED = {
    "GroupName": "g",
    "Name": "n",
    "ScheduleExpression": "cron(0 0 * * ? *)",
    "ScheduleExpressionTimezone": "UTC",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "State": "ENABLED",
    "Target": {
        "Arn": TARGET,
        "RoleArn": ROLE,
        "Input": json.dumps(event_of("s")),
        "DeadLetterConfig": {"Arn": LETTERS},
        "RetryPolicy": {"MaximumRetryAttempts": 5, "MaximumEventAgeInSeconds": AGE_MAX_S},
    },
}
ARN = {"ScheduleArn": "arn:aws:scheduler:us-east-1:123456789012:schedule/g/n"}


@pytest.fixture
def stubbed():
    client, lambdas, pauses = boto3.client("scheduler", **KEYS), boto3.client("lambda", **KEYS), []
    scheduler = EventScheduler(
        client=client,
        lambdas=lambdas,
        group="g",
        role=ROLE,
        undelivered=LETTERS,
        sleep=pauses.append,
    )
    with Stubber(client) as stub, Stubber(lambdas) as functions:
        yield scheduler, stub, functions, pauses
        stub.assert_no_pending_responses()
        functions.assert_no_pending_responses()


def put(scheduler):
    scheduler.put("n", "cron(0 0 * * ? *)", TARGET, event_of("s"))


def test_what_is_there_is_replaced(stubbed):
    scheduler, stub, _, _ = stubbed
    stub.add_response("update_schedule", ARN, WANTED)
    put(scheduler)


def test_what_is_not_is_made_with_a_token_of_its_content(stubbed):
    scheduler, stub, _, _ = stubbed
    for _ in range(2):
        stub.add_client_error("update_schedule", "ResourceNotFoundException", "none", 404)
        stub.add_response("create_schedule", ARN, {**WANTED, "ClientToken": ANY})
    tokens = []
    record = lambda params, **_: tokens.append(params["ClientToken"])  # noqa: E731
    scheduler.client.meta.events.register("provide-client-params.scheduler.CreateSchedule", record)
    put(scheduler)
    put(scheduler)
    assert len(set(tokens)) == 1
    assert len(tokens) == 2
    assert len(tokens[0]) <= 64


def test_changes_that_are_applied_still_are_waited_for(stubbed):
    scheduler, stub, _, pauses = stubbed
    stub.add_client_error("update_schedule", "ConflictException", "updating", 409)
    stub.add_client_error("update_schedule", "ResourceNotFoundException", "none", 404)
    stub.add_client_error("create_schedule", "ConflictException", "deleting", 409)
    stub.add_response("create_schedule", ARN, {**WANTED, "ClientToken": ANY})
    put(scheduler)
    assert pauses == [0.5, 0.5]


def test_a_conflict_that_does_not_end_is_one(stubbed):
    scheduler, stub, _, pauses = stubbed
    for _ in range(BUSY_TRIES):
        stub.add_client_error("update_schedule", "ConflictException", "updating", 409)
    with pytest.raises(ConflictError, match="Scheduling 'n' failed"):
        put(scheduler)
    assert len(pauses) == BUSY_TRIES - 1


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        ("ThrottlingException", AwsError, "throttling"),
        ("ValidationException", AwsError, "ValidationException: why"),
        ("ServiceQuotaExceededException", AwsError, "ServiceQuotaExceededException: why"),
        ("AccessDeniedException", AuthError, "not allowed: why"),
    ],
)
def test_refusals_say_why(stubbed, code, kind, told):
    scheduler, stub, _, pauses = stubbed
    stub.add_client_error("update_schedule", "ResourceNotFoundException", "none", 404)
    stub.add_client_error("create_schedule", code, "why")
    with pytest.raises(kind) as caught:
        put(scheduler)
    assert told in caught.value.reason
    assert pauses == []


def test_deleting_waits_and_what_is_gone_is_deleted(stubbed):
    scheduler, stub, _, pauses = stubbed
    asked = {"GroupName": "g", "Name": "n"}
    stub.add_client_error("delete_schedule", "ConflictException", "updating", 409)
    stub.add_response("delete_schedule", {}, asked)
    stub.add_client_error("delete_schedule", "ResourceNotFoundException", "gone", 404)
    scheduler.delete("n")
    scheduler.delete("n")
    assert pauses == [0.5]


def test_lambda_does_not_begin_a_run_again(stubbed):
    scheduler, _, functions, pauses = stubbed
    bounds = {
        "FunctionName": "fal-1-f-z",
        "Qualifier": "3",
        "MaximumRetryAttempts": 0,
        "MaximumEventAgeInSeconds": AGE_MAX_S,
    }
    functions.add_client_error(
        "put_function_event_invoke_config", "ResourceConflictException", "busy", 409
    )
    functions.add_response("put_function_event_invoke_config", {"FunctionArn": TARGET}, bounds)
    assert scheduler.prepare("fal-1-f-z", "3") == TARGET
    assert pauses == [0.5]


def test_a_hundred_and_twenty_on_moto():
    with mock_aws():
        client = boto3.client("scheduler", **KEYS)
        client.create_schedule_group(Name="g")
        scheduler = EventScheduler(
            client=client, lambdas=None, group="g", role=ROLE, undelivered=LETTERS
        )
        names = [f"1-{number:03}-d" for number in range(120)]
        for name in [*names, "2-other-d", *names[:3]]:
            scheduler.put(name, "cron(0 0 ? * MON-FRI *)", TARGET, event_of("s", (13,)))
        assert sorted(scheduler.names("1-")) == names
        made = client.get_schedule(GroupName="g", Name=names[0])
        assert made["ScheduleExpression"] == "cron(0 0 ? * MON-FRI *)"
        assert made["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 5
        assert json.loads(made["Target"]["Input"])["fal"]["cron"]["except_days"] == [13]
        for name in names:
            scheduler.delete(name)
        assert scheduler.names("1-") == ()
        assert scheduler.names("2-") == ("2-other-d",)


def test_records_on_moto():
    with mock_aws():
        client = boto3.client("dynamodb", **KEYS)
        keys = ("pk", "sk")
        client.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": kind}
                for key, kind in zip(keys, ("HASH", "RANGE"), strict=True)
            ],
        )
        registry = RegistryTable(client, "t")
        made = [
            Schedule(
                id=f"{number:036}",
                owner=OWNER,
                name="f",
                expression=f"{number % 60} {number // 60} * * *",
                # Pages of a query end at a megabyte: these come on two.
                created_at="x" * 10_000,
                changed_at="now",
            )
            for number in range(120)
        ]
        for item in made:
            registry.put_schedule(item)
        registry.put_schedule(made[0].replace(owner="7654321"))
        found = registry.schedules(OWNER)
        assert sorted(found, key=lambda item: item.id) == made
        assert [item.expression for item in found] == sorted(item.expression for item in made)
        moved = made[0].replace(revision="r", pending=("p", "q"), cancelling=True)
        registry.put_schedule(moved)
        assert registry.schedules(OWNER)[0] == moved
        for item in made:
            registry.delete_schedule(OWNER, item.id)
        registry.delete_schedule(OWNER, "gone")
        assert registry.schedules(OWNER) == ()
        registry.add_revision(a_revision("r", mode="call"), None)
        assert registry.revision(OWNER, "r").mode == "call"
        assert "Item" not in client.get_item(
            TableName="t", Key={"pk": {"S": f"ROUTE#{OWNER}-r"}, "sk": {"S": "-"}}
        )
