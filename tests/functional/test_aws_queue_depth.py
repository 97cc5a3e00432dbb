"""The depth of the queue on moto's SQS."""

from __future__ import annotations

import json

import boto3
from moto import mock_aws

from fal_serverless.aws.queue_depth import Depth, depth
from tests.functional.test_aws_identity import OneClient


class Queues(OneClient):
    def client(self, name):
        assert name == "sqs"
        return self._client


def test_messages_of_each_kind_are_counted(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("sqs", "us-east-1")
        dead = client.create_queue(QueueName="dead")["QueueUrl"]
        names = ["QueueArn"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=names)["Attributes"]
        policy = {"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": 10}
        url = client.create_queue(
            QueueName="queue", Attributes={"RedrivePolicy": json.dumps(policy)}
        )["QueueUrl"]
        for delay in (0, 0, 900):
            client.send_message(QueueUrl=url, MessageBody="m", DelaySeconds=delay)
        client.send_message(QueueUrl=dead, MessageBody="m")
        assert len(client.receive_message(QueueUrl=url)["Messages"]) == 1
        assert depth(Queues(client), url) == Depth(waiting=2, running=1, dead=1)
