"""``doctor`` on the embedded stack, well and ill."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING

import boto3
import pytest

from fal_serverless.stack import root

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TEXT = """
from fal_serverless import isolated

@isolated(serve=True)
def {name}():
    return 1
"""


CHECKS = {
    *("python", "uv", "clock", "credentials", "artifacts", "gateway", "queue", "version", "drift"),
    *("permissions", "concurrency", "storage", "names", "runtime", "leftovers", "registry"),
}


def a_client(stack: Stack, service: str):
    return boto3.client(
        service,
        endpoint_url=stack.run("local", "status", "--json").json()["endpoint_url"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def findings(stack: Stack, *words: str, status: int = 0) -> dict[str, list[dict]]:
    ran = stack.run("doctor", *words, "--json", ok=False)
    assert ran.status == status, ran.output + ran.errors
    found: dict[str, list[dict]] = {}
    for item in ran.json()["findings"]:
        found.setdefault(item["check"], []).append(item)
    return found


def test_doctor_finds_and_fixes(stack: Stack, tmp_path):
    client = a_client(stack, "lambda")
    file = tmp_path / "mine.py"
    file.write_text(TEXT.format(name="examined"), encoding="utf-8")
    served = stack.serve(file, "examined")
    well = findings(stack)
    assert {item["state"] for found in well.values() for item in found} == {"ok"}
    assert set(well) >= CHECKS

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


def test_a_stack_that_was_changed_by_hand(stack: Stack):
    client = a_client(stack, "logs")
    group = "/fal-serverless/fal-serverless/queue"
    before = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]
    client.put_retention_policy(logGroupName=group, retentionInDays=1)
    try:
        (found,) = findings(stack)["drift"]
    finally:
        client.put_retention_policy(logGroupName=group, retentionInDays=before["retentionInDays"])
    assert found["state"] == "warning"
    assert "WorkerLogs" in found["detail"]
    assert "RetentionInDays is 1, and was deployed as 30" in found["detail"]


def test_a_user_who_may_not_do_everything(stack: Stack):
    """By IAM's simulator, with the policy that the project hands out less one statement."""
    iam = a_client(stack, "iam")
    text = (root() / "infra" / "deployer-policy.json").read_text(encoding="utf-8")
    values = {"<REGION>": "us-east-1", "<ACCOUNT>": "000000000000", "<STACK>": "fal-serverless"}
    for placeholder, value in {**values, "<DEPLOYER>": "user/dev"}.items():
        text = text.replace(placeholder, value)
    policy = json.loads(text)
    policy["Statement"] = [item for item in policy["Statement"] if item["Sid"] != "RunAs"]
    for item in policy["Statement"]:
        # The emulator's simulator takes no values of condition keys, so that none would hold.
        item.pop("Condition", None)
    iam.create_user(UserName="dev")
    iam.put_user_policy(UserName="dev", PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="dev")["AccessKey"]
    environ = {
        **{name: value for name, value in stack.environ.items() if name != "FAL_PROFILE"},
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": stack.run("local", "status", "--json").json()["endpoint_url"],
    }
    # The gateway is no problem of theirs: API Gateway's address leads nowhere on an emulator.
    found = findings(type(stack)(environ, 0), status=1)
    (missing,) = found["permissions"]
    assert missing["state"] == "problem"
    assert missing["detail"] == "not allowed (RunAs): iam:PassRole"
    assert "user/dev" in found["credentials"][0]["detail"]
