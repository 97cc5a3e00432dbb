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


def statements():
    for resource in TEMPLATE["Resources"].values():
        for policy in resource.get("Properties", {}).get("Policies", []):
            yield from policy["PolicyDocument"]["Statement"]


def test_every_statement_names_its_resources():
    found = list(statements())
    assert len(found) >= 5
    for statement in found:
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            text = str(resource)
            assert text != "*"
            assert not re.search(r":\*'|/\*'$", text) or "fal-" in text or "Logs" in text


def test_gateway_and_worker_are_denied_environments_of_remote_calls():
    denied = [item for item in statements() if item["Effect"] == "Deny"]
    assert len(denied) == 2
    assert all("fal-env-*" in str(item["Resource"]) for item in denied)


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
        "Version",
        "SourceDigest",
        "GuardFunctionArn",
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
