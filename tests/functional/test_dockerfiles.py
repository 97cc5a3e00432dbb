"""Dockerfiles as bases: what travels, what is built once, and what a failed build says."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from fal_serverless.aws.builds import ImageBuilds
from fal_serverless.errors import NotFoundError, OperationError, SpecError
from fal_serverless.images import ContainerImage, Dockerfile
from fal_serverless.package.context import look
from fal_serverless.publish.dockerfiles import Dockerfiles
from fal_serverless.spec import build_spec
from tests.fakes import FakeArtifacts, Fuse

FILES = {
    "Dockerfile": "FROM scratch",
    "app/code.py": "1",
    "app/notes.md": "words",
    "data/large.bin": "0",
    "data/keep.bin": "1",
    ".dockerignore": "# a comment\n*.md\n**/*.md\ndata\n!data/keep.bin\n",
}


def written(folder, files=FILES):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def test_a_context_is_what_dockerignore_leaves_and_named_by_its_content(tmp_path):
    one, other = written(tmp_path / "one"), written(tmp_path / "other")
    first, second = (look(Dockerfile("Dockerfile"), item, "x86_64") for item in (one, other))
    assert sorted(first.files) == [".dockerignore", "Dockerfile", "app/code.py", "data/keep.bin"]
    assert first.digest == second.digest
    assert first.tag == f"dockerfile-{first.digest[:40]}"
    for context, name in ((first, "a"), (second, "b")):
        context.write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    digests = {first.digest, look(Dockerfile("Dockerfile"), one, "arm64").digest}
    (one / "data" / "large.bin").write_text("9")
    assert look(Dockerfile("Dockerfile"), one, "x86_64").digest == first.digest
    (one / "app" / "code.py").chmod(0o755)
    digests.add(look(Dockerfile("Dockerfile"), one, "x86_64").digest)
    (one / "app" / "code.py").write_text("2")
    digests.add(look(Dockerfile("Dockerfile"), one, "x86_64").digest)
    assert len(digests) == 4


def test_a_dockerfile_in_a_folder_of_its_context(tmp_path):
    files = {"images/gpu.Dockerfile": "FROM scratch", "images/gpu.Dockerfile.dockerignore": "b"}
    written(tmp_path, {**files, "a": "", "b": "", ".dockerignore": "a"})
    image = ContainerImage.from_dockerfile("images/gpu.Dockerfile", context=".")
    found = look(image.dockerfile, tmp_path, "x86_64")
    assert found.dockerfile == "images/gpu.Dockerfile"
    assert {"a", "b"} & set(found.files) == {"a"}


@pytest.mark.parametrize(
    ("dockerfile", "reason"),
    [
        (Dockerfile("Nothing"), "there is no file"),
        (Dockerfile("Dockerfile", "app"), "does not lie in its context"),
        (Dockerfile("Dockerfile", "nowhere"), "does not lie in its context"),
        (Dockerfile("linked/Dockerfile"), "'here'"),
    ],
)
def test_what_cannot_be_built_says_why(tmp_path, dockerfile, reason):
    written(tmp_path, {**FILES, "linked/Dockerfile": "FROM scratch"})
    (tmp_path / "linked" / "here").symlink_to(tmp_path / "app")
    with pytest.raises(SpecError, match="cannot be built") as caught:
        look(dockerfile, tmp_path, "x86_64")
    assert reason in caught.value.reason


def test_the_option():
    spec = build_spec("f", {"kind": "container", "image": ContainerImage.from_dockerfile("D")})
    assert spec.dockerfile == Dockerfile("D")
    assert spec.base == ""
    for bad in (None, "", 3):
        with pytest.raises(SpecError, match="path of a Dockerfile"):
            ContainerImage.from_dockerfile(bad)


class Repository:
    """Tags, and a builder that sets one."""

    def __init__(self, *, builds=True):
        self.tags, self.runs, self.builds = {}, [], builds

    def tagged(self, tag):
        return self.tags.get(tag, "")

    def run(self, context, *, tag, dockerfile, architecture, tell):
        self.runs.append((context, dockerfile, architecture))
        tell("Step 1/1")
        if self.builds:
            self.tags[tag] = "host/fal@sha256:1"


def the_spec(**options):
    image = ContainerImage.from_dockerfile("Dockerfile")
    return build_spec("f", {"kind": "container", "image": image, **options})


def dockerfiles(folder, place, **changes):
    given = {"images": place, "artifacts": FakeArtifacts(Fuse()), "builds": place, "folder": folder}
    return Dockerfiles(**{**given, **changes})


def test_the_same_context_is_built_once(tmp_path):
    place, told = Repository(), []
    builder = dockerfiles(written(tmp_path), place, tell=told.append)
    spec = the_spec(architecture="arm64")
    assert builder.base(spec) == builder.base(spec) == "host/fal@sha256:1"
    (key,) = builder.artifacts.keys
    assert place.runs == [(f"artifacts/{key}", "Dockerfile", "arm64")]
    assert told == ["Step 1/1"]
    assert builder.tag(spec) in place.tags


def test_a_stack_without_a_builder_says_how_to_get_one(tmp_path):
    place = Repository()
    builder = dockerfiles(written(tmp_path), place, builds=None)
    with pytest.raises(SpecError, match="'Dockerfile' of 'f' cannot be built") as caught:
        builder.base(the_spec())
    assert "stack deploy --dockerfiles" in caught.value.hint
    assert builder.artifacts.keys == set()
    # One that is there needs no builder.
    place.tags[builder.tag(the_spec())] = "host/fal@sha256:2"
    assert builder.base(the_spec()) == "host/fal@sha256:2"


def test_a_dry_run_builds_nothing(tmp_path):
    place = Repository()
    with pytest.raises(NotFoundError, match="not built yet"):
        dockerfiles(written(tmp_path), place, dry=True).base(the_spec())
    assert place.runs == []


def test_a_build_that_leaves_no_image(tmp_path):
    with pytest.raises(OperationError, match="is not there") as caught:
        dockerfiles(written(tmp_path), Repository(builds=False)).base(the_spec())
    assert "dockerfile-" in caught.value.reason


LOG = {"groupName": "g", "streamName": "s"}
ASKED = {"logGroupName": "g", "logStreamName": "s", "startFromHead": True}


class Build:
    """A build as CodeBuild and CloudWatch tell of it, strictly in order."""

    def __init__(self):
        session = boto3.Session("a", "b", region_name="us-east-1")
        self.codebuild, self.logs = session.client("codebuild"), session.client("logs")
        self.stubs = [Stubber(self.codebuild), Stubber(self.logs)]
        self.told, self.pauses = [], []

    def begin(self, **more):
        values = [{"name": "TAG", "value": "t"}, {"name": "DOCKERFILE", "value": "D"}]
        expected = {
            "projectName": "p",
            "sourceTypeOverride": "S3",
            "sourceLocationOverride": "b/c.zip",
            "environmentVariablesOverride": [{**item, "type": "PLAINTEXT"} for item in values],
            **more,
        }
        self.stubs[0].add_response("start_build", {"build": {"id": "p:1"}}, expected)
        return self

    def is_now(self, status, **more):
        build = {"id": "p:1", "buildStatus": status, **more}
        self.stubs[0].add_response("batch_get_builds", {"builds": [build]}, {"ids": ["p:1"]})
        return self

    def logs_page(self, lines, token, after):
        asked = {**ASKED, "nextToken": token} if token else ASKED
        events = [{"timestamp": 1, "message": f"{line}\n"} for line in lines]
        page = {"events": events, "nextForwardToken": after}
        self.stubs[1].add_response("get_log_events", page, asked)
        return self

    def run(self, architecture="x86_64", sleep=None):
        builds = ImageBuilds(self.codebuild, self.logs, "p", sleep or self.pauses.append)
        for stub in self.stubs:
            stub.activate()
        builds.run(
            "b/c.zip", tag="t", dockerfile="D", architecture=architecture, tell=self.told.append
        )

    def verify(self):
        for stub in self.stubs:
            stub.assert_no_pending_responses()


def test_a_build_is_followed_to_its_end():
    build = Build().begin().is_now("IN_PROGRESS").is_now("IN_PROGRESS", logs=LOG)
    build.stubs[1].add_client_error(
        "get_log_events", "ResourceNotFoundException", expected_params=ASKED
    )
    build.is_now("IN_PROGRESS", logs=LOG).logs_page(["one"], "", "f1").logs_page([], "f1", "f1")
    build.is_now("SUCCEEDED", logs=LOG).logs_page(["two"], "f1", "f2").logs_page([], "f2", "f2")
    build.run()
    build.verify()
    assert build.told == ["one", "two"]


def test_a_build_for_arm_has_a_machine_of_its_own():
    build = Build().begin(
        environmentTypeOverride="ARM_CONTAINER",
        imageOverride="aws/codebuild/amazonlinux-aarch64-standard:3.0",
    )
    build.is_now("SUCCEEDED").run("arm64")
    build.verify()


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("FAILED", "failed"),
        ("TIMED_OUT", "took longer"),
        ("STOPPED", "was stopped"),
        ("FAULT", "could not be run"),
    ],
)
def test_a_failed_build_says_how_its_log_ends(status, says):
    lines = ["[Container] Running command", *map(str, range(9)), "no such file", ""]
    build = Build().begin().is_now(status, logs=LOG)
    build.logs_page(lines, "", "f1").logs_page([], "f1", "f1")
    with pytest.raises(OperationError, match=says) as caught:
        build.run()
    assert caught.value.reason == "4 | 5 | 6 | 7 | 8 | no such file"
    assert "p:1" in caught.value.hint


def test_a_build_that_failed_before_its_log_began():
    contexts = [{"statusCode": "CLIENT_ERROR", "message": "cannot read the source"}]
    build = Build().begin().is_now("FAILED", phases=[{"contexts": contexts}])
    with pytest.raises(OperationError) as caught:
        build.run()
    assert caught.value.reason == "cannot read the source"


def test_an_interrupted_build_is_stopped():
    def interrupted(seconds):
        raise KeyboardInterrupt

    build = Build().begin().is_now("IN_PROGRESS")
    build.stubs[0].add_response("stop_build", {"build": {"id": "p:1"}}, {"id": "p:1"})
    with pytest.raises(KeyboardInterrupt):
        build.run(sleep=interrupted)
    build.verify()


def test_a_build_that_never_ends_is_given_up():
    class Endless:
        def __init__(self):
            self.asked = 0

        def start_build(self, **given):
            return {"build": {"id": "p:1"}}

        def batch_get_builds(self, ids):
            self.asked += 1
            return {"builds": [{"id": "p:1", "buildStatus": "IN_PROGRESS"}]}

    client, waited = Endless(), []
    builds = ImageBuilds(client, None, "p", waited.append)
    with pytest.raises(OperationError, match="does not end"):
        builds.run("b/c", tag="t", dockerfile="D", architecture="x86_64", tell=print)
    assert sum(waited) == pytest.approx(95 * 60)
    assert client.asked == len(waited)


@mock_aws
def test_on_motos_codebuild(monkeypatch):
    session = boto3.Session("a", "b", region_name="us-east-1")
    client = session.client("codebuild")
    builds = ImageBuilds(client, session.client("logs"), "fal-dockerfiles", lambda _: None)
    given = {"tag": "t", "dockerfile": "D", "architecture": "x86_64", "tell": print}
    with pytest.raises(NotFoundError):
        builds.run("b/c", **given)
    client.create_project(
        name="fal-dockerfiles",
        source={"type": "S3", "location": "b/none.zip", "buildspec": "version: 0.2"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            "computeType": "BUILD_GENERAL1_MEDIUM",
        },
        serviceRole="arn:aws:iam::123456789012:role/service-role/r",
    )
    builds.run("b/c", **given)
    assert len(client.list_builds_for_project(projectName="fal-dockerfiles")["ids"]) == 1
