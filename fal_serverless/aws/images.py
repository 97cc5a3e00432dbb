"""The stack's ECR repository. Satisfies ``publish.services.Images``."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from fal_serverless.aws.session import error_code, translated
from fal_serverless.frozen import Frozen
from fal_serverless.package.oci.reference import Reference, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fal_serverless.package.image import BuiltImage
    from fal_serverless.package.oci.registry import Repository

_GONE = ("ImageNotFoundException", "RepositoryNotFoundException")


class ImageRepository(Frozen):
    """One ECR repository.

    Attributes:
        client: of ECR.
        uri: as Lambda is told.
        registry: host that speaks for it, where that is not the URI's own: an emulator's.
    """

    client: Any
    uri: str
    registry: str = ""

    def has(self, digest: str) -> bool:
        """Whether an image is there."""
        with translated("Looking for the image"):
            try:
                found = self.client.describe_images(
                    repositoryName=self._name, imageIds=[{"imageDigest": digest}]
                )
            except ClientError as error:
                if error_code(error) in _GONE:
                    return False
                raise
        return bool(found.get("imageDetails"))

    def tagged(self, tag: str) -> str:
        """The name, with its digest, of the image that has a tag; ``""`` when none has."""
        with translated("Looking for the base image"):
            try:
                found = self.client.describe_images(
                    repositoryName=self._name, imageIds=[{"imageTag": tag}]
                )
            except ClientError as error:
                if error_code(error) in _GONE:
                    return ""
                raise
        digests = [item["imageDigest"] for item in found.get("imageDetails", [])]
        return f"{self._place}@{digests[0]}" if digests else ""

    def push(self, built: BuiltImage, tell: Callable[[int], None]) -> None:
        """Push one; ``tell`` is told of bytes sent.

        Raises:
            AuthError: ECR lets us not in.
            OperationError: it failed.
        """
        from fal_serverless.package.oci.push import push

        base = built.image.base.place
        source = self.repository(base) if base else None
        target = self.repository(self._place)
        push(built.image, target, cache=built.cache, source=source, tell=tell)

    def repository(self, place: Reference) -> Repository:
        """Any repository; logged in where it is ECR's own registry, nobody elsewhere.

        Raises:
            AuthError: ECR gives no token.
        """
        from fal_serverless.package.oci.registry import Repository

        return Repository(place, self._login(place))

    def delete(self, digests: Iterable[str]) -> None:
        """Delete images; those that are gone are no error."""
        wanted = sorted(set(digests))
        with translated("Deleting images"):
            # ECR takes a hundred at a time.
            for start in range(0, len(wanted), 100):
                self.client.batch_delete_image(
                    repositoryName=self._name,
                    imageIds=[{"imageDigest": item} for item in wanted[start : start + 100]],
                )

    @property
    def _name(self) -> str:
        return self.uri.partition("/")[2]

    @property
    def _place(self) -> Reference:
        return Reference(self.registry or parse(self.uri).host, self._name)

    def _login(self, place: Reference) -> tuple[str, str] | None:
        """ECR's password for twelve hours; nobody's for another registry."""
        if place.host != self._place.host:
            return None
        with translated("Logging in to ECR"):
            found = self.client.get_authorization_token()["authorizationData"][0]
        user, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
        return user, password


def host_of(endpoint_url: str | None) -> str:
    """Host and port of an emulator's registry, or ``""`` on AWS."""
    return urlsplit(endpoint_url).netloc if endpoint_url else ""
