"""CloudWatch's metrics, Logs Insights and the use of keys: pages, throttling, nothing at all."""

from __future__ import annotations

from datetime import datetime, timezone

import boto3
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws

from fal_serverless.aws.insights import Insights
from fal_serverless.aws.key_uses import KeyUse, KeyUseReader, KeyUseWriter
from fal_serverless.aws.lambdas import LambdaFunctions
from fal_serverless.aws.logs import EVENTS_MAX, LambdaLogs
from fal_serverless.aws.metrics import LambdaMetrics
from fal_serverless.errors import AuthError, AwsError
from fal_serverless.gateway.uses import Use
from fal_serverless.usage.metrics import QUERY, Question
from fal_serverless.usage.model import Window

START = 1_800_000_000
WINDOW = Window(START, START + 3600, 300)
COUNT = Question("fal-f", "web", "Invocations", "Sum")
SPENT = Question("fal-f", "web", "Duration", "Sum", executed="3")
WHOLE = Question("fal-f", "web", "Duration", "p95", whole=True)


def a_client(service: str):
    made = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client(service, **made)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, timezone.utc)


def a_result(name: str, *points: tuple[float, float], status: str = "Complete"):
    moments = [at(seconds) for seconds, _ in points]
    values = [value for _, value in points]
    return {"Id": name, "Timestamps": moments, "Values": values, "StatusCode": status}


def asked(*queries, token: str = ""):
    found = {
        "MetricDataQueries": list(queries) or ANY,
        "StartTime": at(0),
        "EndTime": at(3600),
        "ScanBy": "TimestampAscending",
    }
    return {**found, "NextToken": token} if token else found


def a_query(name: str, metric: str, stat: str, period: int, **dimensions: str):
    named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    metric_of = {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": named}
    return {"Id": name, "MetricStat": {"Metric": metric_of, "Period": period, "Stat": stat}}


def test_metrics_are_asked_by_name_and_version_and_put_together_over_pages():
    client = a_client("cloudwatch")
    place = {"FunctionName": "fal-f", "Resource": "fal-f:web"}
    queries = (
        a_query("q0", "Invocations", "Sum", 300, **place),
        a_query("q1", "Duration", "Sum", 300, **place, ExecutedVersion="3"),
        a_query("q2", "Duration", "p95", 3600, **place),
    )
    with Stubber(client) as stub:
        first = [a_result("q0", (0, 1.0), status="PartialData"), a_result("q1")]
        stub.add_response(
            "get_metric_data", {"MetricDataResults": first, "NextToken": "more"}, asked(*queries)
        )
        rest = [a_result("q0", (600, 2.0), (300, 5.0)), a_result("q2", (0, 41.5))]
        stub.add_response(
            "get_metric_data", {"MetricDataResults": rest}, asked(*queries, token="more")
        )
        found = LambdaMetrics(client).get([COUNT, SPENT, WHOLE, COUNT], WINDOW)
        stub.assert_no_pending_responses()
    assert found == {
        COUNT: ((START, 1.0), (START + 300, 5.0), (START + 600, 2.0)),
        SPENT: (),
        WHOLE: ((START, 41.5),),
    }


def test_more_than_500_questions_are_several_calls():
    client = a_client("cloudwatch")
    questions = [Question("fal-f", f"a{n}", "Errors", "Sum") for n in range(1001)]
    with Stubber(client) as stub:
        for size in (500, 500, 1):
            results = [a_result(f"q{n}", (0, float(n))) for n in range(size)]
            stub.add_response("get_metric_data", {"MetricDataResults": results}, asked())
        found = LambdaMetrics(client).get(questions, WINDOW)
        stub.assert_no_pending_responses()
    assert found[questions[499]] == found[questions[999]] == ((START, 499.0),)
    assert found[questions[1000]] == ((START, 0.0),)
    assert LambdaMetrics(client).get([], WINDOW) == {}


def test_throttled_metrics_are_asked_again_and_then_given_up():
    client, pauses = a_client("cloudwatch"), []
    metrics = LambdaMetrics(client, sleep=pauses.append)
    with Stubber(client) as stub:
        stub.add_client_error("get_metric_data", "Throttling")
        stub.add_client_error("get_metric_data", "ThrottlingException")
        stub.add_response("get_metric_data", {"MetricDataResults": []}, asked())
        assert metrics.get([COUNT], WINDOW) == {COUNT: ()}
        assert pauses == [0.5, 1]
        for _ in range(6):
            stub.add_client_error("get_metric_data", "Throttling")
        with pytest.raises(AwsError) as given_up:
            metrics.get([COUNT], WINDOW)
        stub.assert_no_pending_responses()
    assert given_up.value.reason == "CloudWatch throttles: 6 tries in 15.5 s"
    assert "--since" in given_up.value.hint


def test_metrics_that_are_refused():
    client = a_client("cloudwatch")
    with Stubber(client) as stub:
        stub.add_client_error("get_metric_data", "AccessDenied", "no cloudwatch:GetMetricData")
        with pytest.raises(AuthError):
            LambdaMetrics(client).get([COUNT], WINDOW)
        said = {"MetricDataResults": [a_result("q0", status="InternalError")]}
        stub.add_response("get_metric_data", said, asked())
        with pytest.raises(AwsError, match="metrics"):
            LambdaMetrics(client).get([COUNT], WINDOW)


def test_metrics_on_moto():
    with mock_aws():
        client = a_client("cloudwatch")
        named = [
            {"Name": "FunctionName", "Value": "fal-f"},
            {"Name": "Resource", "Value": "fal-f:web"},
        ]
        now = datetime.now(timezone.utc).replace(second=0, microsecond=0)
        for value in (1.0, 2.0):
            client.put_metric_data(
                Namespace="AWS/Lambda",
                MetricData=[
                    {
                        "MetricName": "Invocations",
                        "Dimensions": named,
                        "Value": value,
                        "Timestamp": now,
                    }
                ],
            )
        start = int(now.timestamp()) - 600
        found = LambdaMetrics(client).get([COUNT, SPENT], Window(start, start + 1200, 60))
        assert sum(value for _, value in found[COUNT]) == 3
        assert found[SPENT] == ()


def begin(stub: Stubber, function: str, number: str):
    expected = {
        "logGroupName": f"/aws/lambda/{function}",
        "startTime": START,
        "endTime": START + 60,
        "queryString": QUERY,
    }
    stub.add_response("start_query", {"queryId": number}, expected)


def finish(stub: Stubber, number: str, status: str, rows=()):
    stub.add_response("get_query_results", {"status": status, "results": rows}, {"queryId": number})


def test_a_query_of_several_logs_runs_at_once_and_is_waited_for():
    client, pauses = a_client("logs"), []
    row = [{"field": "version", "value": "3"}, {"field": "lines", "value": "2"}, {"field": "kind"}]
    with Stubber(client) as stub:
        begin(stub, "fal-f", "one")
        stub.add_client_error("start_query", "ResourceNotFoundException")
        stub.add_client_error("start_query", "LimitExceededException")
        begin(stub, "fal-h", "two")
        finish(stub, "one", "Running")
        finish(stub, "one", "Complete", [row])
        finish(stub, "two", "Complete")
        found = Insights(client, sleep=pauses.append).ask(
            ["fal-f", "fal-g", "fal-h"], QUERY, START, START + 60.9
        )
        stub.assert_no_pending_responses()
    assert found == {"fal-f": [{"version": "3", "lines": "2"}], "fal-g": [], "fal-h": []}
    assert pauses == [0.5, 1.0]


def test_queries_that_fail_or_do_not_end():
    client = a_client("logs")
    insights = Insights(client, sleep=lambda _: None)
    with Stubber(client) as stub:
        begin(stub, "fal-f", "one")
        finish(stub, "one", "Timeout")
        with pytest.raises(AwsError) as failed:
            insights.ask(["fal-f"], QUERY, START, START + 60)
        assert "Timeout" in failed.value.reason
        begin(stub, "fal-f", "two")
        for _ in range(300):
            finish(stub, "two", "Running")
        stub.add_response("stop_query", {"success": True}, {"queryId": "two"})
        with pytest.raises(AwsError, match="too long"):
            insights.ask(["fal-f"], QUERY, START, START + 60)
        for _ in range(6):
            stub.add_client_error("start_query", "LimitExceededException")
        with pytest.raises(AwsError):
            insights.ask(["fal-f"], QUERY, START, START + 60)
        stub.assert_no_pending_responses()


def test_a_log_that_ends_without_a_word_after_10_000_events_is_read_on():
    client = a_client("logs")

    def lines(first: int, last: int):
        return [
            {"timestamp": n // 2, "logStreamName": "s", "message": "same"}
            for n in range(first, last)
        ]

    with Stubber(client) as stub:
        where = {"logGroupName": "/aws/lambda/fal-f"}
        stub.add_response(
            "filter_log_events", {"events": lines(2, EVENTS_MAX + 2)}, {**where, "startTime": 0}
        )
        again = {**where, "startTime": EVENTS_MAX // 2}
        stub.add_response("filter_log_events", {"events": lines(EVENTS_MAX, EVENTS_MAX + 9)}, again)
        found = LambdaLogs(client).since("fal-f", 0)
        stub.assert_no_pending_responses()
    assert [event.time for event in found] == [n // 2 for n in range(2, EVENTS_MAX + 9)]


@pytest.fixture
def table():
    with mock_aws():
        client = a_client("dynamodb")
        client.create_table(
            TableName="requests",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        )
        yield client


NOVEMBER = datetime(2026, 11, 2, 12, tzinfo=timezone.utc).timestamp()
DAY = 86_400


def test_uses_of_keys_add_up_over_days_and_months(table):
    write, read = KeyUseWriter(table, "requests"), KeyUseReader(table, "requests")
    write(Use("k", "2026-10-20", 100, 9, int(NOVEMBER) - 13 * DAY))
    write(Use("k", "2026-10-31", 5, 1, int(NOVEMBER) - 2 * DAY))
    write(Use("k", "2026-11-02", 2, 0, int(NOVEMBER) - 9))
    write(Use("k", "2026-11-02", 3, 2, int(NOVEMBER) - 5))
    write(Use("old", "2026-08-10", 7, 0, int(NOVEMBER) - 84 * DAY))
    found = read.read(["k", "old", "never"], NOVEMBER - 3 * DAY, NOVEMBER)
    assert found["k"] == KeyUse(10, 3, int(NOVEMBER) - 5)
    assert found["old"] == KeyUse(0, 0, int(NOVEMBER) - 84 * DAY)
    assert found["never"] == KeyUse(0, 0, None)
    assert read.read(["k"], NOVEMBER, NOVEMBER)["k"].requests == 5
    items = table.scan(TableName="requests")["Items"]
    assert sorted(item["pk"]["S"] for item in items) == [
        "KEYUSE#k#2026-10",
        "KEYUSE#k#2026-11",
        "KEYUSE#old#2026-08",
    ]
    november = next(item for item in items if item["pk"]["S"].endswith("11"))
    # Ninety days after the month.
    assert int(november["ttl"]["N"]) == datetime(2027, 3, 1, tzinfo=timezone.utc).timestamp()


def test_the_use_of_300_keys(table):
    write = KeyUseWriter(table, "requests")
    names = [f"k{number}" for number in range(300)]
    for number, name in enumerate(names):
        write(Use(name, "2026-11-02", number, 0, 1))
    found = KeyUseReader(table, "requests").read(names, NOVEMBER, NOVEMBER)
    assert [found[name].requests for name in names] == list(range(300))
    assert KeyUseReader(table, "requests").read([], NOVEMBER, NOVEMBER) == {}


def test_items_that_dynamodb_leaves_unread_are_asked_again():
    client, pauses = a_client("dynamodb"), []
    read = KeyUseReader(client, "requests", sleep=pauses.append)
    left = {"requests": {"Keys": [{"pk": {"S": "KEYUSE#k#2026-11"}}]}}
    item = {"pk": {"S": "KEYUSE#k#2026-11"}, "r02": {"N": "4"}, "last": {"N": "7"}}
    with Stubber(client) as stub:
        stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": left})
        stub.add_response(
            "batch_get_item", {"Responses": {"requests": [item]}}, {"RequestItems": left}
        )
        assert read.read(["k"], NOVEMBER, NOVEMBER) == {"k": KeyUse(4, 0, 7)}
        assert pauses == [0.1]
        for _ in range(6):
            stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": left})
        with pytest.raises(AwsError, match="use of keys"):
            read.read(["k"], NOVEMBER, NOVEMBER)
        stub.assert_no_pending_responses()


def test_uses_that_dynamodb_does_not_take():
    client = a_client("dynamodb")
    with Stubber(client) as stub:
        stub.add_client_error("update_item", "AccessDeniedException", "not yours")
        with pytest.raises(AwsError) as refused:
            KeyUseWriter(client, "requests")(Use("k", "2026-11-02", 1, 0, 1))
    assert "not yours" in refused.value.reason


def test_sizes_and_provisioned_concurrency():
    client = a_client("lambda")
    functions = LambdaFunctions(client)
    with Stubber(client) as stub:
        listed = [
            {"Version": "$LATEST", "MemorySize": 128},
            {
                "Version": "3",
                "MemorySize": 1769,
                "Architectures": ["arm64"],
                "EphemeralStorage": {"Size": 1024},
            },
        ]
        stub.add_response(
            "list_versions_by_function", {"Versions": listed}, {"FunctionName": "fal-f"}
        )
        assert functions.sizes("fal-f") == {
            "$LATEST": (128, "x86_64", 512),
            "3": (1769, "arm64", 1024),
        }
        ready = {
            "AvailableProvisionedConcurrentExecutions": 1,
            "RequestedProvisionedConcurrentExecutions": 2,
        }
        place = {"FunctionName": "fal-f", "Qualifier": "web"}
        stub.add_response("get_provisioned_concurrency_config", ready, place)
        assert functions.provisioned("fal-f", "web") == (1, 2)
        missing = "ProvisionedConcurrencyConfigNotFoundException"
        stub.add_client_error("get_provisioned_concurrency_config", missing)
        assert functions.provisioned("fal-f", "web") == (0, 0)
