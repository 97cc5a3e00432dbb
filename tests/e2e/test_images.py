"""Image revisions on the embedded stack: pushed into the emulator's registry, pruned with it."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from fal_serverless.aws.session import emulator_session
from fal_serverless.images import Dockerfile
from fal_serverless.package.context import look
from fal_serverless.package.oci.base import look_up
from fal_serverless.package.oci.image import assemble
from fal_serverless.package.oci.push import push
from fal_serverless.package.oci.reference import parse
from fal_serverless.package.oci.registry import Repository
from tests.support.base import layout, tar_of

pytestmark = [pytest.mark.e2e]

CODE = """
from fal_serverless import ContainerImage, isolated

@isolated(serve=True{options})
def say(word: str = "x") -> str:
    return word
"""


@pytest.fixture(scope="module")
def world(stack, tmp_path_factory):
    base = layout(tmp_path_factory.mktemp("base") / "oci", tar_of({"etc/os-release": b"none"}))
    return type(stack)({**stack.environ, "FAL_BASE_IMAGE": base}, stack.port, stack.user, stack.key)


def ecr(world):
    """A client of the emulator's ECR, and the name of the stack's repository."""
    endpoint = world.run("local", "status", "--json").json()["endpoint_url"]
    uri = world.run("stack", "status", "--json").json()["images"]
    client = emulator_session(endpoint).boto.client("ecr", endpoint_url=endpoint)
    return client, uri.partition("/")[2]


def images(world):
    client, repository = ecr(world)
    found = client.describe_images(repositoryName=repository)["imageDetails"]
    return {item["imageDigest"] for item in found}


def unpacked(world, digest, folder):
    """The root file system of an image in the emulator's registry, by tools that are not ours."""
    client, repository = ecr(world)
    place = f"docker://{client.meta.endpoint_url[7:]}/{repository}@{digest}"
    login = ["--creds", "AWS:x"]
    told = json.loads(said("skopeo", "inspect", "--tls-verify=false", *login, place))
    assert told["Digest"] == digest
    copy = f"{folder / 'copy'}:1"
    said(
        "skopeo",
        "copy",
        "-q",
        "--src-tls-verify=false",
        "--src-creds",
        "AWS:x",
        place,
        f"oci:{copy}",
    )
    said("umoci", "raw", "unpack", "--rootless", "--image", copy, str(folder / "root"))
    return folder / "root"


def said(*words):
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


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
    assert shown["base"].startswith("sha256:")
    if all(map(shutil.which, ("skopeo", "umoci"))):
        root = unpacked(world, shown["image"], tmp_path)
        assert json.loads((root / "var/task/spec.json").read_bytes())["name"] == "say"
        assert (root / "opt/python/fal_serverless/runtime/handler.py").is_file()
        assert (root / "etc/os-release").read_text() == "none"
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


def test_a_dockerfile_is_built_by_stacks_that_were_deployed_for_it(world, tmp_path):
    options = ", kind='container', image=ContainerImage.from_dockerfile('Dockerfile')"
    file = write(tmp_path, options)
    (tmp_path / "Dockerfile").write_text("FROM scratch", encoding="utf-8")
    refused = world.run("function", "serve", str(file), "say", ok=False)
    assert refused.status == 2
    assert refused.errors.count("\n") == 3
    assert "stack deploy --dockerfiles" in refused.errors
    # What a build leaves behind: an image of the context's tag.
    tag = look(Dockerfile("Dockerfile"), tmp_path, "x86_64").tag
    client, repository = ecr(world)
    place = Repository(parse(f"{client.meta.endpoint_url[7:]}/{repository}"), ("AWS", "x"))
    base = look_up(world.environ["FAL_BASE_IMAGE"], "x86_64", tmp_path)
    (layer,) = base.layers
    push(assembled(base), place, cache=tmp_path, tag=tag)
    built = images(world)
    served = world.serve(file, "say", "--alias", "built")
    (ours,) = images(world) - built
    manifest = json.loads(place.manifest(ours)[0])
    assert manifest["layers"][0]["digest"] == layer["digest"]
    # The base stays, whatever is deleted.
    world.run("alias", "delete", "built")
    world.run("function", "delete", served["revision"])
    assert images(world) == built
    client.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": tag}])


def assembled(base):
    return assemble(
        base, [], command=[], entrypoint=["a"], variables={}, folder="/", labels={"of": "a file"}
    )


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
    # On one screen.
    assert len(ran.errors.splitlines()) < 24
    assert "polars" in ran.errors
    refused = world.run("function", "serve", str(file), "say", "--package", "layer", ok=False)
    assert "too large for a Lambda layer" in refused.errors
    assert json.loads(world.run("function", "list", "--json").output)
