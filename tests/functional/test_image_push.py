"""Pushing images: what recovers, what fails and how, and that nothing half is ever named."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fal_serverless.errors import (
    AuthError,
    NotFoundError,
    OperationError,
    PackagingError,
    SpecError,
)
from fal_serverless.package.archive import Entry, write_zip
from fal_serverless.package.oci.base import look_up
from fal_serverless.package.oci.image import assemble
from fal_serverless.package.oci.push import push
from fal_serverless.package.oci.reference import Reference, parse
from fal_serverless.package.oci.registry import Repository, digest_of
from fal_serverless.package.oci.tar import describe, remembered, summing
from tests.support.base import layout, tar_of
from tests.support.registry import Faults, registry

if TYPE_CHECKING:
    from pathlib import Path


def an_image(folder: Path, *, code: bytes = b"1", base=None, size=300_000):
    folder.mkdir(parents=True, exist_ok=True)
    if base is None:
        base = look_up(layout(folder / "base", tar_of({"etc/base": b"b" * size})), "x86_64", folder)
    zipped = folder / f"{code.hex()}.zip"
    write_zip(zipped, {"a/code.py": Entry(code), "a/run": Entry(b"#!", executable=True)})
    layer = describe([(zipped, "var/task/")], {"data": "/mnt"})
    return assemble(
        base,
        [("function", layer)],
        command=["h"],
        entrypoint=["python3"],
        variables={"A": "b"},
        folder="/var/task",
        labels={},
    )


def repository(server, name="ours", pauses=None, login=None):
    pauses = [] if pauses is None else pauses
    return Repository(Reference(server.host, name), login, sleep=pauses.append)


def test_an_image_arrives_whole_and_once(tmp_path):
    image = an_image(tmp_path)
    with registry() as server:
        first = push(image, repository(server), cache=tmp_path)
        again = push(image, repository(server), cache=tmp_path)
        content, kind = server.manifests["ours", image.digest]
    assert (content, kind) == (image.manifest, "application/vnd.oci.image.manifest.v1+json")
    assert first.digest == image.digest
    assert first.sent > 0
    assert (again.sent, again.there) == (0, 3)
    manifest = json.loads(content)
    config = json.loads(server.blobs["ours", manifest["config"]["digest"]])
    assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == len(config["history"])
    assert config["config"]["Env"] == ["PATH=/usr/local/bin:/usr/bin:/bin", "A=b"]


def test_changed_code_sends_the_changed_layer_alone(tmp_path):
    image = an_image(tmp_path)
    changed = an_image(tmp_path, code=b"2", base=image.base)
    with registry() as server:
        push(image, repository(server), cache=tmp_path)
        second = push(changed, repository(server), cache=tmp_path)
    assert second.there == 1
    assert second.sent < 5_000


def test_the_same_inputs_make_the_same_image(tmp_path):
    assert an_image(tmp_path / "a").digest == an_image(tmp_path / "b").digest
    assert an_image(tmp_path / "c", code=b"2").digest != an_image(tmp_path / "d").digest


def test_layers_come_over_from_the_base_where_the_registry_lets_them(tmp_path):
    image = an_image(tmp_path)
    for mounts in (True, False):
        with registry(Faults(mounts=mounts)) as server:
            push(image, repository(server, "base"), cache=tmp_path, tag="1")
            base = look_up(f"{server.host}/base:1", "x86_64", tmp_path / str(mounts))
            ours = an_image(tmp_path, code=b"2", base=base)
            cache = tmp_path / f"cache-{mounts}"
            source = Repository(base.place)
            done = push(ours, repository(server), cache=cache, source=source)
            assert ("ours", ours.digest) in server.manifests
        assert done.mounted == (2 if mounts else 0)
        assert (cache / "blobs").exists() is not mounts


def test_a_base_named_by_its_digest_is_asked_for_once(tmp_path):
    with registry() as server:
        done = push(an_image(tmp_path), repository(server, "base"), cache=tmp_path, tag="1")
        name = f"{server.host}/base@{done.digest}"
        first = look_up(name, "x86_64", tmp_path)
    assert look_up(name, "x86_64", tmp_path) == first
    assert first.name == name


@pytest.mark.parametrize(
    "faults",
    [
        Faults(cuts=2),
        Faults(statuses={"POST": [503, 500, 429], "HEAD": [502], "PUT": [503]}),
        # More than the other thread can use up between a login and the request after it.
        Faults(lives=5),
        Faults(lives=5, cuts=1),
    ],
)
def test_what_passes_is_waited_for(tmp_path, faults):
    image, pauses = an_image(tmp_path), []
    with registry(faults) as server:
        push(image, repository(server, pauses=pauses), cache=tmp_path)
        assert ("ours", image.digest) in server.manifests


@pytest.mark.parametrize(
    ("faults", "error", "says"),
    [
        (Faults(cuts=99), OperationError, "upload"),
        (Faults(statuses={"PUT": [507] * 99}), OperationError, "the disk is full"),
        (Faults(statuses={"POST": [413]}), OperationError, "the disk is full"),
        (Faults(lies=True), OperationError, "arrived as"),
        (Faults(statuses={"HEAD": [403]}), AuthError, "403"),
    ],
)
def test_what_does_not_pass_fails_and_names_nothing(tmp_path, faults, error, says):
    with registry(faults) as server:
        with pytest.raises(error) as caught:
            push(an_image(tmp_path), repository(server), cache=tmp_path)
        assert server.manifests == {}
    assert says in f"{caught.value.message} {caught.value.reason}"
    assert caught.value.hint


def test_a_registry_that_nobody_answers_at(tmp_path):
    with registry() as server:
        gone = repository(server)
    with pytest.raises(OperationError) as caught:
        push(an_image(tmp_path), gone, cache=tmp_path)
    assert gone.place.host in caught.value.message
    with pytest.raises(OperationError) as caught:
        look_up(str(gone.place), "x86_64", tmp_path, lambda place: replace(gone, place=place))
    assert "cannot be reached" in caught.value.message
    assert "oci:PATH" in caught.value.hint


def test_a_damaged_download_is_fetched_again_and_never_used(tmp_path):
    with registry(Faults(mounts=False)) as server:
        push(an_image(tmp_path), repository(server, "base"), cache=tmp_path, tag="1")
        base = look_up(f"{server.host}/base:1", "x86_64", tmp_path)
        digest = base.layers[0]["digest"]
        server.faults.corrupt = 2
        place = Repository(base.place, sleep=lambda _: None)
        path = base.fetch(digest, tmp_path, place)
        good = path.read_bytes()
        path.write_bytes(b"damaged")
        assert base.fetch(digest, tmp_path, place).read_bytes() == good
        path.unlink()
        server.faults.corrupt = 99
        with pytest.raises(OperationError, match="download"):
            base.fetch(digest, tmp_path, place)
    assert not path.exists()


def test_a_base_that_names_a_layer_twice(tmp_path):
    plain = an_image(tmp_path)
    config = json.loads(json.dumps(plain.base.config))
    config["rootfs"]["diff_ids"] *= 2
    twice = replace(plain.base, layers=plain.base.layers * 2, config=config)
    with registry(Faults(mounts=False)) as server:
        image = an_image(tmp_path, base=twice)
        done = push(image, repository(server, "base"), cache=tmp_path, tag="1")
        base = look_up(f"{server.host}/base:1", "x86_64", tmp_path / "other")
        again = an_image(tmp_path, code=b"2", base=base)
        source = Repository(base.place)
        push(again, repository(server), cache=tmp_path / "other", source=source)
        assert ("ours", again.digest) in server.manifests
    assert done.sent > 0
    assert len(json.loads(again.manifest)["layers"]) == 4


def test_a_base_that_is_not_there(tmp_path):
    with registry() as server, pytest.raises(NotFoundError):
        look_up(f"{server.host}/nothing:1", "x86_64", tmp_path)


def test_bases_that_lambda_cannot_run(tmp_path):
    name = layout(tmp_path / "arm", tar_of({"a": b""}), architecture="arm64")
    with pytest.raises(SpecError, match="arm64"):
        look_up(name, "x86_64", tmp_path)
    with pytest.raises(PackagingError, match="cannot be used"):
        look_up(f"oci:{tmp_path / 'nowhere'}", "x86_64", tmp_path)
    for blob in (tmp_path / "arm" / "blobs" / "sha256").iterdir():
        blob.write_bytes(b"damaged")
    with pytest.raises(PackagingError, match="cannot be used"):
        look_up(name, "arm64", tmp_path)


def test_a_layer_is_the_tar_of_what_the_zips_hold(tmp_path):
    large = random.Random(1).randbytes(3 << 20) + bytes(9 << 20)
    entries = {
        "a/large": Entry(large),
        "a/empty": Entry(b""),
        f"{'long/' * 40}name-é": Entry(b"#!", executable=True),
    }
    with summing("opt/") as watch:
        write_zip(tmp_path / "z.zip", entries, watch)
        seen = watch.end({})
    blob = describe([(tmp_path / "z.zip", "opt/")])
    assert blob.sums == seen
    content = b"".join(blob.chunks())
    assert (len(content), digest_of(content)) == (blob.size, blob.digest)
    plain = gzip.decompress(content)
    assert (len(plain), digest_of(plain)) == (blob.sums.length, blob.diff_id)
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        found = {item.name: item for item in tar}
        for name, entry in entries.items():
            assert tar.extractfile(f"opt/{name}").read() == entry.content
            assert found[f"opt/{name}"].mode == (0o755 if entry.executable else 0o644)
    assert found["opt"].isdir()
    assert found["opt/long/long"].isdir()


def test_what_is_remembered_of_a_layer_is_made_again_when_it_cannot_be_read(tmp_path):
    zipped, known = tmp_path / "z.zip", tmp_path / "known.json"
    write_zip(zipped, {"a": Entry(b"1")})
    made = remembered(zipped, "opt/", known)
    assert remembered(zipped, "opt/", known) == made
    known.write_bytes(b"damaged")
    assert remembered(zipped, "opt/", known) == made


def test_a_damaged_zip_makes_no_layer_and_is_never_sent(tmp_path):
    zipped = tmp_path / "z.zip"
    write_zip(zipped, {"a": Entry(b"some words " * 100)})
    good = zipped.read_bytes()
    layer = describe([(zipped, "opt/")])
    damaged = bytearray(good)
    damaged[40] ^= 0xFF
    zipped.write_bytes(bytes(damaged))
    with pytest.raises(PackagingError, match="cannot be read"):
        describe([(zipped, "opt/")])
    with registry() as server:
        with pytest.raises(OperationError, match="DIGEST_INVALID"):
            repository(server).upload(layer.digest, layer)
        assert server.blobs == {}
    zipped.write_bytes(good[:60])
    with pytest.raises(PackagingError, match="cannot be read"):
        describe([(zipped, "opt/")])


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("python", "registry-1.docker.io", "library/python", "", ""),
        ("me/app:1", "registry-1.docker.io", "me/app", "1", ""),
        ("docker.io/library/python:3", "registry-1.docker.io", "library/python", "3", ""),
        ("localhost:5000/a/b", "localhost:5000", "a/b", "", ""),
        ("public.ecr.aws/lambda/python:3.12", "public.ecr.aws", "lambda/python", "3.12", ""),
        ("h.io/a@sha256:" + "0" * 64, "h.io", "a", "", "sha256:" + "0" * 64),
    ],
)
def test_names_of_images(text, host, repository, tag, digest):
    assert parse(text) == Reference(host, repository, tag, digest)


@pytest.mark.parametrize(
    "text", ["", "A/B", "h.io/", "h.io/a:", "h.io/a@sha256:1", "a b", "h.io//a"]
)
def test_what_is_no_name_of_an_image(text):
    with pytest.raises(SpecError, match="not the name of an image"):
        parse(text)
