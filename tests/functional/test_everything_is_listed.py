"""Every list shows everything, over all pages of AWS: the command itself, on moto."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass

import boto3
import pytest
from moto import mock_aws

from fal_serverless.aws.registry import RegistryTable
from fal_serverless.aws.secrets import SecretStore
from fal_serverless.cli.main import execute
from fal_serverless.keys import KeyRecord
from fal_serverless.publish.state import Alias, Move, Route
from tests.fakes import a_revision
from tests.support.moto import a_table
from tests.unit.test_template import TEMPLATE

pytestmark = pytest.mark.slow

REGION = "eu-central-1"
REVISIONS, ALIASES, KEYS, SECRETS, EVENTS = 60, 120, 300, 45, 1000
LONG = 1_100_000
"""Bytes of the records of each kind: DynamoDB gives a megabyte at a time."""


@dataclass(frozen=True)
class World:
    user: str
    base: int

    def listed(self, capsys, *words: str) -> dict:
        capsys.readouterr()
        assert execute([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)


class Bulk(RegistryTable):
    """Writes the same records one by one: moto copies the whole table for each transaction."""

    def _transact(self, operations):
        for operation in operations:
            if "Put" in operation:
                self.client.put_item(TableName=self.table, Item=operation["Put"]["Item"])
        return True


def a_uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An account with much in it; made once, since nothing here changes it."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "x")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        patch.setenv("AWS_REGION", REGION)
        patch.setenv("FAL_HOME", str(tmp_path_factory.mktemp("home")))
        a_stack()
        client = boto3.client("dynamodb", REGION)
        a_table(client, "registry", "pk", "sk")
        a_table(client, "requests", "pk")
        identity = boto3.client("sts", REGION).get_caller_identity()["Arn"]
        registry = RegistryTable(client, "registry")
        user = registry.user_id(identity)
        assert user
        fill(Bulk(client, "registry"), user)
        store = SecretStore(boto3.client("ssm", REGION), "fal-serverless", user)
        for number in range(SECRETS):
            store.set(f"NAME_{number}", "value")
        yield World(user, log_events())


def a_stack() -> None:
    """A stack with the outputs of the template, and one small resource."""
    values = dict.fromkeys(TEMPLATE["Outputs"], "30")
    values |= {"TableName": "registry", "RequestsTableName": "requests", "Domain": "-"}
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in values.items()},
    }
    boto3.client("cloudformation", REGION).create_stack(
        StackName="fal-serverless", TemplateBody=json.dumps(template)
    )


def fill(registry: RegistryTable, user: str) -> None:
    def route(label: str) -> Route:
        return Route(
            owner=user,
            label=label,
            function="fal-f",
            qualifier="1",
            auth="private",
            mode="serve",
            timeout=30,
            revision=a_uuid(0),
        )

    for number in range(REVISIONS):
        long = "x" * (LONG // REVISIONS)
        revision = dataclasses.replace(a_revision(a_uuid(number)), owner=user, message=long)
        registry.add_revision(revision, route(revision.id))
    for number in range(ALIASES):
        alias = Alias(
            name=f"alias-{number:03}",
            owner=user,
            revision=a_uuid(0),
            function="fal-f",
            auth="private",
            moved_at="now",
            token="t",
            history=(Move(revision="x" * (LONG // ALIASES), at="then"),),
        )
        assert registry.put_alias(alias, route(alias.name), expected=None)
    for number in range(KEYS):
        name = "x" * (LONG // KEYS)
        key = KeyRecord(a_uuid(number), "hash", user, "API", name, None)
        registry.add_key(key, f"2026-01-01T00:00:00.{number:03}Z")


def log_events() -> int:
    client = boto3.client("logs", REGION)
    group, streams = "/aws/lambda/fal-f", [f"2026/11/24/[1]{n}" for n in range(4)]
    client.create_log_group(logGroupName=group)
    base = int(time.time() * 1000) - 60_000
    for place, stream in enumerate(streams):
        client.create_log_stream(logGroupName=group, logStreamName=stream)
        mine = [
            {"timestamp": base + number, "message": f"line {number}"}
            for number in range(place, EVENTS, len(streams))
        ]
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=mine)
    return base


@pytest.mark.parametrize("prefix", ["REV#", "ALIAS#", "KEY#"])
def test_one_question_would_not_give_everything(world: World, prefix):
    page = boto3.client("dynamodb", REGION).query(
        TableName="registry",
        KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
        ExpressionAttributeValues={":pk": {"S": f"USER#{world.user}"}, ":sk": {"S": prefix}},
    )
    assert "LastEvaluatedKey" in page


def test_functions(world: World, capsys):
    found = world.listed(capsys, "function", "list")["functions"]
    assert {item["revision"] for item in found} == {a_uuid(n) for n in range(REVISIONS)}
    dry = ["function", "prune", "--keep", "1", "--dry-run"]
    # The aliases need the first one, and the newest one is kept.
    assert len(world.listed(capsys, *dry)["pruned"]) in (REVISIONS - 1, REVISIONS - 2)


def test_aliases(world: World, capsys):
    found = world.listed(capsys, "alias", "list")["aliases"]
    assert [item["alias"] for item in found] == [f"alias-{n:03}" for n in range(ALIASES)]
    shown = world.listed(capsys, "function", "show", a_uuid(0))
    assert len(shown["aliases"]) == ALIASES


def test_keys(world: World, capsys):
    found = world.listed(capsys, "key", "list")["keys"]
    assert {item["key_id"] for item in found} == {a_uuid(n) for n in range(KEYS)}


def test_secrets(world: World, capsys):
    found = world.listed(capsys, "secret", "list")["secrets"]
    assert {item["name"] for item in found} == {f"NAME_{n}" for n in range(SECRETS)}


def test_log_events_of_several_environments_in_order(world: World, capsys):
    found = world.listed(capsys, "function", "logs", "--lines", "5000", "--since", "1h")["events"]
    assert [item["message"] for item in found] == [f"line {n}" for n in range(EVENTS)]
    newest = world.listed(capsys, "function", "logs", "--lines", "3", "--since", "1h")["events"]
    assert [item["message"] for item in newest] == ["line 997", "line 998", "line 999"]


def test_tables_are_whole_too(world: World, capsys):
    capsys.readouterr()
    assert execute(["alias", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("alias-") for line in lines) == ALIASES
