"""What a called function runs in, without the function: layers, or an image where they do not fit.

A call brings its code along, so that an environment is named by what it is made from; an image of
it is made only when there is none yet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fal_serverless import package
from fal_serverless.package import bundle as bundles
from fal_serverless.package.archive import Entry
from fal_serverless.package.image import CLIENT, BuiltImage, build_image
from fal_serverless.package.runtime_layer import build_runtime_layer
from fal_serverless.package.uv import Runner, run_uv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fal_serverless.package import Progress
    from fal_serverless.package.bundle import Bundle
    from fal_serverless.package.layer import Layer
    from fal_serverless.package.oci.reference import Reference
    from fal_serverless.package.oci.registry import Repository
    from fal_serverless.spec import FunctionSpec


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What an environment is made from.

    Attributes:
        layers: in Lambda's order: the requirements' first, the runtime last.
        why: why it becomes an image, for people; empty for layers.
    """

    layers: tuple[Layer, ...]
    why: str = ""

    def names(self, base: str) -> list[str]:
        """What tells it from others; ``base`` names the image that an image begins with."""
        found = [layer.digest for layer in self.layers]
        return [*found, "image", base, CLIENT] if self.why else found


def needs(spec: FunctionSpec, *, cache: Path, progress: Progress, run: Runner = run_uv) -> Needs:
    """The layers of an environment, and whether an image is made of them.

    Raises:
        RequirementsError: the requirements have no answer for the target.
        PackagingError: uv failed.
    """
    _, made = package.requirements_layer(spec, cache, progress, run)
    runtime = build_runtime_layer(spec.environment.python, cache)
    parts = {**(made.parts if made else {}), "runtime": runtime.unzipped}
    layers = (*([made] if made else []), runtime)
    return Needs(layers=layers, why=package.why_image(spec, parts))


def placeholder(spec: FunctionSpec, work: Path) -> Bundle:
    """The bundle of an environment: Lambda wants one, and the layers hold everything."""
    about = json.dumps({"python": spec.environment.python}).encode()
    return bundles.write(work, {"environment.json": Entry(about)})


def image(
    spec: FunctionSpec,
    found: Needs,
    bundle: Bundle,
    *,
    handler: str,
    cache: Path,
    base: str,
    owner: str,
    connect: Callable[[Reference], Repository],
    run: Runner = run_uv,
) -> BuiltImage:
    """The image of an environment.

    Args:
        base: name, or ``""`` for AWS's own.
        owner: user id.
        connect: makes the repository of the base, with its login.

    Raises:
        SpecError: the base is not there for the function's processor, or unusable.
        NotFoundError: its registry does not know it.
        OperationError: its registry failed.
    """
    return build_image(
        spec,
        found.layers,
        bundle,
        handler=handler,
        cache=cache,
        base=base,
        owner=owner,
        run=run,
        connect=connect,
    )
