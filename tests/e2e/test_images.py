"""Image revisions on the embedded stack: pushed into the emulator's registry, pruned with it."""

from __future__ import annotations

import json

import pytest

from fal_serverless.aws.session import emulator_session
from tests.support.base import layout, tar_of

pytestmark = [pytest.mark.e2e]

CODE = """
from fal_serverless import isolated

@isolated(serve=True{options})
def say(word: str = "x") -> str:
    return word
"""


@pytest.fixture(scope="module")
def world(stack, tmp_path_factory):
    base = layout(tmp_path_factory.mktemp("base") / "oci", tar_of({"etc/os-release": b"none"}))
    return type(stack)({**stack.environ, "FAL_BASE_IMAGE": base}, stack.port, stack.user, stack.key)


def images(world):
    endpoint = world.run("local", "status", "--json").json()["endpoint_url"]
    uri = world.run("stack", "status", "--json").json()["images"]
    client = emulator_session(endpoint).boto.client("ecr", endpoint_url=endpoint)
    found = client.describe_images(repositoryName=uri.partition("/")[2])["imageDetails"]
    return {item["imageDigest"] for item in found}


def write(folder, options=""):
    folder.mkdir(exist_ok=True)
    path = folder / "say.py"
    path.write_text(CODE.format(options=options), encoding="utf-8")
    return path


def test_from_a_layer_to_an_image_and_back(world, tmp_path):
    plain = write(tmp_path)
    first = world.serve(plain, "say", "--alias", "say")
    assert first["package"] == "none"
    planned = world.run("function", "serve", str(plain), "say", "--package", "image", "--dry-run")
    assert planned.output.startswith("push image sha256:")
    assert images(world) == set()
    second = world.serve(plain, "say", "--alias", "say", "--package", "image")
    assert second["package"] == "image"
    shown = world.run("function", "show", "say", "--json").json()
    assert shown["revision" if "revision" in shown else "id"] == second["revision"]
    assert images(world) == {shown["image"]}
    # The old revision answers still, and the alias can go back to it.
    assert world.call(first["revision"], body={"word": "a"}, headers=world.key).json() == "a"
    world.run("alias", "rollback", "say")
    assert world.call("say", body={"word": "b"}, headers=world.key).json() == "b"
    again = world.serve(plain, "say", "--package", "image")
    assert images(world) == {shown["image"]}
    world.run("function", "delete", second["revision"])
    assert images(world) == {shown["image"]}
    world.run("function", "delete", again["revision"])
    assert images(world) == set()


def test_a_container_is_always_an_image(world, tmp_path):
    file = write(tmp_path, ", kind='container'")
    refused = world.run("function", "serve", str(file), "say", "--package", "layer", ok=False)
    assert refused.status == 2
    ran = world.run("function", "serve", str(file), "say", "--dry-run")
    assert "kind='container' asks for one" in ran.errors
    missing = write(tmp_path / "other", ", kind='container', image=1")
    refused = world.run("function", "serve", str(missing), "say", ok=False)
    assert "ContainerImage" in refused.errors


@pytest.mark.network
@pytest.mark.slow
def test_what_does_not_fit_a_layer_becomes_an_image(world, tmp_path):
    options = ", requirements=['polars', 'pyarrow', 'scikit-learn'], trim=['static-libraries']"
    file = write(tmp_path, options)
    ran = world.run("function", "serve", str(file), "say", "--dry-run", "--json")
    plan = ran.json()
    assert plan["function"].endswith("-i")
    assert plan["sizes"]["unzipped"] > 262_144_000
    assert plan["sizes"]["trimmed"]["static-libraries"] > 10_000
    assert "layers take 262.1 MB" in ran.errors
    assert "polars" in ran.errors
    refused = world.run("function", "serve", str(file), "say", "--package", "layer", ok=False)
    assert "too large for a Lambda layer" in refused.errors
    assert json.loads(world.run("function", "list", "--json").output)
