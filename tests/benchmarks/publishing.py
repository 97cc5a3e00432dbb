"""From a changed line to a live version, on the embedded stack; and what ``--dry-run`` takes.

All of them have published the function before, with the same requirements, and their caches are
warm: only a line of the function is another one each time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.peers import (
    PROGRAMS,
    Goal,
    Row,
    clean,
    compared,
    in_turn,
    interpreter,
    times_less,
    under,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 5
SLOW_ROUNDS = 3
REQUIREMENTS = ("fastapi", "mangum")
COMMAND = str(Path(sys.executable).parent / "fal-serverless")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
OURS = """
from fal_serverless import isolated
@isolated(serve=True, requirements={requirements!r})
def echo(text):
    return text + "{mark}"
"""
PLAIN = """
def handler(event, context):
    return {{"statusCode": 200, "body": "{mark}"}}
"""
CHALICE = """
from chalice import Chalice
app = Chalice(app_name="echo")
@app.route("/", methods=["POST"])
def echo():
    return app.current_request.json_body["text"] + "{mark}"
"""
TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Runtime: {python}
      Role: {role}
      AutoPublishAlias: live
"""


@contextmanager
def stack(home: str):
    """(environment of our command, the emulator's address) of an embedded stack."""
    environ = {**clean(), "FAL_HOME": home, "FAL_PROFILE": "local"}
    words = ["local", "start", "--port", "0", "--emulator-port", "0", "--json"]
    try:
        started = run([COMMAND, *words], environ)
        yield environ, json.loads(started)["endpoint_url"]
    finally:
        run([COMMAND, "local", "stop"], environ)


def run(command: list[str], environ: dict[str, str], cwd: Path | None = None) -> str:
    """A command's standard output; its errors are the error's."""
    words = {"env": environ, "cwd": cwd, "text": True, "timeout": 600}
    return subprocess.run(command, check=True, capture_output=True, **words).stdout


class Change:
    """A file whose content is another one each time, and the commands that publish it."""

    def __init__(self, file: Path, content: str, publish: Callable[[], None], **more: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._write = lambda: file.write_text(content.format(mark=uuid.uuid4(), **more))
        self._publish = publish

    def __call__(self) -> float:
        """Seconds of one publish."""
        self._write()
        start = time.perf_counter()
        self._publish()
        return time.perf_counter() - start


def ours(folder: Path, environ: dict[str, str]) -> Change:
    command = [COMMAND, "function", "serve", str(folder / "app.py"), "echo", "--alias", "echo"]
    return Change(
        folder / "app.py",
        OURS,
        lambda: run(command, environ),
        requirements=list(REQUIREMENTS),
    )


def bare(folder: Path, aws: dict[str, str]) -> Change:
    command = [interpreter(), str(PROGRAMS / "bare_publish.py"), "fal-serverless", "bench-bare"]
    return Change(folder / "unused.py", PLAIN, lambda: run(command, aws))


def chalice(folder: Path, aws: dict[str, str], role: str) -> Change:
    python = Path(interpreter())
    settings = folder / ".chalice" / "config.json"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"version": "2.0", "app_name": "echo", "stages": {"dev": {}}}')
    (folder / "requirements.txt").write_text("\n".join(REQUIREMENTS))

    def publish() -> None:
        run([str(python.parent / "chalice"), "package", "out"], aws, folder)
        update = [str(python), str(PROGRAMS / "update_zip.py"), "bench-chalice", role]
        run([*update, str(folder / "out" / "deployment.zip")], aws)

    return Change(folder / "app.py", CHALICE, publish)


def sam(folder: Path, aws: dict[str, str], role: str, bucket: str) -> Change:
    tools = Path(interpreter("sam")).parent
    folder.mkdir()
    (folder / "template.yaml").write_text(TEMPLATE.format(python=PYTHON, role=role))
    (folder / "code").mkdir()
    (folder / "code" / "requirements.txt").write_text("\n".join(REQUIREMENTS))
    # SAM looks for the function's Python by its name.
    environ = {**aws, "SAM_CLI_TELEMETRY": "0", "PATH": f"{tools}{os.pathsep}{aws['PATH']}"}
    command = str(tools / "sam")
    deploy = [command, "deploy", "--stack-name", "bench-sam", "--s3-bucket", bucket]
    deploy += ["--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset"]

    def publish() -> None:
        run([command, "build"], environ, folder)
        run([*deploy, "--no-progressbar"], environ, folder)

    return Change(folder / "code" / "app.py", PLAIN, publish)


def outputs(aws: dict[str, str]) -> dict[str, str]:
    code = "import boto3, json; print(json.dumps(boto3.client('cloudformation').describe_stacks("
    said = run([interpreter(), "-c", code + "StackName='fal-serverless'), default=str))"], aws)
    found = json.loads(said)["Stacks"][0]["Outputs"]
    return {item["OutputKey"]: item["OutputValue"] for item in found}


def measure(python: str, *, quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as name, stack(f"{name}/home") as (environ, endpoint):
        folder = Path(name)
        aws = {
            **clean(),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        known = outputs(aws)
        role, bucket = known["FunctionRoleArn"], known["ArtifactBucket"]
        mine, calls = ours(folder / "ours", environ), bare(folder / "bare", aws)
        slow = {
            "Chalice's package, update of the function": chalice(folder / "chalice", aws, role),
            "sam build, sam deploy": sam(folder / "sam", aws, role, bucket),
        }
        return [
            *changed(mine, calls, slow, quick=quick),
            *dry_run(folder / "ours" / "app.py", environ, quick=quick),
        ]


def changed(mine: Change, calls: Change, slow: dict[str, Change], *, quick: bool) -> list[Row]:
    label = "serve of changed code, unchanged lock"
    name = "the bare AWS calls"
    nearly = Goal("≥ 0.67×", lambda a, b: times_less(1 / 1.5).met(a, b))
    in_turn(1, {"ours": mine, name: calls})
    found, failed = in_turn(1 if quick else ROUNDS, {"ours": mine, name: calls})
    rows = compared(label, "s", found, failed, {name: nearly})
    if not quick:
        in_turn(1, slow)
    found, failed = in_turn(1 if quick else SLOW_ROUNDS, {"ours": mine, **slow})
    goals: dict[str, Goal | None] = dict(zip(slow, (times_less(2), times_less(8)), strict=True))
    return [*rows, *compared(label, "s", found, failed, goals)]


def dry_run(file: Path, environ: dict[str, str], *, quick: bool) -> list[Row]:
    command = [COMMAND, "function", "serve", str(file), "echo", "--alias", "echo", "--dry-run"]

    def timed(words: list[str]) -> Callable[[], float]:
        def once() -> float:
            start = time.perf_counter()
            run(words, environ)
            return (time.perf_counter() - start) * 1e3

        return once

    works = {"ours": timed(command), "an empty interpreter": timed([sys.executable, "-c", "pass"])}
    in_turn(1, works)
    found, failed = in_turn(1 if quick else 2 * ROUNDS, works)
    label = "serve --dry-run, unchanged lock"
    return compared(label, "ms", found, failed, {"an empty interpreter": under(400, "ms")})
