"""What a container image is made from: plain values, nothing is looked up here."""

from __future__ import annotations

import os

from fal_serverless.errors import SpecError
from fal_serverless.frozen import Frozen


class Dockerfile(Frozen):
    """A Dockerfile that the stack builds.

    Attributes:
        path: relative to the function's file.
        context: folder that it is built in, relative to the function's file; ``""`` for its own.
    """

    path: str
    context: str = ""


class ContainerImage(Frozen):
    """The base of a function's image; requirements, runtime and function are put on top.

    Attributes:
        base: an image in a registry (``[HOST/]REPOSITORY[:TAG][@sha256:DIGEST]``), or ``oci:PATH``
            for an OCI layout on this machine; ``""`` for AWS's own Python image. It must hold a
            ``python3.N`` of the function's minor version on its path.
        dockerfile: builds the base instead.
    """

    base: str = ""
    dockerfile: Dockerfile | None = None

    @classmethod
    def from_dockerfile(
        cls, path: str | os.PathLike[str], *, context: str | os.PathLike[str] = ""
    ) -> ContainerImage:
        """A base that AWS CodeBuild makes of a Dockerfile, in stacks that were deployed for it.

        Args:
            path: relative to the function's file.
            context: folder that it is built in, relative to the function's file; without it, the
                Dockerfile's own.

        Raises:
            SpecError: one of them is no path.
        """
        texts = []
        for name, value in (("path", path), ("context", context)):
            if not isinstance(value, (str, os.PathLike)) or (name == "path" and not str(value)):
                raise SpecError(
                    f"The {name} of a Dockerfile cannot be {value!r}.",
                    reason="it is a path, relative to the function's file",
                    hint="write ContainerImage.from_dockerfile('Dockerfile')",
                )
            texts.append(os.fspath(value))
        return cls(dockerfile=Dockerfile(*texts))
