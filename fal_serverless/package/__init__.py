"""From a decorated function to content-addressed artifacts.

The requirements are resolved for Lambda into a lock; the lock names a layer, which is built once
and kept. The function is described (arguments, OpenAPI) and pickled into a small bundle. Our own
runtime is a layer as well. Everything is weighed before anything is sent.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from fal_serverless.errors import SpecError
from fal_serverless.names import HANDLER
from fal_serverless.package import bundle as bundles
from fal_serverless.package import layer as layers
from fal_serverless.package import requirements, sizes
from fal_serverless.package.describe import describe
from fal_serverless.package.forgotten import Used, forgotten
from fal_serverless.package.lock import Lock, resolve
from fal_serverless.package.pickling import dump
from fal_serverless.package.runtime_layer import build_runtime_layer
from fal_serverless.package.uv import Runner, run_uv
from fal_serverless.spec import TRIMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from fal_serverless.discover import Discovered
    from fal_serverless.package.bundle import Bundle
    from fal_serverless.package.image import BuiltImage
    from fal_serverless.package.layer import Layer
    from fal_serverless.package.oci.reference import Reference
    from fal_serverless.package.oci.registry import Repository
    from fal_serverless.spec import FunctionSpec, PackageKind

PYDANTIC = "pydantic>=2"


@dataclass(frozen=True, kw_only=True)
class Package:
    """Everything that a revision is made of.

    Attributes:
        layers: in Lambda's order: the requirements' first, the runtime last.
        parts: unzipped bytes by package, our runtime and the bundle included.
        openapi: for serve mode, else None.
        image: for image packages, else None.
        why: why it is an image, for people; empty for layers.
        forgotten: distributions that it seems to lack, by the module that it uses.
    """

    spec: FunctionSpec
    kind: PackageKind
    bundle: Bundle
    layers: tuple[Layer, ...]
    lock: Lock | None
    parts: Mapping[str, int]
    openapi: Mapping[str, Any] | None
    image: BuiltImage | None = None
    why: str = ""
    forgotten: Mapping[str, str] = field(default_factory=dict)

    @property
    def trimmed(self) -> dict[str, int]:
        """Bytes that were left out on request, by kind."""
        return {kind: size for made in self.layers for kind, size in made.trimmed.items()}

    @property
    def unzipped(self) -> int:
        """Bytes of everything, unzipped."""
        return sum(self.parts.values())


class Progress(Protocol):
    """Is told what happens, for a person to see."""

    def begin(self, text: str, total: int | None = None) -> None:
        """A step begins."""

    def end(self, seconds: float) -> None:
        """The step is done."""


def build(
    found: Discovered,
    *,
    cache: Path,
    work: Path,
    progress: Progress,
    run: Runner = run_uv,
    wanted_kind: str = "auto",
    trim: bool = False,
    base: str = "",
    owner: str = "",
    connect: Callable[[Reference], Repository] | None = None,
    dockerfiles: Callable[[FunctionSpec], str] | None = None,
) -> Package:
    """Package a discovered function.

    Args:
        found: the function.
        cache: folder of locks and layers, shared by all publishes and safe for several at once.
        work: a folder of this publish alone, where the bundle is written.
        progress: is told the steps.
        run: runs uv.
        wanted_kind: ``layer``, ``image`` or ``auto``: layers if they fit and the function asks
            for no container.
        trim: leave out every kind of ``spec.TRIMS``, whatever the function says.
        base: image of functions that name none, ``""`` for AWS's own.
        owner: user id, written into images, so that no two users share one.
        connect: makes the repository of a base image, with its login; None: without one.
        dockerfiles: gives the name of the base that a function's Dockerfile makes.

    Raises:
        SpecError: an option or the signature cannot be served.
        RequirementsError: the requirements have no answer for the target.
        ArchitectureError: a shared object is not made for the target.
        PackageTooLargeError: it is above Lambda's limit.
        SerializationError: the function cannot be pickled.
        PackagingError: uv failed.
    """
    wanted = requirements.read(found.function.options.get("requirements"), found.path.parent)
    spec = found.function.spec(wanted)
    _check_kind(spec, wanted_kind)
    description = describe(found.function.function, spec.name) if spec.mode == "serve" else None
    if description is not None and description.needs_pydantic:
        spec = _with_pydantic(found, wanted)
    if trim:
        spec = spec.replace(environment=spec.environment.replace(trim=TRIMS))
    # The cheap checks come first: pickling and the user's files fail before anything is fetched.
    used = Used()
    pickled = dump(
        found.function.function,
        found.function.setup_function,
        found.modules,
        folder=found.path.parent,
        used=used,
    )
    extra = [*found.sources, *bundles.user_files(spec.files, found.path.parent)]
    if spec.dockerfile is not None:
        if dockerfiles is None:
            raise AssertionError("whoever builds functions with Dockerfiles says how")
        with _step(progress, f"find or build the image of {spec.dockerfile.path}"):
            base = dockerfiles(spec)
    lock, made = requirements_layer(spec, cache, progress, run)
    with _step(progress, "prepare the runtime layer"):
        runtime = build_runtime_layer(spec.environment.python, cache)
    files = bundles.entries(
        spec,
        pickled,
        arguments=description.arguments if description else None,
        openapi=description.openapi if description else None,
        native=made.native if made else False,
        extra=extra,
    )
    with _step(progress, "zip the bundle"):
        bundle = bundles.write(work, files)
    parts = dict(made.parts) if made else {}
    parts["fal_serverless runtime"] = runtime.unzipped
    parts["the function's bundle"] = bundle.unzipped
    built = Package(
        spec=spec,
        kind="layer" if made else "none",
        bundle=bundle,
        layers=(*([made] if made else []), runtime),
        lock=lock,
        parts=parts,
        openapi=description.openapi if description else None,
        forgotten=forgotten(
            used,
            found.sources,
            [wheel.name for wheel in lock.wheels] if lock else [],
        ),
    )
    why = why_image(spec, parts, wanted_kind)
    if not why:
        sizes.check(spec.name, parts)
        return built
    from fal_serverless.package.image import build_image

    with _step(progress, "build the image"):
        image = build_image(
            spec,
            built.layers,
            bundle,
            handler=HANDLER,
            cache=cache,
            base=spec.base or base,
            owner=owner,
            run=run,
            connect=connect,
        )
    # What a base of the user's own brings is not known here.
    missed = {} if spec.base or base else built.forgotten
    return replace(built, kind="image", image=image, why=why, forgotten=missed)


def _check_kind(spec: FunctionSpec, wanted: str) -> None:
    if wanted == "layer" and spec.kind == "container":
        raise SpecError(
            f"'{spec.name}' cannot be served as a layer.",
            reason="it is decorated with kind='container'",
            hint="leave --package out, or leave kind out",
        )


def why_image(spec: FunctionSpec, parts: Mapping[str, int], wanted: str = "auto") -> str:
    """Why something becomes an image, for people; ``""`` when it does not.

    Args:
        parts: unzipped bytes by package.
        wanted: ``layer``, ``image`` or ``auto``.
    """
    if spec.kind == "container":
        return "kind='container' asks for one"
    if wanted == "image":
        return "--package image asks for one"
    unzipped = sum(parts.values())
    if wanted == "layer" or unzipped <= sizes.UNZIPPED_MAX:
        return ""
    return (
        f"it is {unzipped / 1e6:.1f} MB unzipped, and layers take "
        f"{sizes.UNZIPPED_MAX / 1e6:.1f} MB: {sizes.largest(parts)}"
    )


def _with_pydantic(found: Discovered, wanted: tuple[str, ...]) -> FunctionSpec:
    if "pydantic" in requirements.names(wanted):
        return found.function.spec(wanted)
    return found.function.spec((*wanted, PYDANTIC))


def requirements_layer(
    spec: FunctionSpec, cache: Path, progress: Progress, run: Runner
) -> tuple[Lock | None, Layer | None]:
    """The lock and the layer of a function's requirements, if it has any.

    Raises:
        RequirementsError: the requirements have no answer for the target.
        ArchitectureError: a shared object is not made for the target.
        PackagingError: uv failed.
    """
    environment = spec.environment
    if not environment.requirements:
        return None, None
    with _step(progress, f"resolve {len(environment.requirements)} requirements"):
        lock = resolve(environment, cache, run)
    if not lock.wheels:
        return None, None
    with _step(progress, f"build the layer of {len(lock.wheels)} packages"):
        made = layers.build(lock, environment, cache, run)
    return lock, made


@contextmanager
def _step(progress: Progress, text: str) -> Iterator[None]:
    progress.begin(text)
    start = time.perf_counter()
    yield
    progress.end(time.perf_counter() - start)
