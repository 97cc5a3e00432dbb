"""How full the stack's queue is, for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fal_serverless.aws.session import translated

if TYPE_CHECKING:
    from fal_serverless.aws.session import Session


@dataclass(frozen=True)
class Depth:
    """Messages, about (SQS counts them so).

    Attributes:
        waiting: to be worked on, now or after a pause.
        running: being worked on.
        dead: that could not be worked on.
    """

    waiting: int
    running: int
    dead: int


def count(session: Session, url: str) -> int:
    """How many messages a queue has, about.

    Raises:
        AwsError: it cannot be read.
    """
    wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    with translated("Reading a queue"):
        found = session.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=wanted)
    return sum(int(found["Attributes"].get(name, 0)) for name in wanted)


def depth(session: Session, url: str) -> Depth:
    """The depth of the queue at ``url`` and of its dead-letter queue.

    Raises:
        AwsError: it cannot be read.
    """
    client = session.client("sqs")
    with translated("Reading the queue"):
        found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        arn = json.loads(found["RedrivePolicy"])["deadLetterTargetArn"]
        dead = client.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        letters = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["All"])["Attributes"]

    def count(attributes: dict[str, str], name: str = "") -> int:
        return int(attributes.get(f"ApproximateNumberOfMessages{name}", 0))

    return Depth(
        waiting=count(found) + count(found, "Delayed"),
        running=count(found, "NotVisible"),
        dead=count(letters),
    )
