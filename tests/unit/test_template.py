"""The stack's template: what it promises, read as data."""

from __future__ import annotations

import re

import yaml

from fal_serverless import __version__, stack


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's tags as {tag: value}."""


def _tag(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    return {suffix: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", _tag)
TEXT = (stack.root() / "template.yaml").read_text(encoding="utf-8")
TEMPLATE = yaml.load(TEXT, Loader=Loader)


def statements(*names):
    """Of the roles of these names, or of all."""
    for name in names or TEMPLATE["Resources"]:
        found = TEMPLATE["Resources"][name].get("Properties", {})
        for policy in [*found.get("Policies", []), found]:
            yield from policy.get("PolicyDocument", {}).get("Statement", [])


def actions(statement):
    found = statement["Action"]
    return set(found if isinstance(found, list) else [found])


def test_every_statement_names_its_resources():
    found = list(statements())
    assert len(found) >= 5
    for statement in found:
        if statement["Effect"] == "Deny":
            continue
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            text = str(resource)
            if statement["Action"] == "ecr:GetAuthorizationToken":
                continue  # IAM knows it for all resources only
            assert text != "*"
            assert not re.search(r":\*'|/\*'$", text) or "fal-" in text or "Logs" in text


def test_who_invokes_is_denied_environments_of_remote_calls():
    invoking = [item for item in statements() if item["Action"] == "lambda:InvokeFunction"]
    allowed = [item for item in invoking if "function:fal-*" in str(item["Resource"])]
    denied = [item for item in invoking if item["Effect"] == "Deny"]
    assert len(denied) == len(allowed) == 3
    assert all("fal-env-*" in str(item["Resource"]) for item in denied)
    # The stack's own functions may be called fal-… too, by the name of the stack.
    for item in allowed:
        assert {one["Sub"].rpartition("function:")[2] for one in item["Resource"]} == {
            "fal-*-z:*",
            "fal-*-i:*",
        }


WRITES = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}


def test_the_gateway_and_the_worker_never_write_the_registry():
    table = {"GetAtt": "Table.Arn"}
    for role in ("GatewayRole", "WorkerRole", "FunctionRole"):
        for statement in statements(role):
            assert statement["Resource"] != table or not actions(statement) & WRITES
    (writing,) = [item for item in statements("ManagerRole") if item["Resource"] == table]
    assert actions(writing) & WRITES == {"dynamodb:PutItem", "dynamodb:DeleteItem"}
    # Keys with the hashes of their secrets, and identities, are out of its reach.
    (kinds,) = writing["Condition"]["ForAllValues:StringLike"].values()
    assert set(kinds) == {"USER#*", "ROUTE#*", "LEASE#*"}


def test_the_manager_changes_aliases_of_served_functions_and_reads_their_logs():
    found = list(statements("ManagerRole"))
    everything = set().union(*map(actions, found))
    assert {name for name in everything if name.startswith("lambda:")} == {
        "lambda:CreateAlias",
        "lambda:UpdateAlias",
        "lambda:DeleteAlias",
    }
    assert all(item["Effect"] == "Allow" for item in found)
    (changing,) = [item for item in found if "lambda:UpdateAlias" in actions(item)]
    ends = [item["Sub"].rpartition(":function:")[2] for item in changing["Resource"]]
    assert ends == ["fal-*-z", "fal-*-i"]
    (reading,) = [item for item in found if "logs:FilterLogEvents" in actions(item)]
    assert reading["Resource"]["Sub"].endswith(":log-group:/aws/lambda/fal-*")
    (ending,) = [item for item in found if "cloudwatch:DeleteAlarms" in actions(item)]
    assert ending["Resource"]["Sub"].endswith(":alarm:${AWS::StackName}-split-*")
    assert len(found) == 5


def test_the_gateway_alone_invokes_the_manager():
    arn = {"GetAtt": "ManagerFunction.Arn"}
    both = [arn, {"Sub": "${ManagerFunction.Arn}:$LATEST"}]
    for role in ("GatewayRole", "WorkerRole", "FunctionRole"):
        allowed = [
            item
            for item in statements(role)
            if item["Effect"] == "Allow" and "ManagerFunction" in str(item["Resource"])
        ]
        assert [item["Resource"] for item in allowed] == ([both] if role == "GatewayRole" else [])
    # Both may invoke names that begin with "fal-", and a stack's own name may.
    denied = [item for item in statements("WorkerRole") if item["Effect"] == "Deny"]
    assert arn in denied[0]["Resource"]
    variables = TEMPLATE["Resources"]["GatewayFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["FAL_MANAGER"] == {"Ref": "ManagerFunction"}


def test_every_function_of_the_gateways_code_is_built():
    makefile = (stack.root() / "infra" / "gateway" / "Makefile").read_text(encoding="utf-8")
    for name, resource in TEMPLATE["Resources"].items():
        if resource.get("Properties", {}).get("CodeUri") == "infra/gateway":
            assert f"build-{name}" in re.split(r"[\s:]+", makefile)


def test_outputs_are_those_that_the_command_reads():
    values = dict.fromkeys(TEMPLATE["Outputs"], "30")
    assert stack.outputs_of("s", {**values, "Domain": "-"}).domain == ""
    assert set(TEMPLATE["Outputs"]) == {
        "TableName",
        "ArtifactBucket",
        "FunctionRoleArn",
        "GatewayFunctionName",
        "GatewayUrl",
        "LogRetentionDays",
        "Domain",
        "ImageRepositoryUri",
        "RequestsTableName",
        "QueueUrl",
        "BuildProjectName",
        "Version",
        "SourceDigest",
        "ManagerFunctionName",
        "ApiUrl",
        "GuardFunctionArn",
        "ScheduleGroup",
        "ScheduleRoleArn",
        "ScheduleDeadLettersUrl",
        "ScheduleDeadLettersArn",
        "DataAccessPointArn",
        "DataSubnetIds",
        "DataSecurityGroupIds",
    }


def test_the_stack_tells_the_version_of_the_package():
    values = dict.fromkeys(TEMPLATE["Outputs"], "30")
    assert TEMPLATE["Outputs"]["Version"]["Value"] == __version__
    found = stack.outputs_of("s", {**values, "Version": __version__, "SourceDigest": "-"})
    assert (found.version, found.digest) == (__version__, "")


def test_the_digest_of_the_sources_has_its_place_in_the_template():
    told = yaml.load(stack.with_digest(TEXT, "abc"), Loader=Loader)["Outputs"]
    assert told["SourceDigest"]["Value"] == "abc"
    assert len(stack.digest()) == 64


def test_built_parts_take_the_place_of_folders():
    places = {folder: f"s3://b/{what}.zip" for folder, what in stack.PARTS.items()}
    pointed = yaml.load(stack.point_at(TEXT, places), Loader=Loader)
    resources = pointed["Resources"]
    assert resources["GatewayFunction"]["Properties"]["CodeUri"] == "s3://b/function.zip"
    assert resources["GatewayLayer"]["Properties"]["ContentUri"] == "s3://b/layer.zip"


def test_schedules_alone_may_take_their_role():
    (trust,) = TEMPLATE["Resources"]["ScheduleRole"]["Properties"]["AssumeRolePolicyDocument"][
        "Statement"
    ]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"},
        "aws:SourceArn": {"GetAtt": "Schedules.Arn"},
    }


def test_queues_are_encrypted():
    queues = [r for r in TEMPLATE["Resources"].values() if r["Type"] == "AWS::SQS::Queue"]
    assert len(queues) == 3
    assert all(queue["Properties"]["SqsManagedSseEnabled"] for queue in queues)


def test_persistent_data_is_an_option_and_of_one_access_point():
    allowed, *denied = statements("DataPolicy")
    (only,) = allowed["Condition"]["StringEquals"].values()
    assert only == {"Ref": "DataAccessPointArn"}
    assert actions(allowed) == {"elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"}
    # AWS's policy for networks lets functions' own code do more than it needs.
    assert {item["Effect"] for item in denied} == {"Deny"}
    assert TEMPLATE["Resources"]["DataPolicy"]["Condition"] == "HasData"
    assert TEMPLATE["Parameters"]["DataAccessPointArn"]["Default"] == ""
    values = dict.fromkeys(TEMPLATE["Outputs"], "30")
    assert stack.outputs_of("s", {**values, "DataAccessPointArn": "-"}).storage is None
    found = stack.outputs_of("s", {**values, "DataSubnetIds": "a, b"}).storage
    assert (found.access_point, found.subnets, found.security_groups) == ("30", ("a", "b"), ("30",))


def test_the_template_fits_into_a_request_to_cloudformation():
    """51,200 bytes (CreateChangeSet, TemplateBody), with the places of the built parts in it."""
    places = dict.fromkeys(stack.PARTS, f"s3://{'b' * 63}/stack/{'0' * 64}.zip")
    assert len(stack.with_digest(stack.point_at(TEXT, places), "0" * 64).encode()) < 51_200
