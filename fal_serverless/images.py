"""What a container image is made from: plain values, nothing is looked up here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from fal_serverless.errors import SpecError


@dataclass(frozen=True)
class ContainerImage:
    """The base of a function's image; requirements, runtime and function are put on top.

    Attributes:
        base: an image in a registry (``[HOST/]REPOSITORY[:TAG][@sha256:DIGEST]``), or ``oci:PATH``
            for an OCI layout on this machine; ``""`` for AWS's own Python image. It must hold a
            ``python3.N`` of the function's minor version on its path.
    """

    base: str = ""

    @classmethod
    def from_dockerfile(cls, path: object) -> NoReturn:
        """Refused: nothing here builds Dockerfiles.

        Raises:
            SpecError: always.
        """
        raise SpecError(
            f"The Dockerfile {path} cannot be built.",
            reason="images are assembled without Docker, and a Dockerfile is a program for it",
            hint="build it elsewhere, push it, and name it: ContainerImage(base='…')",
        )
