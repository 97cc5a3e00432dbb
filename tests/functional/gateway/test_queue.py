"""The queue on moto's DynamoDB, SQS and S3: submit, work, ask; with functions that misbehave."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import boto3
import pytest
from moto import mock_aws

from fal_serverless.aws.queue_work import WorkStore
from fal_serverless.gateway.protocols import InvokeResult, Request, Route
from fal_serverless.gateway.queue import model
from fal_serverless.gateway.queue.deliver import Delivery
from fal_serverless.gateway.queue.forms import form_of
from fal_serverless.gateway.queue.front import Front
from fal_serverless.gateway.queue.webhook import PAUSES_S
from fal_serverless.gateway.queue.worker import Worker
from fal_serverless.gateway.target import resolve
from tests.support.moto import a_table

ROUTE = Route("fal-12-f-z", "call", "private", "serve", 30, "12", "rev-1")
TARGET = "12-call"
HOST = (b"host", b"12-call.gateway.localhost")


class Store(WorkStore):
    """Messages come at once; how late they should come is written down."""

    def __init__(self, *places, **more):
        super().__init__(*places, **more)
        self.sent = []

    def send(self, message, target, delay):
        self.sent.append((message, delay))
        super().send(message, target, 0)


@dataclass
class Clock:
    time: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


@dataclass
class World:
    store: Store
    clock: Clock
    route: Route | None = ROUTE
    results: list = field(default_factory=list)
    events: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    deliveries: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    during: object = None

    def __post_init__(self):
        self.front = Front(self.store, now=self.clock)
        self.worker = Worker(
            self.store, self, self, self.deliver, self.log, now=self.clock, beat=3600
        )
        self.sqs = boto3.client("sqs", "us-east-1")

    def read(self, target, key_id):
        assert (target, key_id) == (TARGET, None)
        return self.route, None

    def invoke(self, function, qualifier, payload, *, timeout):
        self.events.append((json.loads(payload), timeout))
        if self.during:
            self.during()
        return self.results.pop(0)

    def deliver(self, url, headers, body):
        self.calls.append((url, dict(headers), json.loads(body)))
        return self.deliveries.pop(0)

    def log(self, message, **fields):
        self.lines.append((message, fields))

    def form(self, path, method="GET"):
        return form_of(resolve("12-call.gateway.localhost", path, "gateway.localhost"), method)

    def submit(self, body=b"{}", path="", query=b"", headers=(), caller="12"):
        form = self.form(f"/fal/queue/submit{path}", "POST")
        request = Request("POST", path, query, (HOST, *headers), body, scheme="https")
        return self.front.submit(form, request, ROUTE, TARGET, caller)

    def accepted(self, *args, **more):
        answer = self.submit(*args, **more)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)["request_id"]

    def ask(self, request_id, what="status", query=b""):
        form = self.form(f"/fal/queue/requests/{request_id}/{what}")
        found = self.front.find(form, TARGET)
        request = Request("GET", "/", query, (HOST,), scheme="https")
        answer = getattr(self.front, what)(form, request, *found)
        return answer if what == "response" else json.loads(answer.body)

    def cancel(self, request_id):
        form = self.form(f"/fal/queue/requests/{request_id}/cancel", "PUT")
        return self.front.cancel(self.front.find(form, TARGET)[0])

    def step(self):
        """Work on one message; False when there is none."""
        url = self.store._url
        found = self.sqs.receive_message(QueueUrl=url).get("Messages", [])
        for message in found:
            self.worker.work(json.loads(message["Body"]), message["ReceiptHandle"], 900.0)
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bool(found)

    def finish(self, most=60):
        for _ in range(most):
            if not self.step():
                return
        raise AssertionError("there is always another message")


def answered(body="1", status=200, headers=(), **fal):
    said = {"statusCode": status, "body": body, "fal": {"headers": list(headers), **fal}}
    return InvokeResult("answered", 200, payload=json.dumps(said).encode())


def died(message="Runtime exited", kind="Runtime.ExitError"):
    payload = json.dumps({"errorMessage": message, "errorType": kind}).encode()
    return InvokeResult("answered", 200, function_error="Unhandled", payload=payload)


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        rows = boto3.client("dynamodb", "us-east-1")
        for table, keys in (("requests", ["pk"]), ("registry", ["pk", "sk"])):
            a_table(rows, table, *keys)
        url = boto3.client("sqs", "us-east-1").create_queue(QueueName="q")["QueueUrl"]
        boto3.client("s3", "us-east-1").create_bucket(Bucket="bucket")
        store = Store("requests", url, "bucket", registry="registry", region="us-east-1", limit=3)
        yield World(store, Clock())


def test_a_request_runs_and_is_answered(world):
    submitted = json.loads(world.submit(b'{"a": 1}', "/x", b"y=%20").body)
    request_id = submitted["request_id"]
    base = f"https://12-call.gateway.localhost/fal/queue/requests/{request_id}"
    assert submitted == {
        "request_id": request_id,
        "status": "IN_QUEUE",
        "queue_position": 0,
        "response_url": f"{base}/response",
        "status_url": f"{base}/status",
        "cancel_url": f"{base}/cancel",
    }
    assert world.ask(request_id)["status"] == "IN_QUEUE"
    assert world.ask(request_id, "response").status == 202
    world.results = [answered('{"b":2}', headers=[["content-type", "application/json"]])]

    def meanwhile():
        assert world.ask(request_id)["status"] == "IN_PROGRESS"
        assert world.ask(request_id, query=b"logs=1")["logs"] == []

    world.during = meanwhile
    world.finish()
    event, timeout = world.events[0]
    assert (event["rawPath"], event["rawQueryString"], event["body"]) == ("/x", "y=%20", '{"a": 1}')
    assert event["fal"]["request_id"] == request_id
    assert set(event["fal"]["job"]) == {"answer", "logs"}
    assert timeout == 40
    status = world.ask(request_id)
    assert status["status"] == "COMPLETED"
    assert "error" not in status
    answer = world.ask(request_id, "response")
    assert (answer.status, answer.body, answer.revision) == (200, b'{"b":2}', "rev-1")
    assert answer.request_id == request_id


def test_positions_count_those_before(world):
    ids = [world.accepted() for _ in range(3)]
    assert [world.ask(i)["queue_position"] for i in ids] == [0, 1, 2]
    world.results = [answered()]
    world.step()
    assert [world.ask(i).get("queue_position") for i in ids] == [None, 0, 1]


def test_a_full_queue_takes_no_more_until_one_is_begun(world):
    for _ in range(3):
        world.accepted()
    refused = world.submit()
    assert refused.status == 429
    assert (b"retry-after", b"5") in refused.headers
    world.results = [answered()]
    world.step()
    world.accepted()
    assert world.submit().status == 429


def test_large_bodies_travel_by_s3(world):
    body = b"x" * 5_000_000
    request_id = world.accepted(body)
    world.results = [answered("y" * 40_000)]
    world.finish()
    event, _ = world.events[0]
    assert event.get("body") is None
    assert f"requests/{request_id}/body" in event["fal"]["job"]["body"]
    objects = boto3.client("s3", "us-east-1")
    assert objects.get_object(Bucket="bucket", Key=f"requests/{request_id}/body")[
        "Body"
    ].read() == (body)
    assert world.ask(request_id, "response").body == b"y" * 40_000


def test_an_answer_that_lambda_cannot_carry_is_fetched_from_where_it_lies(world):
    request_id = world.accepted()
    world.results = [answered("", headers=[["content-type", "image/png"]], stored=20_000_000)]
    world.finish()
    answer = world.ask(request_id, "response")
    assert answer.status == 307
    place = dict(answer.headers)[b"location"].decode()
    assert f"requests/{request_id}/answer" in place
    assert "image%2Fpng" in place


def test_a_function_that_raises_is_not_run_again(world):
    request_id = world.accepted()
    body = json.dumps({"detail": "no", "error_type": "ValueError"})
    world.results = [answered(body, 500, error_type="ValueError")]
    world.finish()
    status = world.ask(request_id)
    assert (status["status"], status["error"], status["error_type"]) == (
        "COMPLETED",
        "no",
        "ValueError",
    )
    answer = world.ask(request_id, "response")
    assert (answer.status, json.loads(answer.body)["detail"]) == (500, "no")
    assert dict(answer.headers)[b"x-fal-error-type"] == b"ValueError"


def test_a_function_that_dies_is_run_three_times(world):
    request_id = world.accepted()
    world.results = [died(), InvokeResult("failed", reason="reset"), died()]
    world.finish()
    assert [delay for message, delay in world.store.sent[1:]] == [1, 2]
    status = world.ask(request_id)
    assert (status["status"], status["error_type"]) == ("COMPLETED", "Runtime.ExitError")
    assert world.ask(request_id, "response").status == 502


def test_one_that_recovers_is_answered(world):
    request_id = world.accepted()
    world.results = [died(), answered("7")]
    world.finish()
    assert world.ask(request_id, "response").body == b"7"


def test_a_timeout_is_final(world):
    request_id = world.accepted()
    world.results = [died("Task timed out after 30.00 seconds", "Sandbox.Timedout")]
    world.finish()
    assert world.ask(request_id)["error"] == "The function exceeded its timeout of 30 s."
    assert world.ask(request_id, "response").status == 504


def test_a_throttled_request_waits_longer_each_time_and_is_not_counted(world):
    request_id = world.accepted()
    world.results = [InvokeResult("throttled", 429)] * 8 + [answered("1")]
    world.finish()
    assert [delay for _, delay in world.store.sent[1:]] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert world.ask(request_id)["status"] == "COMPLETED"
    assert "error" not in world.ask(request_id)


def test_the_worker_that_died_holding_a_request_is_followed_by_another(world):
    request_id = world.accepted()
    job = world.store.load(request_id)
    assert world.store.claim(job, "dead", world.clock.time + 30)
    world.step()
    assert world.events == []
    assert world.store.sent[-1] == ({"request": request_id}, 31)
    assert world.ask(request_id)["status"] == "IN_PROGRESS"
    world.clock.time += 31
    world.results = [answered("1")]
    world.finish()
    assert world.ask(request_id)["status"] == "COMPLETED"
    assert not world.store.finish(job, "dead", model.CANCELLED, world.clock.time)


def test_messages_that_come_twice_run_once(world):
    request_id = world.accepted()
    world.store.send({"request": request_id}, TARGET, 0)
    world.results = [answered("1")]
    world.finish()
    assert len(world.events) == 1


def test_a_request_that_was_lost_too_often_ends(world):
    request_id = world.accepted()
    for _ in range(3):
        assert world.store.claim(world.store.load(request_id), "dead", world.clock.time + 30)
        world.clock.time += 31
    world.finish()
    assert world.ask(request_id)["error_type"] == "crashed"


def test_a_request_that_nobody_comes_back_for_is_shown_as_lost(world):
    request_id = world.accepted()
    world.store.claim(world.store.load(request_id), "dead", world.clock.time + 30)
    world.clock.time += 30 + model.LOST_S + 1
    assert world.ask(request_id)["error_type"] == "lost"
    assert world.ask(request_id, "response").status == 502


def test_a_request_waits_no_longer_than_its_caller_wants(world):
    request_id = world.accepted(headers=((b"x-fal-request-timeout", b"5"),))
    world.clock.time += 6
    assert world.ask(request_id)["error_type"] == "start_timeout"
    world.finish()
    answer = world.ask(request_id, "response")
    assert answer.status == 504
    assert dict(answer.headers)[b"x-fal-request-timeout-type"] == b"user"
    assert world.events == []


@pytest.mark.parametrize("said", [b"soon", b"-1", b"0", b"nan", b"inf"])
def test_a_nonsensical_limit_is_refused(world, said):
    assert world.submit(headers=((b"x-fal-request-timeout", said),)).status == 422
    assert world.store.sent == []


def test_cancelled_before_it_began_it_never_runs(world):
    request_id = world.accepted()
    assert world.cancel(request_id).status == 202
    assert world.cancel(request_id).status == 400
    world.finish()
    assert world.events == []
    assert world.ask(request_id)["error_type"] == "cancelled"
    assert world.ask(request_id, "response").status == 410


def test_cancelled_while_it_runs_its_answer_is_dropped(world):
    request_id = world.accepted()
    world.results = [answered("1")]
    world.during = lambda: world.cancel(request_id)
    world.finish()
    assert len(world.events) == 1
    assert world.ask(request_id)["error_type"] == "cancelled"
    assert world.lines[-1][0] == "dropped"


def test_cancelled_after_its_end_it_keeps_its_answer(world):
    request_id = world.accepted()
    world.results = [answered("1")]
    world.finish()
    answer = world.cancel(request_id)
    assert (answer.status, json.loads(answer.body)["status"]) == (400, "ALREADY_COMPLETED")
    assert world.ask(request_id, "response").body == b"1"


def test_a_function_that_was_deleted_meanwhile(world):
    request_id = world.accepted()
    world.route = None
    world.finish()
    assert world.ask(request_id)["error_type"] == "deleted"


def test_requests_of_other_targets_are_not_found(world):
    request_id = world.accepted()
    assert world.front.find(world.form(f"/fal/queue/requests/{request_id}/status"), "12-x") is None


HOOK = b"fal_webhook=https%3A%2F%2Fhooks.example.com%2Fa"


def test_a_webhook_brings_the_answer(world):
    request_id = world.accepted(query=b"a=1&" + HOOK)
    world.results, world.deliveries = [answered('{"b":2}')], [Delivery(True, "answered 200")]
    world.finish()
    assert world.events[0][0]["rawQueryString"] == "a=1"
    [(url, headers, said)] = world.calls
    assert url == "https://hooks.example.com/a"
    assert said == {"request_id": request_id, "status": "OK", "payload": {"b": 2}}
    assert "webhook-signature" not in headers
    assert world.store.load(request_id).notify is False


def test_a_webhook_is_signed_with_its_callers_secrets(world):
    item = {
        "pk": {"S": "USER#99"},
        "sk": {"S": "WEBHOOK"},
        "secret": {"S": "whsec_bmV3"},
        "previous": {"S": "whsec_b2xk"},
        "previous_until": {"N": str(world.clock.time + 10)},
    }
    boto3.client("dynamodb", "us-east-1").put_item(TableName="registry", Item=item)
    world.accepted(query=HOOK, caller="99")
    world.results = [answered()]
    world.deliveries = [Delivery(False, "answered 500"), Delivery(True, "answered 200")]
    world.step()
    world.step()
    world.clock.time += 11
    world.finish()
    signatures = [headers["webhook-signature"].split(" ") for _, headers, _ in world.calls]
    assert [len(found) for found in signatures] == [2, 1]


def test_a_webhook_that_fails_is_tried_for_two_hours(world):
    world.accepted(query=HOOK)
    world.results = [answered()]
    world.deliveries = [Delivery(False, "answered 500")] * (len(PAUSES_S) + 1)
    world.finish()
    assert len(world.calls) == len(PAUSES_S) + 1
    assert tuple(delay for _, delay in world.store.sent[2:]) == PAUSES_S
    assert world.lines[-1][1]["given_up"]


def test_a_webhook_that_must_not_be_called_is_not_tried_again(world):
    world.accepted(query=HOOK)
    world.results = [answered()]
    world.deliveries = [Delivery(False, "resolves into a private network", final=True)]
    world.finish()
    assert len(world.calls) == 1


def test_a_webhook_is_called_although_the_worker_died_before_setting_it_going(world):
    request_id = world.accepted(query=HOOK)
    job = world.store.load(request_id)
    world.store.claim(job, "dead", world.clock.time + 30)
    assert world.store.finish(job, "dead", model.Finished(status=200), world.clock.time)
    world.deliveries = [Delivery(True, "answered 204")]
    world.finish()
    assert len(world.calls) == 1


def test_a_cancelled_request_tells_its_webhook(world):
    request_id = world.accepted(query=HOOK)
    world.deliveries = [Delivery(True, "answered 200")]
    world.cancel(request_id)
    world.finish()
    assert world.calls[0][2]["error_type"] == "cancelled"


@pytest.mark.parametrize(
    "hook", [b"fal_webhook=http://h.example/", b"fal_webhook=https://10.0.0.1"]
)
def test_webhooks_into_private_networks_are_refused_at_once(world, hook):
    assert world.submit(query=hook).status == 422
    assert world.store.sent == []
