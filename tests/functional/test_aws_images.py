"""Image revisions on moto's ECR and Lambda, and the stack's repository as the command sees it."""

from __future__ import annotations

import json

import boto3
import pytest
from moto import mock_aws

from fal_serverless.aws.images import ImageRepository, host_of
from fal_serverless.aws.lambdas import LambdaFunctions
from fal_serverless.package.oci.image import MANIFEST_TYPE
from fal_serverless.package.oci.reference import parse
from fal_serverless.package.oci.registry import digest_of
from fal_serverless.publish.state import Code, Configuration

DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def ecr(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("ecr", "us-east-1")
        client.uri = client.create_repository(repositoryName="fal")["repository"]["repositoryUri"]
        yield client


def put(client, text="a"):
    about = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": []}
    manifest = json.dumps({**about, "config": {"digest": text}})
    digest = digest_of(manifest.encode())
    client.put_image(repositoryName="fal", imageManifest=manifest, imageDigest=digest)
    return digest


def test_images_are_found_and_deleted(ecr):
    place = ImageRepository(ecr, ecr.uri)
    first, second = put(ecr, "a"), put(ecr, "b")
    assert place.has(first)
    assert not place.has(DIGEST)
    place.delete([first, first, DIGEST])
    assert not place.has(first)
    assert place.has(second)
    assert not ImageRepository(ecr, ecr.uri.replace("/fal", "/gone")).has(second)


def test_an_image_is_found_by_its_tag(ecr):
    place = ImageRepository(ecr, ecr.uri, "127.0.0.1:4566")
    assert place.tagged("dockerfile-1") == ""
    assert ImageRepository(ecr, ecr.uri.replace("/fal", "/gone")).tagged("dockerfile-1") == ""
    about = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [], "config": {}}
    manifest = json.dumps(about)
    ecr.put_image(repositoryName="fal", imageManifest=manifest, imageTag="dockerfile-1")
    found = ecr.describe_images(repositoryName="fal")["imageDetails"][0]["imageDigest"]
    assert place.tagged("dockerfile-1") == f"127.0.0.1:4566/fal@{found}"


def test_only_ecr_gets_ecrs_password(ecr):
    place = ImageRepository(ecr, ecr.uri)
    assert place.repository(parse(f"{ecr.uri}:1")).login[0] == "AWS"
    assert place.repository(parse("public.ecr.aws/lambda/python:3.12")).login is None


def test_an_emulators_registry_is_where_the_emulator_is(ecr):
    place = ImageRepository(ecr, ecr.uri, host_of("http://127.0.0.1:4566"))
    assert place.repository(parse("127.0.0.1:4566/fal")).login[0] == "AWS"
    assert host_of(None) == ""


def test_an_image_becomes_a_function_and_its_next_version(ecr):
    iam = boto3.client("iam", "us-east-1")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client = boto3.client("lambda", "us-east-1")
    functions = LambdaFunctions(client)
    configuration = Configuration(
        role=role,
        handler="h",
        python="3.12",
        architecture="arm64",
        memory=512,
        timeout=30,
        ephemeral_storage=512,
        layers=(),
        variables={"A": "b"},
    )
    images = [f"{ecr.uri}@{put(ecr, text)}" for text in "ab"]
    live = functions.create("f", Code(image=images[0]), configuration, {"t": "v"})
    assert live.package == "image"
    first = functions.publish_version("f", code_sha256=live.code_sha256, token=live.token)
    live = functions.update("f", Code(image=images[1]), configuration)
    second = functions.publish_version("f", code_sha256=live.code_sha256, token=live.token)
    assert (first, second) == ("1", "2")
    found = client.get_function(FunctionName="f")
    assert found["Code"]["ImageUri"] == images[1]
    assert found["Configuration"]["Architectures"] == ["arm64"]
    assert "Handler" not in found["Configuration"] or not found["Configuration"]["Handler"]
