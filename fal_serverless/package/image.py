"""From layers and a bundle to a container image that Lambda runs.

Three layers of our own go on the base, the steadiest first: AWS's runtime client, which only
depends on Python and the processor; the requirements, named by their lock; and the runtime with
the function, which is all that a change of the code sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fal_serverless.names import DATA
from fal_serverless.package import layer as layers
from fal_serverless.package.lock import resolve
from fal_serverless.package.oci.base import look_up
from fal_serverless.package.oci.image import Image, assemble
from fal_serverless.package.oci.registry import Repository
from fal_serverless.package.oci.tar import OPT, Blob, describe, remembered
from fal_serverless.spec import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fal_serverless.package.bundle import Bundle
    from fal_serverless.package.oci.reference import Reference
    from fal_serverless.package.uv import Runner
    from fal_serverless.spec import FunctionSpec

CLIENT = "awslambdaric==4.2.2"
"""AWS's runtime client: asks Lambda for events and calls the handler."""
AWS_BASE = "public.ecr.aws/lambda/python"
TASK = "/var/task"


@dataclass(frozen=True)
class BuiltImage:
    """An image on this machine.

    Attributes:
        cache: folder of downloaded blobs, which a push needs again.
    """

    image: Image
    cache: Path

    @property
    def digest(self) -> str:
        """``sha256:…`` of the manifest."""
        return self.image.digest

    @property
    def base(self) -> str:
        """What it begins with, by digest."""
        return self.image.base.pinned

    @property
    def size(self) -> int:
        """Bytes of the layers of our own, compressed: what a push may have to send."""
        return sum(blob.size for _, blob in self.image.layers)


def build_image(
    spec: FunctionSpec,
    needed: Sequence[layers.Layer],
    bundle: Bundle,
    *,
    handler: str,
    cache: Path,
    base: str,
    owner: str,
    run: Runner,
    connect: Callable[[Reference], Repository] | None = None,
) -> BuiltImage:
    """The image of a function whose layers and bundle are built.

    Args:
        needed: in Lambda's order, the runtime's last.
        handler: what Lambda's runtime client calls.
        base: name, or ``""`` for AWS's own.
        owner: user id.
        connect: makes the repository of the base, with its login; None: without one.

    Raises:
        SpecError: the base is not there for the function's processor, or unusable.
        NotFoundError: its registry does not know it.
        OperationError: its registry failed.
        PackagingError: uv failed.
    """
    environment = spec.environment
    found = look_up(
        base or f"{AWS_BASE}:{environment.python}",
        environment.architecture,
        cache / "images",
        connect or Repository,
    )
    ours = [("runtime client", _client(environment, cache, run))]
    *below, runtime = needed
    ours += [("requirements", _blob(made, OPT, cache)) for made in below]
    top = describe([(runtime.path, OPT), (bundle.path, f"{TASK[1:]}/")], {"data": DATA})
    ours.append(("function", top))
    image = assemble(
        found,
        ours,
        entrypoint=[f"python{environment.python}", "-m", "awslambdaric"],
        command=[handler],
        variables={
            # The function's own packages win over the client's.
            "PYTHONPATH": f"{TASK}:/opt/python:/opt/client/python",
            "LAMBDA_TASK_ROOT": TASK,
        },
        folder=TASK,
        labels={
            "fal-serverless.owner": owner,
            "fal-serverless.name": spec.name,
            "org.opencontainers.image.base.digest": found.digest,
        },
    )
    return BuiltImage(image, cache / "images")


def _client(environment: Environment, cache: Path, run: Runner) -> Blob:
    alone = Environment(
        requirements=(CLIENT,), python=environment.python, architecture=environment.architecture
    )
    made = layers.build(resolve(alone, cache, run), alone, cache, run)
    return _blob(made, f"{OPT}client/", cache)


def _blob(made: layers.Layer, prefix: str, cache: Path) -> Blob:
    if made.sums is not None and prefix == OPT:
        return Blob(made.sums, ((made.path, prefix),))
    # By the zip's own bytes: another version of the compressor makes others of the same files.
    name = f"{prefix.strip('/').replace('/', '-')}-{made.sha256}.json"
    return remembered(made.path, prefix, cache / "images" / "layers" / name)
