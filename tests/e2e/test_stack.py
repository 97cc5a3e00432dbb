"""A second stack on the emulator: deployed, upgraded in place, deleted with all it served."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.network]

NAME = "second"
TEXT = """
from fal_serverless import isolated

@isolated(serve=True)
def of_second():
    return 1
"""


@pytest.fixture(scope="module")
def clients(stack: Stack):
    url = stack.run("local", "status", "--json").json()["endpoint_url"]

    def client(service):
        return boto3.client(
            service,
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    return client


def make_older(cloud) -> None:
    """Deploy the template as it was before it told its version and had an alarm."""
    template = json.loads(json.dumps(cloud.get_template(StackName=NAME)["TemplateBody"]))
    for name in ("Version", "SourceDigest"):
        del template["Outputs"][name]
    del template["Resources"]["DeadLetterAlarm"]
    before = cloud.describe_stacks(StackName=NAME)["Stacks"][0]["Parameters"]
    cloud.update_stack(
        StackName=NAME,
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": item["ParameterKey"], "UsePreviousValue": True} for item in before
        ],
    )
    cloud.get_waiter("stack_update_complete").wait(
        StackName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )


def test_a_stack_is_made_upgraded_in_place_and_deleted_whole(stack: Stack, clients, tmp_path):
    def run(*words: str, ok: bool = True):
        return stack.run("--stack", NAME, *words, ok=ok)

    made = run("stack", "deploy", "--log-retention", "7", "--json").json()
    assert (made["changed"], made["status"]) == (True, "CREATE_COMPLETE")
    assert {"add"} == {item["change"] for item in made["changes"]}
    file = tmp_path / "mine.py"
    file.write_text(TEXT, encoding="utf-8")
    served = run("function", "serve", str(file), "of_second", "--alias", "second", "--json").json()
    run("secret", "set", "OF_SECOND", "value")

    make_older(clients("cloudformation"))
    older = run("stack", "status", "--json").json()
    assert older["version"] == ""
    upgraded = run("stack", "deploy")
    assert "add" in upgraded.errors
    assert "DeadLetterAlarm" in upgraded.errors
    after = run("stack", "status", "--json").json()
    assert (after["version"], after["digest"]) == (made["version"], made["digest"])
    assert (after["table"], after["log_days"]) == (made["table"], 7)
    assert run("alias", "list", "--json").json()["aliases"][0]["revision"] == served["revision"]

    same = run("stack", "deploy", "--dry-run", "--json").json()
    assert (same["changed"], same["changes"]) == (False, [])

    asked = run("stack", "delete", ok=False)
    assert asked.status == 2
    for text in (served["function"], "1 revisions", "1 aliases", "OF_SECOND", "--yes"):
        assert text in asked.errors
    assert run("function", "list", "--json").json()["functions"]
    gone = run("stack", "delete", "--yes", "--json").json()
    assert gone["deleted"] == NAME
    assert gone["functions"] == [served["function"]]
    logs = clients("logs").describe_log_groups(
        logGroupNamePrefix=f"/aws/lambda/{served['function']}"
    )
    assert logs["logGroups"] == []
    left = clients("ssm").get_parameters_by_path(Path=f"/fal/{NAME}", Recursive=True)
    assert left["Parameters"] == []
    functions = clients("lambda").list_functions()["Functions"]
    assert served["function"] not in {item["FunctionName"] for item in functions}
    assert run("stack", "delete", "--yes", ok=False).status == 3
    # The first stack never noticed.
    assert stack.run("stack", "status", "--json").json()["status"].endswith("COMPLETE")


def test_the_embedded_stack_is_reset_and_not_deleted(stack: Stack):
    refused = stack.run("stack", "delete", "--yes", ok=False)
    assert refused.status == 2
    assert "local reset" in refused.errors
