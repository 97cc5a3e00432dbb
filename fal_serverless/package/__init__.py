"""From a decorated function to content-addressed artifacts.

The requirements are resolved for Lambda into a lock; the lock names a layer, which is built once
and kept. The function is described (arguments, OpenAPI) and pickled into a small bundle. Our own
runtime is a layer as well. Everything is weighed before anything is sent.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fal_serverless.errors import SpecError
from fal_serverless.package import bundle as bundles
from fal_serverless.package import layer as layers
from fal_serverless.package import requirements, sizes
from fal_serverless.package.describe import describe
from fal_serverless.package.lock import Lock, resolve
from fal_serverless.package.pickling import dump
from fal_serverless.package.runtime_layer import build_runtime_layer
from fal_serverless.package.uv import Runner, run_uv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fal_serverless.discover import Discovered
    from fal_serverless.package.bundle import Bundle
    from fal_serverless.package.layer import Layer
    from fal_serverless.spec import FunctionSpec, PackageKind

PYDANTIC = "pydantic>=2"


@dataclass(frozen=True, kw_only=True)
class Package:
    """Everything that a revision is made of.

    Attributes:
        layers: in Lambda's order: the requirements' first, the runtime last.
        parts: unzipped bytes by package, our runtime and the bundle included.
        openapi: for serve mode, else None.
    """

    spec: FunctionSpec
    kind: PackageKind
    bundle: Bundle
    layers: tuple[Layer, ...]
    lock: Lock | None
    parts: Mapping[str, int]
    openapi: Mapping[str, Any] | None

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
) -> Package:
    """Package a discovered function.

    Args:
        found: the function.
        cache: folder of locks and layers, shared by all publishes and safe for several at once.
        work: a folder of this publish alone, where the bundle is written.
        progress: is told the steps.
        run: runs uv.

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
    refuse_unbuilt(spec)
    description = describe(found.function.function, spec.name) if spec.mode == "serve" else None
    if description is not None and description.needs_pydantic:
        spec = _with_pydantic(found, wanted)
    # The cheap checks come first: pickling and the user's files fail before anything is fetched.
    pickled = dump(found.function.function, found.function.setup_function, found.modules)
    extra = [*found.sources, *bundles.user_files(spec.files, found.path.parent)]
    lock, made = _requirements_layer(spec, cache, progress, run)
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
    sizes.check(spec.name, parts)
    return Package(
        spec=spec,
        kind="layer" if made else "none",
        bundle=bundle,
        layers=(*([made] if made else []), runtime),
        lock=lock,
        parts=parts,
        openapi=description.openapi if description else None,
    )


def environment_layers(
    spec: FunctionSpec, *, cache: Path, progress: Progress, run: Runner = run_uv
) -> tuple[Layer, ...]:
    """The layers of an environment without a function: the requirements' and the runtime's.

    Raises:
        SpecError: the environment cannot be made of layers.
        RequirementsError: the requirements have no answer for the target.
        PackageTooLargeError: they are above Lambda's limit.
        PackagingError: uv failed.
    """
    refuse_unbuilt(spec)
    _, made = _requirements_layer(spec, cache, progress, run)
    runtime = build_runtime_layer(spec.environment.python, cache)
    sizes.check(spec.name, {**(made.parts if made else {}), "runtime": runtime.unzipped})
    return (*([made] if made else []), runtime)


def refuse_unbuilt(spec: FunctionSpec) -> None:
    """Raises SpecError for options that this version understands and cannot fulfil."""
    if spec.kind == "container":
        raise SpecError(
            f"'{spec.name}' cannot be served as a container.",
            reason="this version packages functions as layers, and builds no images",
            hint="use kind='virtualenv', or leave kind out",
        )


def _with_pydantic(found: Discovered, wanted: tuple[str, ...]) -> FunctionSpec:
    if "pydantic" in requirements.names(wanted):
        return found.function.spec(wanted)
    return found.function.spec((*wanted, PYDANTIC))


def _requirements_layer(
    spec: FunctionSpec, cache: Path, progress: Progress, run: Runner
) -> tuple[Lock | None, Layer | None]:
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
