"""Aliases on AWS's side: the calls of a rollback, weights, tokens and alarms, long lists."""

from __future__ import annotations

import dataclasses

import boto3
import pytest
from botocore.stub import Stubber

from fal_serverless.aws import records
from fal_serverless.aws.alarms import MetricAlarms, metrics
from fal_serverless.aws.lambdas import LambdaFunctions
from fal_serverless.errors import AuthError, ConflictError
from fal_serverless.publish import aliases, moves, removal, splits
from fal_serverless.publish.retention import dispensable, needed
from fal_serverless.publish.state import Event, Rule, Watched, route_of
from tests.fakes import OWNER, FakeClock, a_revision
from tests.support.moto import GUARD, KEYS, cloud
from tests.unit.publish.test_aliases import an_alias

WATCHED = Watched(function="fal-f", alias="web", version="7", percent=2.5)


@pytest.fixture
def aws():
    with cloud() as found:
        yield found


def revisions(aws, count, function="fal-f", **changes):
    """Revisions of one function, oldest first, each a version of its own."""
    aws.make_function(function)
    made = []
    for number in range(count):
        version = aws.publish(function)
        revision = dataclasses.replace(
            a_revision(f"{function}-{number:04}", version, function), **changes
        )
        aws.registry.add_revision(revision, route_of(revision))
        made.append(revision)
    return made


def move(aws, revision, *, name="web", action="serve", known=None, **more):
    return aliases.move(
        aws.registry,
        aws.functions,
        revision,
        name,
        auth=None,
        now="2026-01-01T00:00:00Z",
        action=action,
        by="arn:me",
        known=known,
        **more,
    )


def roll_back(aws):
    """What ``alias rollback`` does, once it knows the stack and the caller."""
    parts = (aws.registry, aws.functions, aws.alarms, FakeClock())
    return moves.roll_back(*parts, OWNER, "web", by="arn:me")


def alarms_of(aws):
    found = aws.alarms.client.describe_alarms(AlarmNamePrefix="s-split-")["MetricAlarms"]
    return tuple(item["AlarmName"] for item in found)


def test_a_rollback_is_four_calls(aws):
    first, second = revisions(aws, 2)
    move(aws, first)
    move(aws, second)
    aws.called.clear()
    assert roll_back(aws).revision == first.id
    assert aws.called == ["GetItem", "GetItem", "UpdateAlias", "TransactWriteItems"]
    assert aws.functions.aliases("fal-f") == {"web": first.version}


def test_a_rollback_out_of_a_watched_split_is_six_calls(aws):
    first, second = revisions(aws, 2)
    move(aws, first)
    alias = move(aws, second)
    parts = (aws.registry, aws.functions, aws.alarms)
    begun = splits.begin(*parts, alias, first, 10, now="", by="", abort_on_errors=5, stack="s")
    assert aws.registry.alias(OWNER, "web") == begun
    assert alarms_of(aws) == (begun.alarm,)
    live = aws.functions.client.get_alias(FunctionName="fal-f", Name="web")
    assert live["RoutingConfig"]["AdditionalVersionWeights"] == {first.version: 0.1}
    assert live["FunctionVersion"] == second.version
    aws.called.clear()
    moved = roll_back(aws)
    assert aws.called[:4] == ["GetItem", "GetItem", "UpdateAlias", "TransactWriteItems"]
    assert aws.called[4:] == ["DeleteAlarms", "TransactWriteItems"]
    assert alarms_of(aws) == ()
    live = aws.functions.client.get_alias(FunctionName="fal-f", Name="web")
    assert not live.get("RoutingConfig", {}).get("AdditionalVersionWeights")
    left = aws.registry.alias(OWNER, "web")
    assert (left.split, left.alarm, left.revision) == (None, "", moved.revision)
    assert [event.action for event in left.events] == ["rollback", "split", "serve", "serve"]


def test_an_alias_does_not_point_at_a_revision_that_is_gone(aws):
    first, second = revisions(aws, 2)
    move(aws, first)
    known = move(aws, second)
    aws.registry.delete_revision(OWNER, first.id)
    with pytest.raises(Exception, match="was not moved"):
        move(aws, first, action="rollback", known=known)
    assert aws.functions.aliases("fal-f") == {"web": second.version}
    assert aws.registry.alias(OWNER, "web").revision == second.id


def test_the_alarm_as_cloudwatch_keeps_it(aws):
    aws.alarms.put("s-split-1-web-0", WATCHED)
    (alarm,) = aws.alarms.client.describe_alarms()["MetricAlarms"]
    assert alarm["AlarmActions"] == [GUARD]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (2.5, "GreaterThanThreshold")
    assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (3, 1)
    assert alarm["TreatMissingData"] == "notBreaching"
    aws.alarms.delete("s-split-1-web-0")
    aws.alarms.delete("s-split-1-web-0")
    assert alarms_of(aws) == ()


def test_what_an_alarm_watches():
    rate, *counted = metrics(WATCHED)
    assert rate["ReturnData"]
    assert [item["Id"] for item in counted] == ["errors", "failures", "invocations"]
    assert all(item["Id"] in rate["Expression"] for item in counted)
    for item in counted:
        assert not item["ReturnData"]
        assert item["MetricStat"]["Metric"]["Dimensions"] == [
            {"Name": "FunctionName", "Value": "fal-f"},
            {"Name": "Resource", "Value": "fal-f:web"},
            {"Name": "ExecutedVersion", "Value": "7"},
        ]


@pytest.fixture
def stubbed():
    client = boto3.client("lambda", **KEYS)
    with Stubber(client) as stub:
        yield stub, LambdaFunctions(client, sleep=lambda _: None)
        stub.assert_no_pending_responses()


def test_weights_are_fractions_and_leave_the_version_alone(stubbed):
    stub, functions = stubbed
    config = {"AdditionalVersionWeights": {"7": 0.05}}
    place = {"FunctionName": "fal-f", "Name": "web"}
    stub.add_response("update_alias", {}, {**place, "RoutingConfig": config, "RevisionId": "r"})
    functions.weigh_alias("fal-f", "web", ("7", 5), token="r")
    none = {"AdditionalVersionWeights": {}}
    stub.add_response("update_alias", {}, {**place, "RoutingConfig": none})
    functions.weigh_alias("fal-f", "web", None)


def test_an_alias_that_somebody_moved_is_not_split(stubbed):
    stub, functions = stubbed
    stub.add_client_error("update_alias", "PreconditionFailedException", "changed", 412)
    with pytest.raises(ConflictError, match="Splitting the alias 'web'"):
        functions.weigh_alias("fal-f", "web", ("7", 5), token="r")


def test_an_alarm_that_may_not_be_made():
    client = boto3.client("cloudwatch", **KEYS)
    with Stubber(client) as stub:
        stub.add_client_error("put_metric_alarm", "AccessDenied", "no PutMetricAlarm", 403)
        with pytest.raises(AuthError, match="Making the alarm 's-split-1-web-0'") as caught:
            MetricAlarms(client, GUARD).put("s-split-1-web-0", WATCHED)
    assert "deployer-policy" in caught.value.hint


def test_sixty_revisions_of_several_pages_are_all_seen_and_pruned(aws):
    made = revisions(aws, 60, message="x" * 20_000)
    aws.called.clear()
    found = aws.registry.revisions(OWNER)
    assert [item.id for item in found] == [item.id for item in reversed(made)]
    assert aws.called == ["Query", "Query"]
    alias = move(aws, made[3])
    doomed = dispensable(found, needed(found, [alias], ()), keep=10, older_than=0, now=2e9)
    assert [item.id for item in doomed] == [item.id for item in made[:50] if item != made[3]]
    removal.delete_revisions(aws.registry, aws.functions, doomed)
    left = [made[3], *made[50:]]
    assert aws.functions.versions("fal-f") == tuple(item.version for item in left)
    assert {item.id for item in aws.registry.revisions(OWNER)} == {item.id for item in left}


def test_a_hundred_and_twenty_aliases_of_several_pages_are_all_seen(aws):
    event = Event(at="2026-01-01T00:00:00Z", action="serve", by="arn:" + "x" * 500, revision="r")
    names = [f"alias-{number:03}" for number in range(120)]
    for name in names:
        alias = an_alias(name=name, events=(event,) * 20)
        aws.registry.client.put_item(TableName="t", Item=records.alias_item(alias))
    aws.called.clear()
    found = aws.registry.aliases(OWNER)
    assert [item.name for item in found] == names
    assert found[119].events == (event,) * 20
    assert aws.called == ["Query", "Query"]


def test_lambdas_lists_are_read_to_their_end(stubbed):
    stub, functions = stubbed
    for first, marker in ((1, {}), (51, {"Marker": "m"})):
        numbers = [str(number) for number in range(first, first + 50)]
        page = {"Versions": [{"Version": item} for item in numbers]}
        more = {"NextMarker": "m"} if first == 1 else {}
        stub.add_response(
            "list_versions_by_function", {**page, **more}, {"FunctionName": "fal-f", **marker}
        )
    assert functions.versions("fal-f") == tuple(str(number) for number in range(1, 101))
    for first, marker in ((0, {}), (50, {"Marker": "m50"}), (100, {"Marker": "m100"})):
        numbers = range(first, first + 50)
        listed = [{"Name": f"a{number}", "FunctionVersion": "1"} for number in numbers]
        page = {"Aliases": listed, **({"NextMarker": f"m{first + 50}"} if first < 100 else {})}
        stub.add_response("list_aliases", page, {"FunctionName": "fal-f", **marker})
    assert len(functions.aliases("fal-f")) == 150
    for first, marker in ((0, {}), (50, {"Marker": "m"})):
        listed = [{"FunctionName": f"fal-{number}"} for number in range(first, first + 50)]
        page = {"Functions": listed, **({"NextMarker": "m"} if first == 0 else {})}
        stub.add_response("list_functions", page, marker)
    assert len(functions.names("fal-")) == 100


def test_retention_rules_are_kept_by_function(aws):
    rule = Rule(owner=OWNER, name="f", keep=10, keep_days=30, by="arn:me", at="now")
    aws.registry.put_rule(Rule(owner=OWNER, name="g", keep=1))
    aws.registry.put_rule(Rule(owner=OWNER, name="f", keep=2))
    aws.registry.put_rule(rule)
    assert aws.registry.rule(OWNER, "f") == rule
    assert [item.name for item in aws.registry.rules(OWNER)] == ["f", "g"]
    assert aws.registry.rules("7654321") == ()
    aws.registry.delete_rule(OWNER, "f")
    aws.registry.delete_rule(OWNER, "f")
    assert aws.registry.rule(OWNER, "f") is None
