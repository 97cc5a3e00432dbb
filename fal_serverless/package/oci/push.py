"""An image into a repository: blobs first, and what names them last."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fal_serverless.package.oci.content import Content, InFile, InMemory
from fal_serverless.package.oci.image import MANIFEST_TYPE
from fal_serverless.package.oci.registry import Repository, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fal_serverless.package.oci.image import Image

PARALLEL = 4


@dataclass(frozen=True)
class Pushed:
    """What a push came to.

    Attributes:
        digest: of the manifest.
        sent: bytes of blobs that had to travel.
        mounted: layers that were taken over within the registry.
        there: blobs that were there already.
    """

    digest: str
    sent: int
    mounted: int
    there: int


def push(
    image: Image,
    target: Repository,
    *,
    cache: Path,
    source: Repository | None = None,
    tag: str = "",
    tell: Callable[[int], None] = lambda _: None,
) -> Pushed:
    """Push an image; whatever is there already is not sent.

    A manifest is stored only after each of its blobs was confirmed, so that no image ever names
    what is not there; a push that was cut is finished by running it again.

    Args:
        cache: folder of downloaded blobs.
        source: the base's repository, if it lies in a registry.
        tag: a name beside the digest, or empty.
        tell: is told of bytes sent.

    Raises:
        OperationError: the registry failed.
        AuthError: it lets us not in.
    """

    def ours(digest: str, content: Content) -> tuple[int, int, int]:
        if target.has(digest):
            return 0, 0, 1
        target.upload(digest, content, tell)
        return content.size, 0, 0

    def theirs(digest: str) -> tuple[int, int, int]:
        if target.has(digest):
            return 0, 0, 1
        same = source is not None and source.place.host == target.place.host
        if same and source is not None and target.mount(digest, source.place.repository):
            return 0, 1, 0
        return ours(digest, InFile(image.base.fetch(digest, cache, source)))

    with ThreadPoolExecutor(PARALLEL) as pool:
        # Images name an empty layer more than once.
        below = dict.fromkeys(str(layer["digest"]) for layer in image.base.layers)
        waiting = [pool.submit(theirs, digest) for digest in below]
        waiting += [pool.submit(ours, blob.digest, blob) for _, blob in image.layers]
        done = [future.result() for future in waiting]
    done.append(ours(digest_of(image.config), InMemory(image.config)))
    digest = target.put_manifest(tag or image.digest, image.manifest, MANIFEST_TYPE)
    sent, mounted, there = (sum(column) for column in zip(*done, strict=True))
    return Pushed(digest, sent, mounted, there)
