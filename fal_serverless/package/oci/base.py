"""Base images: looked up once, held by digest, from a registry or from a folder of this machine."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fal_serverless.errors import PackagingError, SpecError
from fal_serverless.package.files import sha256_of, write_atomically
from fal_serverless.package.oci.reference import Reference, parse
from fal_serverless.package.oci.registry import Repository, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER = "oci:"
"""``oci:PATH`` names an OCI image layout: a folder such as ``skopeo copy … oci:PATH`` writes."""
_MACHINES = {"x86_64": "amd64", "arm64": "arm64"}
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_GZIPPED = re.compile(
    r"application/vnd\.(oci|docker)\.image\.(layer\.v1|rootfs\.diff)\.tar[.+]gzip"
)


@dataclass(frozen=True)
class Base:
    """A base image.

    Attributes:
        name: with its digest, for people and for the lock.
        config: its configuration.
        layers: descriptors, the lowest first.
        place: where its blobs are, or None for a folder.
        folder: of the layout, or None.
    """

    name: str
    config: Mapping[str, Any]
    layers: tuple[Mapping[str, Any], ...]
    place: Reference | None = None
    folder: Path | None = None

    @property
    def digest(self) -> str:
        """``sha256:…`` of its manifest."""
        return self.name.rpartition("@")[2]

    @property
    def pinned(self) -> str:
        """What names it for ever: of a folder of this machine, that is the digest alone."""
        return self.digest if self.place is None else self.name

    def fetch(self, digest: str, cache: Path, repository: Repository | None) -> Path:
        """A layer's file: the layout's own, or downloaded once.

        Raises:
            OperationError: it is not to be had.
        """
        algorithm, _, name = digest.partition(":")
        if self.folder is not None:
            path = self.folder / "blobs" / algorithm / name
            if not path.is_file() or f"sha256:{sha256_of(path)}" != digest:
                raise _broken(self.folder, f"its layer {digest} is missing or damaged")
            return path
        path = cache / "blobs" / name
        if path.is_file() and f"sha256:{sha256_of(path)}" == digest:
            return path
        if repository is None:
            raise AssertionError("a base in a registry has a repository")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        repository.download(digest, temporary)
        temporary.replace(path)
        return path


def look_up(
    text: str,
    architecture: str,
    cache: Path,
    connect: Callable[[Reference], Repository] = Repository,
) -> Base:
    """The base image that ``text`` names, for one architecture.

    What was looked up by digest is remembered: a build with a base that is named so asks nobody.

    Args:
        connect: makes the repository of a place, with its login.

    Raises:
        SpecError: there is none for the architecture, or Lambda cannot run what it is made of.
        NotFoundError: the registry does not know it.
        OperationError: the registry failed.
    """
    if text.startswith(FOLDER):
        return _of_folder(Path(text.removeprefix(FOLDER)).expanduser().resolve(), architecture)
    place = parse(text)
    remembered = cache / "bases" / f"{place.digest.removeprefix('sha256:')}-{architecture}.json"
    if place.digest and remembered.is_file():
        known = json.loads(remembered.read_bytes())
        return Base(str(place), known["config"], tuple(known["layers"]), place)
    repository = connect(place)
    content, kind = repository.manifest(place.version)
    digest = digest_of(content)
    if kind in _INDEXES:
        digest = _for_machine(json.loads(content), architecture, text)
        content, _ = repository.manifest(digest)
    manifest = json.loads(content)
    scratch = cache / "bases" / f".{digest[7:]}.config"
    scratch.parent.mkdir(parents=True, exist_ok=True)
    repository.download(manifest["config"]["digest"], scratch)
    config = json.loads(scratch.read_bytes())
    scratch.unlink()
    place = replace(place, digest=digest)
    layers = _checked(manifest["layers"], config, architecture, text)
    known = {"config": config, "layers": layers}
    remembered = cache / "bases" / f"{digest[7:]}-{architecture}.json"
    write_atomically(remembered, json.dumps(known).encode())
    return Base(str(place), config, layers, place)


def _of_folder(folder: Path, architecture: str) -> Base:
    def blob(digest: str) -> Any:
        path = folder / "blobs" / digest.replace(":", "/")
        content = path.read_bytes()
        if digest_of(content) != digest:
            raise _broken(folder, f"{digest} is damaged")
        return json.loads(content)

    try:
        index = json.loads((folder / "index.json").read_bytes())
        entry = index["manifests"][0]
        if len(index["manifests"]) > 1:
            digest = _for_machine(index, architecture, f"oci:{folder}")
        else:
            digest = entry["digest"]
        manifest = blob(digest)
        if manifest.get("mediaType") in _INDEXES or "manifests" in manifest:
            digest = _for_machine(manifest, architecture, f"oci:{folder}")
            manifest = blob(digest)
        config = blob(manifest["config"]["digest"])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise _broken(folder, f"it is no OCI image layout: {error}") from error
    layers = _checked(manifest["layers"], config, architecture, f"oci:{folder}")
    return Base(f"oci:{folder}@{digest}", config, layers, folder=folder)


def _for_machine(index: Mapping[str, Any], architecture: str, text: str) -> str:
    wanted = _MACHINES[architecture]
    for entry in index["manifests"]:
        platform = entry.get("platform", {})
        if platform.get("os", "linux") == "linux" and platform.get("architecture") == wanted:
            return str(entry["digest"])
    raise SpecError(
        f"The base image '{text}' is not there for {architecture}.",
        reason=f"its index names no linux/{wanted}",
        hint="choose another base, or the other architecture",
    )


def _checked(
    layers: list[Mapping[str, Any]], config: Mapping[str, Any], architecture: str, text: str
) -> tuple[Mapping[str, Any], ...]:
    said = config.get("architecture", _MACHINES[architecture])
    if said != _MACHINES[architecture]:
        raise SpecError(
            f"The base image '{text}' is for {said}.",
            reason=f"the function is for {architecture}",
            hint="choose another base, or set architecture=… of the function",
        )
    for layer in layers:
        if not _GZIPPED.fullmatch(layer["mediaType"]):
            raise SpecError(
                f"The base image '{text}' has layers that Lambda does not take.",
                reason=f"one is {layer['mediaType']}, and Lambda wants gzipped tars",
                hint="convert it, for example with: skopeo copy --dest-compress-format gzip",
            )
    return tuple(layers)


def _broken(folder: Path, why: str) -> PackagingError:
    return PackagingError(
        f"The base image in '{folder}' cannot be used.",
        reason=why,
        hint="write it again, for example with: skopeo copy docker://… oci:PATH",
    )
