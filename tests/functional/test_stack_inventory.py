"""What a stack holds, found on moto over all pages, and deleted; another stack's is left alone."""

from __future__ import annotations

import io
import zipfile

import boto3
import pytest
from moto import mock_aws

from fal_serverless.aws import records, stack_inventory
from fal_serverless.aws.leftovers import Leftovers
from fal_serverless.aws.session import Session
from fal_serverless.inventory import Inventory, our_layer, unshared_layers
from tests.support.moto import a_table

REGION = "us-east-1"
MINE, SHARED, FOREIGN = "fal-" + "a" * 32, "fal-" + "b" * 32, "somebody-elses"


def a_zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("index.py", "handler = print\n")
    return made.getvalue()


class Account:
    """One account with two stacks' things in it."""

    def __init__(self) -> None:
        made = boto3.Session("x", "x", region_name=REGION)
        self.session = Session(made)
        trust = '{"Version":"2012-10-17","Statement":[]}'
        iam = made.client("iam")
        self.roles = {
            name: iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
            for name in ("mine", "other")
        }

    def layer(self, name: str) -> str:
        made = self.session.client("lambda").publish_layer_version(
            LayerName=name, Content={"ZipFile": a_zip()}
        )
        return made["LayerVersionArn"]

    def function(self, name: str, role: str, *layers: str) -> None:
        self.session.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="index.handler",
            Role=self.roles[role],
            Code={"ZipFile": a_zip()},
            Layers=list(layers),
        )
        self.session.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")

    def table(self) -> str:
        a_table(self.session.client("dynamodb"), "registry", "pk", "sk")
        return "registry"

    def put(self, pk: str, sk: str, **more: object) -> None:
        item = records.to_item({"pk": pk, "sk": sk, **more})
        self.session.client("dynamodb").put_item(TableName="registry", Item=item)


@pytest.fixture
def account():
    with mock_aws():
        yield Account()


def outputs(account: Account) -> dict[str, str]:
    return {"FunctionRoleArn": account.roles["mine"], "TableName": account.table()}


def test_everything_of_one_stack_goes_and_nothing_of_another(account):
    values = outputs(account)
    mine, shared = account.layer(MINE), account.layer(SHARED)
    account.function("fal-1-a-z", "mine", mine, shared, account.layer(FOREIGN))
    account.function("fal-2-b-z", "other", shared)
    logs = account.session.client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/fal-1-gone-z")
    logs.create_log_group(logGroupName="/aws/lambda/fal-9-unknown-z")
    for number in range(60):
        account.put("USER#1", f"REV#{number:03}", function="fal-1-a-z", layers=[mine])
    account.put("USER#2", "REV#x", function="fal-1-gone-z")
    account.put("USER#1", "ALIAS#a", revision="000")
    account.put("USER#1", "CRON#c", function="fal-1-a-z")
    account.put("USER#1", "KEY#k")
    account.put("KEY#k", "-")
    ssm, alarms = account.session.client("ssm"), account.session.client("cloudwatch")
    for number in range(23):
        for stack in ("s", "t"):
            name = f"/fal/{stack}/1/N{number}"
            ssm.put_parameter(Name=name, Value="v", Type="SecureString")
    alarm = {"MetricName": "m", "Namespace": "n", "Statistic": "Sum", "Period": 60}
    for name in ("s-split-1-a", "t-split-1-a"):
        alarms.put_metric_alarm(
            AlarmName=name,
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
            Threshold=1,
            **alarm,
        )
    found = stack_inventory.take(account.session, "s", values, keep=False)
    assert found.functions == ("fal-1-a-z",)
    assert found.layers == (MINE,)
    assert found.logs == ("/aws/lambda/fal-1-a-z", "/aws/lambda/fal-1-gone-z")
    counted = {kind: count for kind, count in found.counts().items() if count}
    assert counted == {
        "users": 2,
        "functions": 1,
        "revisions": 61,
        "aliases": 1,
        "schedules": 1,
        "keys": 1,
        "secrets": 23,
        "layers": 1,
        "log groups": 2,
        "alarms": 1,
    }
    told: list[str] = []
    stack_inventory.remove(account.session, found, told.append)
    assert "delete fal-1-a-z" in told
    left = Leftovers(account.session)
    assert {item["FunctionName"] for item in left.function_versions()} == {"fal-2-b-z"}
    assert {item["LayerName"] for item in left.layers("")} == {SHARED, FOREIGN}
    assert len(left.parameters("/fal/t/")) == 23
    assert left.parameters("/fal/s/") == ()
    assert (left.alarms("s-"), left.alarms("t-")) == ((), ("t-split-1-a",))
    remaining = {item["logGroupName"] for item in left.log_groups("/aws/")}
    assert remaining == {"/aws/lambda/fal-2-b-z", "/aws/lambda/fal-9-unknown-z"}
    # Once more: what is gone is no error.
    stack_inventory.remove(account.session, found, told.append)


def test_what_is_kept_is_said_and_a_half_made_stack_has_no_more_than_it_has(account):
    ssm = account.session.client("ssm")
    ssm.put_parameter(Name="/fal/s/1/A", Value="v", Type="SecureString")
    values = outputs(account)
    kept = stack_inventory.take(account.session, "s", values, keep=True)
    assert kept.secrets == ()
    assert "registry" in kept.lines()[-1]
    half = stack_inventory.take(account.session, "s", {}, keep=False)
    assert half == Inventory(secrets=("/fal/s/1/A",), records={"users": 0})


def test_lines_name_some_and_count_all():
    found = Inventory(functions=("a", "b", "c", "d"), records={"keys": 300})
    assert found.lines() == ["     4 functions: a, b, c …", "   300 keys"]


def test_layers_are_ours_by_their_names():
    arn = f"arn:aws:lambda:eu-west-1:123456789012:layer:{MINE}:3"
    assert our_layer(arn) == MINE
    assert our_layer(arn.replace("fal-", "fall-")) is None
    old = {"FunctionName": "f", "Version": "1", "Layers": [{"Arn": arn}]}
    assert unshared_layers([old], ["f"], []) == (MINE,)
    # An older version of a function that stays needs it as well.
    assert unshared_layers([old], ["g"], [arn]) == ()
