"""From a Dockerfile to a base image: built by the stack once for each content of its context."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless.errors import NotFoundError, OperationError, SpecError
from fal_serverless.package.context import Context, look

if TYPE_CHECKING:
    from collections.abc import Callable

    from fal_serverless.publish.services import Artifacts, BaseImages, Builds
    from fal_serverless.spec import FunctionSpec


@dataclass(frozen=True, kw_only=True)
class Dockerfiles:
    """Builds the bases of functions.

    Attributes:
        builds: None where the stack builds no Dockerfiles.
        folder: of the function's file.
        tell: is told each line of a build's log.
        dry: only looks.
    """

    images: BaseImages
    artifacts: Artifacts
    builds: Builds | None
    folder: Path
    tell: Callable[[str], None] = lambda _: None
    dry: bool = False

    def tag(self, spec: FunctionSpec) -> str:
        """What names the base of a function with a Dockerfile, whether it is built or not.

        Raises:
            SpecError: the Dockerfile or its context is not there, or holds what cannot travel.
        """
        return self._context(spec).tag

    def base(self, spec: FunctionSpec) -> str:
        """The name of the base, with its digest; built when it is not there.

        Raises:
            SpecError: it cannot be built, here or at all.
            NotFoundError: it is not built yet, and this is a dry run.
            OperationError: the build failed, with the end of its log.
        """
        context = self._context(spec)
        found = self.images.tagged(context.tag)
        if found:
            return found
        if self.builds is None:
            raise _not_deployed(spec)
        if self.dry:
            raise NotFoundError(
                f"The base image of '{spec.name}' is not built yet.",
                reason="a dry run builds nothing, and what follows depends on it",
                hint="run it without --dry-run once",
            )
        self._build(context, self.builds, spec)
        found = self.images.tagged(context.tag)
        if not found:
            raise OperationError(
                f"The Dockerfile of '{spec.name}' was built, and its image is not there.",
                reason=f"the repository knows no tag {context.tag}; emulators build nothing",
                hint="on AWS, look at the log of the CodeBuild project",
            )
        return found

    def _build(self, context: Context, builds: Builds, spec: FunctionSpec) -> None:
        key = f"contexts/{context.digest}.zip"
        with tempfile.TemporaryDirectory(prefix="fal-context-") as work:
            path = Path(work) / "context.zip"
            context.write(path)
            # Always: one that is there may be about to expire.
            self.artifacts.upload(key, path)
        builds.run(
            f"{self.artifacts.bucket}/{key}",
            tag=context.tag,
            dockerfile=context.dockerfile,
            architecture=spec.environment.architecture,
            tell=self.tell,
        )

    def _context(self, spec: FunctionSpec) -> Context:
        if spec.dockerfile is None:
            raise AssertionError("a function without a Dockerfile has no context")
        return look(spec.dockerfile, self.folder, spec.environment.architecture)


def _not_deployed(spec: FunctionSpec) -> SpecError:
    path = spec.dockerfile.path if spec.dockerfile else ""
    return SpecError(
        f"The Dockerfile '{path}' of '{spec.name}' cannot be built.",
        reason="this stack was deployed without a builder, which costs money by the minute",
        hint="run: fal-serverless stack deploy --dockerfiles "
        "(or build it elsewhere, and name it: ContainerImage(base='…'))",
    )
