"""The manager as it is built for Lambda: its files are enough, and it answers an event."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fal_serverless import stack

EVENT = {
    "version": "2.0",
    "rawPath": "/v1/me",
    "rawQueryString": "",
    "headers": {"host": "api.gateway.example.com", "x-forwarded-proto": "https"},
    "requestContext": {
        "http": {"method": "GET", "path": "/v1/me", "protocol": "HTTP/1.1"},
        "requestId": "r-1",
        "authorizer": {"lambda": {"owner": "12", "key": "k", "scope": "ADMIN", "prefix": ""}},
    },
    "isBase64Encoded": False,
}
PROGRAM = """
import json, sys
import fal_serverless
from fal_serverless.manage.lambda_handler import handler
assert fal_serverless.__file__.startswith(sys.argv[1]), fal_serverless.__file__
for event in json.loads(sys.argv[2]):
    print(json.dumps(handler(event, None)), file=sys.stderr)
from fal_serverless.gateway import lambda_handler
from fal_serverless.gateway.queue import lambda_handler
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    target = tmp_path_factory.mktemp("built")
    words = [sys.executable, str(stack.root() / "infra" / "build.py"), "function", str(target)]
    subprocess.run(words, check=True, env={"FAL_PYTHON": "3.99", "PATH": ""})
    return target


def test_the_built_files_are_enough(built):
    unknown = json.loads(json.dumps(EVENT))
    unknown["requestContext"]["http"]["path"] = unknown["rawPath"] = "/v2"
    forged = json.loads(json.dumps(EVENT))
    del forged["requestContext"]["authorizer"]
    forged["headers"]["authorization"] = "Key k:s"
    words = ["-W", "error", "-c", PROGRAM, str(built), json.dumps([EVENT, unknown, forged])]
    ran = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        cwd=built,
        env={
            "PYTHONPATH": str(built),
            "FAL_TABLE": "t",
            "FAL_STACK": "s",
            "AWS_REGION": "eu-west-1",
        },
    )
    assert ran.returncode == 0, ran.stderr
    answers = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [answer["statusCode"] for answer in answers] == [200, 404, 401]
    assert json.loads(answers[0]["body"]) == {"user_id": "12", "key_id": "k", "scope": "ADMIN"}
    assert "by way of the gateway" in answers[2]["body"]
    logged = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(line["status"], line["user"], line["key"]) for line in logged] == [
        (200, "12", "k"),
        (404, "12", "k"),
        (401, "", ""),
    ]
    assert logged[0]["request_id"] == "r-1"
