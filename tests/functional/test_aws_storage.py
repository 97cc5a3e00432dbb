"""Lambda functions with a file system for persistent data, by a strict Stubber."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import ANY, Stubber

from fal_serverless.aws.lambdas import LambdaFunctions
from fal_serverless.publish import Target, configuration, variables
from fal_serverless.publish.state import Code, Storage
from fal_serverless.spec import FunctionSpec

STORAGE = Storage(
    access_point="arn:aws:elasticfilesystem:r:1:access-point/fsap-1",
    subnets=("subnet-1",),
    security_groups=("sg-1",),
)
MOUNTED = [{"Arn": STORAGE.access_point, "LocalMountPath": "/mnt/data"}]
NETWORK = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
CODE = Code(bucket="bucket", key="k")


def configured(storage: Storage | None):
    spec = FunctionSpec(name="f")
    target = Target(
        owner="1",
        stack="s",
        role="arn:aws:iam::123456789012:role/r",
        storage=storage,
        data="/mnt/data" if storage else "",
    )
    return configuration(
        spec, target, handler="h", layers=(), variables=variables(spec, target, "r"), description=""
    )


def test_functions_are_told_where_their_data_lies():
    assert configured(STORAGE).variables["FAL_DATA_DIR"] == "/mnt/data"
    assert "FAL_DATA_DIR" not in configured(None).variables


@pytest.fixture
def stubbed():
    client = boto3.client(
        "lambda", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stub:
        yield LambdaFunctions(client, lambda _: None), stub
        stub.assert_no_pending_responses()


EXPECTED = {
    "Role": ANY,
    "MemorySize": ANY,
    "Timeout": ANY,
    "EphemeralStorage": ANY,
    "Environment": ANY,
    "Description": ANY,
    "Runtime": ANY,
    "Handler": "h",
    "Layers": [],
    "FunctionName": "f",
}


def live(**more):
    return {"FunctionName": "f", "State": "Active", "LastUpdateStatus": "Successful", **more}


def test_code_that_is_there_is_not_sent_again(stubbed):
    functions, stub = stubbed
    code = CODE.replace(sha256="digest")
    for sha256, sent in (("digest", False), ("other", True)):
        stub.add_response("get_function_configuration", live(CodeSha256=sha256))
        if sent:
            place = {"S3Bucket": "bucket", "S3Key": "k", "Architectures": ["x86_64"]}
            stub.add_response("update_function_code", {}, {"FunctionName": "f", **place})
            stub.add_response("get_function_configuration", live(CodeSha256="digest"))
        stub.add_response("update_function_configuration", {}, EXPECTED)
        stub.add_response("get_function_configuration", live(CodeSha256="digest"))
        assert functions.update("f", code, configured(None)).code_sha256 == "digest"
        stub.assert_no_pending_responses()


def test_a_new_function_is_connected(stubbed):
    functions, stub = stubbed
    expected = {
        **EXPECTED,
        "FileSystemConfigs": MOUNTED,
        "VpcConfig": NETWORK,
        "Code": ANY,
        "PackageType": "Zip",
        "Architectures": ANY,
        "Tags": {},
    }
    stub.add_response("create_function", live(), expected)
    stub.add_response("get_function_configuration", live(FileSystemConfigs=MOUNTED))
    assert functions.create("f", CODE, configured(STORAGE), {}).mounted


@pytest.mark.parametrize(
    ("before", "storage", "more"),
    [
        ([], None, {}),
        ([], STORAGE, {"FileSystemConfigs": MOUNTED, "VpcConfig": NETWORK}),
        (MOUNTED, STORAGE, {"FileSystemConfigs": MOUNTED, "VpcConfig": NETWORK}),
        (
            MOUNTED,
            None,
            {"FileSystemConfigs": [], "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}},
        ),
    ],
)
def test_an_update_connects_or_takes_the_connection_away(stubbed, before, storage, more):
    functions, stub = stubbed
    stub.add_response("get_function_configuration", live(FileSystemConfigs=before))
    stub.add_response("update_function_code", live())
    stub.add_response("get_function_configuration", live(FileSystemConfigs=before))
    stub.add_response("update_function_configuration", live(), {**EXPECTED, **more})
    stub.add_response("get_function_configuration", live())
    functions.update("f", CODE, configured(storage))
