"""``doctor`` on the embedded stack, well and ill."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import boto3
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TEXT = """
from fal_serverless import isolated

@isolated(serve=True)
def {name}():
    return 1
"""


def findings(stack: Stack, *words: str, status: int = 0) -> dict[str, list[dict]]:
    ran = stack.run("doctor", *words, "--json", ok=False)
    assert ran.status == status, ran.output + ran.errors
    found: dict[str, list[dict]] = {}
    for item in ran.json()["findings"]:
        found.setdefault(item["check"], []).append(item)
    return found


def test_doctor_finds_and_fixes(stack: Stack, tmp_path):
    client = boto3.client(
        "lambda",
        endpoint_url=stack.run("local", "status", "--json").json()["endpoint_url"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    file = tmp_path / "mine.py"
    file.write_text(TEXT.format(name="examined"), encoding="utf-8")
    served = stack.serve(file, "examined")
    well = findings(stack)
    assert {item["state"] for found in well.values() for item in found} == {"ok"}
    assert {"python", "uv", "clock", "credentials", "artifacts", "gateway", "registry"} <= set(well)

    # An interrupted publish leaves a Lambda function that no revision is recorded of.
    orphan = f"fal-{stack.user}-left-z"
    real = client.get_function(FunctionName=served["function"])["Configuration"]
    client.create_function(
        FunctionName=orphan,
        Runtime=real["Runtime"],
        Handler=real["Handler"],
        Role=real["Role"],
        Code={"ZipFile": a_zip()},
    )
    ill = findings(stack)
    assert [item["state"] for item in ill["orphans"]] == ["warning"]
    assert orphan in ill["orphans"][0]["detail"]
    fixed = findings(stack, "--fix")
    assert [item["state"] for item in fixed["orphans"]] == ["ok"]
    assert "orphans" not in findings(stack)
    assert stack.call(served["revision"], body={}, headers=stack.key).status == 200

    client.delete_function(FunctionName=served["function"])
    lost = findings(stack, status=1)
    assert served["function"] in lost["revisions"][0]["detail"]
    assert stack.run("doctor", ok=False).status == 1
    stack.run("function", "delete", served["revision"])
    assert findings(stack)["registry"][0]["state"] == "ok"


def a_zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("index.py", "handler = print\n")
    return made.getvalue()


def test_doctor_without_a_stack_says_what_to_do(stack: Stack, tmp_path):
    environ = {**stack.environ, "FAL_HOME": str(tmp_path)}
    bare = type(stack)(environ, 0)
    ran = bare.run("doctor", ok=False)
    assert ran.status == 1
    assert "fal-serverless local start" in ran.output
