"""Concurrency and snapshots as Lambda's API has them, by a strict Stubber."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import ANY, Stubber

from fal_serverless.aws import lambdas
from fal_serverless.aws.lambdas import LambdaFunctions
from fal_serverless.errors import AwsError
from fal_serverless.publish.state import Code, Configuration
from tests.support.moto import KEYS

SNAPSHOTS = {"ApplyOn": "PublishedVersions"}


@pytest.fixture
def stubbed():
    client = boto3.client("lambda", **KEYS)
    pauses: list[float] = []
    with Stubber(client) as stub:
        yield stub, LambdaFunctions(client, sleep=pauses.append), pauses
        stub.assert_no_pending_responses()


def ready(stub, version="", **changes):
    found = {"FunctionName": "f", "State": "Active", "LastUpdateStatus": "Successful", **changes}
    place = {"FunctionName": "f", **({"Qualifier": version} if version else {})}
    stub.add_response("get_function_configuration", found, place)


def published(stub, snap_start=None):
    made = {"Version": "3", "CodeSha256": "a", **({"SnapStart": snap_start} if snap_start else {})}
    asked = {"FunctionName": "f", "CodeSha256": "a", "RevisionId": "t"}
    stub.add_response("publish_version", made, asked)


def test_a_snapshot_is_waited_for(stubbed):
    stub, functions, pauses = stubbed
    published(stub, {**SNAPSHOTS, "OptimizationStatus": "Off"})
    for _ in range(2):
        ready(stub, "3", State="Pending", StateReasonCode="Creating")
    ready(stub, "3", SnapStart={**SNAPSHOTS, "OptimizationStatus": "On"})
    assert functions.publish_version("f", code_sha256="a", token="t") == "3"
    assert len(pauses) == 2


def test_a_snapshot_is_waited_for_longer_than_a_version(stubbed):
    stub, functions, pauses = stubbed
    published(stub, {**SNAPSHOTS, "OptimizationStatus": "Off"})
    for _ in range(lambdas.READY_TRIES + 1):
        ready(stub, "3", State="Pending")
    ready(stub, "3", SnapStart={**SNAPSHOTS, "OptimizationStatus": "On"})
    functions.publish_version("f", code_sha256="a", token="t")
    assert len(pauses) > lambdas.READY_TRIES
    assert lambdas.SNAPSHOT_TRIES * lambdas.POLL_SECONDS >= 900


def test_an_active_version_without_its_snapshot_is_an_error(stubbed):
    stub, functions, _ = stubbed
    published(stub, {**SNAPSHOTS, "OptimizationStatus": "Off"})
    ready(stub, "3", SnapStart={**SNAPSHOTS, "OptimizationStatus": "Off"})
    with pytest.raises(AwsError, match="no snapshot of version 3"):
        functions.publish_version("f", code_sha256="a", token="t")


def test_a_snapshot_that_fails_says_why(stubbed):
    stub, functions, _ = stubbed
    published(stub, {**SNAPSHOTS, "OptimizationStatus": "Off"})
    ready(
        stub,
        "3",
        State="Failed",
        StateReason="BundleError: loading the function failed",
        StateReasonCode="FunctionError.RuntimeInitError",
    )
    with pytest.raises(AwsError) as caught:
        functions.publish_version("f", code_sha256="a", token="t")
    assert "loading the function failed" in caught.value.reason
    assert "live URLs are untouched" in caught.value.hint


def test_a_version_without_a_snapshot_needs_none(stubbed):
    stub, functions, _ = stubbed
    published(stub, {"ApplyOn": "None", "OptimizationStatus": "Off"})
    ready(stub, "3", SnapStart={"ApplyOn": "None", "OptimizationStatus": "Off"})
    assert functions.publish_version("f", code_sha256="a", token="t") == "3"


@pytest.mark.parametrize(
    ("before", "wanted", "sent"),
    [
        (False, True, {"SnapStart": SNAPSHOTS}),
        (True, True, {"SnapStart": SNAPSHOTS}),
        (True, False, {"SnapStart": {"ApplyOn": "None"}}),
        (False, False, {}),
    ],
)
def test_snapshots_are_asked_for_and_asked_away(stubbed, before, wanted, sent):
    stub, functions, _ = stubbed
    live = {"SnapStart": SNAPSHOTS} if before else {}
    ready(stub)
    stub.add_response("update_function_code", {}, ANY_CODE)
    ready(stub, **live)
    described = dict.fromkeys(DESCRIBED, ANY) | {"FunctionName": "f", **sent}
    stub.add_response("update_function_configuration", {}, described)
    ready(stub)
    configuration = Configuration(
        role="arn:aws:iam::111122223333:role/r",
        handler="h.h",
        python="3.12",
        architecture="x86_64",
        memory=512,
        timeout=30,
        ephemeral_storage=512,
        layers=(),
        variables={},
        snap_start=wanted,
    )
    functions.update("f", Code(bucket="bucket", key="k"), configuration)


ANY_CODE = {"FunctionName": "f", "Architectures": ["x86_64"], "S3Bucket": "bucket", "S3Key": "k"}
DESCRIBED = (
    "Role",
    "MemorySize",
    "Timeout",
    "EphemeralStorage",
    "Environment",
    "Description",
    "Runtime",
    "Handler",
    "Layers",
)


def test_the_limits_of_the_account_are_lambdas(stubbed):
    stub, functions, _ = stubbed
    limit = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 850}
    stub.add_response("get_account_settings", {"AccountLimit": limit}, {})
    assert functions.unreserved() == 850


REFUSED = "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrent"


@pytest.mark.parametrize(
    ("operation", "option", "call"),
    [
        ("put_function_concurrency", "max_concurrency", lambda it: it.set_reserved("f", 950)),
        (
            "put_provisioned_concurrency_config",
            "min_concurrency",
            lambda it: it.set_provisioned("f", "web", 950),
        ),
    ],
)
def test_a_quota_of_lambdas_is_told_with_what_to_do(stubbed, operation, option, call):
    stub, functions, _ = stubbed
    stub.add_client_error(operation, "InvalidParameterValueException", REFUSED, 400)
    with pytest.raises(AwsError, match="concurrency of") as caught:
        call(functions)
    assert caught.value.reason == REFUSED
    assert option in caught.value.hint
    assert "quota" in caught.value.hint


def test_reserved_and_provisioned_concurrency_as_lambda_is_asked(stubbed):
    stub, functions, _ = stubbed
    asked = {"FunctionName": "f", "ReservedConcurrentExecutions": 5}
    stub.add_response("put_function_concurrency", {}, asked)
    stub.add_response("delete_function_concurrency", {}, {"FunctionName": "f"})
    functions.set_reserved("f", 5)
    functions.set_reserved("f", None)
    place = {"FunctionName": "f", "Qualifier": "web"}
    counted = {**place, "ProvisionedConcurrentExecutions": 2}
    stub.add_response("put_provisioned_concurrency_config", {}, counted)
    stub.add_response("delete_provisioned_concurrency_config", {}, place)
    functions.set_provisioned("f", "web", 2)
    functions.set_provisioned("f", "web", 0)
