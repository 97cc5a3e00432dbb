"""Names of images. Pure."""

from __future__ import annotations

import re

from fal_serverless.errors import SpecError
from fal_serverless.frozen import Frozen

DOCKER_HUB = "registry-1.docker.io"
_NAME = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Reference(Frozen):
    """An image in a registry.

    Attributes:
        host: with its port.
        repository: name inside the registry.
        tag: or empty.
        digest: ``sha256:…``, or empty.
    """

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def version(self) -> str:
        """What the registry is asked for: the digest, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"

    @property
    def insecure(self) -> bool:
        """Whether it is spoken to by http: registries of this machine are."""
        name = self.host.rpartition(":")[0] or self.host
        return name in ("localhost", "127.0.0.1", "[::1]") or name.endswith(".localhost")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}{tag}{digest}"


def parse(text: str) -> Reference:
    """The reference that ``text`` writes, as Docker reads it.

    Raises:
        SpecError: it is none.
    """
    rest, _, digest = text.partition("@")
    first, slash, after = rest.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    host, rest = (first, after) if named else (DOCKER_HUB, rest)
    name, colon, tag = rest.rpartition(":")
    if not colon:
        name, tag = rest, ""
    if host == "docker.io":
        host = DOCKER_HUB
    if host == DOCKER_HUB and "/" not in name:
        name = f"library/{name}"
    bad = not _NAME.fullmatch(name) or (colon and not _TAG.fullmatch(tag))
    if bad or ("@" in text and not _DIGEST.fullmatch(digest)):
        raise SpecError(
            f"'{text}' is not the name of an image.",
            reason="names are [HOST/]REPOSITORY[:TAG][@sha256:DIGEST]",
            hint="for example public.ecr.aws/lambda/python:3.12",
        )
    return Reference(host, name, tag, digest)
