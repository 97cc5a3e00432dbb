"""Calls of a decorated function, and of the same environment by boto3; figures in ms on stderr."""

import json
import sys
import time

import boto3

from fal_serverless import isolated
from fal_serverless.remote import calls
from fal_serverless.remote.fanout import runner

COUNT = 40
ARGUMENTS = "gASVCQAAAAAAAABLAYWUfZSGlC4="
"""``((1,), {})``, pickled and in base64."""


@isolated
def same(x):
    print(x)
    return x


@isolated
def changed(x):
    print("changed", x)
    return x


def took(work, count=1):
    began = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - began) / count * 1e3


def main():
    # A timeout of its own makes an environment of its own.
    timeout = int(sys.argv[1])
    ours, other = same.on(timeout=timeout), changed.on(timeout=timeout)
    found = {"first": took(lambda: ours(0)), "second": took(lambda: ours(0))}
    found["changed"] = took(lambda: other(0))
    run = runner(ours)
    event = json.dumps({**calls.event_of(run.function), "arguments": ARGUMENTS})
    client = boto3.client(
        "lambda",
        endpoint_url=sys.argv[2],
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )

    def bare():
        client.invoke(FunctionName=run.environment, Payload=event)["Payload"].read()

    bare()
    found["call"] = took(lambda: ours(1), COUNT)
    found["bare"] = took(bare, COUNT)
    found["map"] = took(lambda: list(ours.map(range(COUNT), concurrency=4))) / COUNT
    sys.stderr.write("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
