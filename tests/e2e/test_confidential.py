"""Values of secrets reach the function, and keys the gateway; nothing else ever holds them."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import uuid
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.e2e.conftest import COMMAND, Ran

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TEXT = """
import hashlib, os
from fal_serverless import isolated

@isolated(serve=True, secrets=["CONFIDENTIAL"])
def confidential(do: str = "") -> str:
    print("asked to", do)
    if do == "die":
        os._exit(3)
    if do == "raise":
        raise ValueError("raised")
    return hashlib.sha256(os.environ["CONFIDENTIAL"].encode()).hexdigest()
"""


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


class Places:
    """Everything that a value might have got into, on the emulator and on disk."""

    def __init__(self, stack: Stack) -> None:
        self.home = Path(stack.environ["FAL_HOME"])
        self.url = stack.run("local", "status", "--json").json()["endpoint_url"]

    def client(self, service: str):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def all(self) -> dict[str, str]:
        return {
            **self.configurations(),
            **self.logs(),
            **self.objects(),
            "table": str(self.items()),
            **self.files(),
        }

    def items(self) -> list[dict]:
        pages = self.client("dynamodb").get_paginator("scan")
        tables = self.client("dynamodb").list_tables()["TableNames"]
        return [
            item
            for table in tables
            for page in pages.paginate(TableName=table)
            for item in page["Items"]
        ]

    def configurations(self) -> dict[str, str]:
        pages = (
            self.client("lambda").get_paginator("list_functions").paginate(FunctionVersion="ALL")
        )
        return {
            f"configuration of {item['FunctionArn']}": json.dumps(item, default=str)
            for page in pages
            for item in page["Functions"]
        }

    def logs(self) -> dict[str, str]:
        client = self.client("logs")
        groups = client.get_paginator("describe_log_groups").paginate()
        names = [item["logGroupName"] for page in groups for item in page["logGroups"]]
        return {
            f"log {name}": str(
                [
                    event["message"]
                    for page in client.get_paginator("filter_log_events").paginate(
                        logGroupName=name
                    )
                    for event in page["events"]
                ]
            )
            for name in names
        }

    def objects(self) -> dict[str, str]:
        client, found = self.client("s3"), {}
        for bucket in client.list_buckets()["Buckets"]:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
            for item in (item for page in pages for item in page.get("Contents", [])):
                if "bundles/" not in item["Key"]:
                    continue
                body = client.get_object(Bucket=bucket["Name"], Key=item["Key"])["Body"].read()
                with zipfile.ZipFile(io.BytesIO(body)) as archive:
                    text = b"".join(archive.read(name) for name in archive.namelist())
                found[f"object {item['Key']}"] = text.decode("latin-1")
        return found

    def files(self) -> dict[str, str]:
        """The embedded stack's own files but the emulator's store of parameters."""
        found = {}
        for path in self.home.rglob("*"):
            inside = path.relative_to(self.home).parts
            if "emulator-venv" in inside or not path.is_file() or path.name == "ssm.json":
                continue
            if path.stat().st_size < 4_000_000:
                found[f"file {path}"] = path.read_bytes().decode("latin-1")
        return found


def told(places: dict[str, str], value: str) -> list[str]:
    return [name for name, text in places.items() if value in text]


class Shell:
    """Runs the command with --debug, and keeps all that it said."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.said: dict[str, str] = {}

    def run(self, *words: str, typed: str | None = None, status: int = 0) -> Ran:
        ran = subprocess.run(
            [COMMAND, "--debug", *words],
            env=self.stack.environ,
            input=typed,
            capture_output=True,
            text=True,
            timeout=240,
        )
        name = f"{len(self.said)} {' '.join(words[:2])}"
        self.said[name] = ran.stdout + ran.stderr
        assert ran.returncode == status, ran.stderr
        return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def shell(stack: Stack):
    return Shell(stack)


def test_a_secret_is_rotated_without_a_revision_and_told_nowhere(stack: Stack, shell, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(TEXT, encoding="utf-8")
    refused = stack.run("function", "serve", str(file), "confidential", ok=False)
    assert refused.status == 3
    assert "secret set CONFIDENTIAL" in refused.errors

    first, second = f"first-{uuid.uuid4().hex}", f"second-{uuid.uuid4().hex}"
    shell.run("secret", "set", "CONFIDENTIAL", first)
    shell.run("function", "serve", str(file), "confidential", "--dry-run")
    shell.run("function", "serve", str(file), "confidential", "--alias", "confidential", "--json")

    def call(do: str = ""):
        return stack.call("confidential", body={"do": do}, headers=stack.key)

    before = call()
    assert before.json() == digest(first)
    shell.run("secret", "set", "CONFIDENTIAL", typed=second + "\n")
    # An environment that runs keeps its value; the next one has the new one, of the same revision.
    assert call().json() == digest(first)
    assert call("raise").status == 500
    assert call("die").status == 502
    after = call()
    assert after.json() == digest(second)
    assert after.header("x-fal-revision") == before.header("x-fal-revision")

    for words in (
        ("secret", "list"),
        ("function", "show", "confidential"),
        ("function", "list"),
        ("function", "logs", "confidential"),
        ("doctor",),
    ):
        shell.run(*words)
    # Failures: a value that is too long, one that is not quoted, one that looks like an option.
    shell.run("secret", "set", "CONFIDENTIAL", first * 200, status=2)
    shell.run("secret", "set", "CONFIDENTIAL", "some", first, status=2)
    shell.run("secret", "set", "CONFIDENTIAL", f"--{first}", status=2)
    shell.run("secret", "set", "FAL_USER", first, status=2)

    places = {**Places(stack).all(), **shell.said}
    # The search finds what is there.
    revision = after.header("x-fal-revision")
    there = {"configuration": revision, "log": "asked to die", "object": "CONFIDENTIAL"}
    for kind, text in there.items():
        assert any(name.startswith(kind) for name in told(places, text)), kind
    assert told(places, first) == []
    assert told(places, second) == []
    shell.run("secret", "delete", "CONFIDENTIAL")
    assert told(shell.said, second) == []


PRINTING = """
from fal_serverless import isolated

@isolated(exposed_port=8080)
def printing():
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"{self.path} {self.headers}".encode()
            print("received", body)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    HTTPServer(("", 8080), Handler).serve_forever()
"""


def test_keys_and_the_webhook_secret_are_told_once(stack: Stack, shell, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PRINTING, encoding="utf-8")
    stack.serve(file, "printing", "--alias", "printing")
    made = stack.run("key", "generate", "--scope", "API", "--json").json()
    ident, secret = made["key_id"], made["key_secret"]
    webhook = stack.run("key", "webhook-secret", "--json").json()["secret"]
    answers = [
        stack.call(
            "printing", "GET", "/h", headers={"X-Fal-Key-Id": ident, "X-Fal-Key-Secret": secret}
        ),
        stack.call("printing", "GET", "/a", headers={"Authorization": f"Key {ident}:{secret}"}),
        stack.call("printing", "GET", f"/q?a=1&fal_key_id={ident}&fal_key_secret={secret}"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200]
    wrong = stack.call("printing", "GET", f"/w?fal_key_id={ident}&fal_key_secret={secret}x")
    assert wrong.status == 401
    answers.append(wrong)
    shell.run("key", "list")
    shell.run("function", "logs", "printing")
    shell.run("doctor")
    shell.run("key", "revoke", ident)
    shell.run("key", "revoke", str(uuid.uuid4()), status=3)
    found = Places(stack)
    places = {
        **found.all(),
        **shell.said,
        **{f"answer {n}": f"{a.headers}{a.body!r}" for n, a in enumerate(answers)},
    }
    assert told(places, "received b'/a")
    assert told(places, secret) == []
    # Webhooks are signed with it, so that it has a record: in the registry, and nowhere else.
    assert set(told(places, webhook)) <= {"table"} | {
        name for name in places if name.endswith("dynamodb.json")
    }
    owners = [item["sk"]["S"] for item in found.items() if webhook in str(item)]
    assert owners == ["WEBHOOK"]
