"""What ``function serve`` and ``function schedule`` share: options, and the making of a package."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fal_serverless import package, publish
from fal_serverless.cli import render
from fal_serverless.cli.render import Steps
from fal_serverless.errors import UsageError
from fal_serverless.publish.steps import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fal_serverless.discover import Discovered
    from fal_serverless.package import Package
    from fal_serverless.publish import Prepared
    from fal_serverless.publish.apply import Outcome
    from fal_serverless.settings import Settings
    from fal_serverless.workspace import Workspace

File = Annotated[Path, typer.Argument(help="Python file.")]
Func = Annotated[str, typer.Argument(help="Decorated function in it.")]
Message = Annotated[str, typer.Option("-m", "--message", help="Note on the revision.")]
Kind = Annotated[str, typer.Option(help="auto, layer or image; auto: what fits.")]
Trim = Annotated[
    bool, typer.Option("--trim", help="Leave tests, static libraries and the like out.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan only.")]


def check_package(kind: str) -> None:
    """Raises UsageError unless ``kind`` is a value of ``--package``."""
    if kind not in ("auto", "layer", "image"):
        raise UsageError(
            f"--package cannot be '{kind}'.",
            reason="functions are packaged as layers or as an image",
            hint="use --package auto, layer or image",
        )


@contextmanager
def packaged(
    found: Discovered,
    space: Workspace,
    settings: Settings,
    kind: str,
    *,
    trim: bool = False,
    dry: bool = False,
) -> Iterator[Package]:
    """A discovered function's package, in a folder that lasts as long as the context.

    Args:
        dry: build no Dockerfile.
    """
    with tempfile.TemporaryDirectory(prefix="fal-serve-") as work:
        built = package.build(
            found,
            cache=settings.home / "cache",
            work=Path(work),
            progress=Steps(),
            wanted_kind=kind,
            trim=trim,
            base=settings.base_image,
            owner=space.user,
            connect=space.images.repository,
            dockerfiles=lambda spec: space.dockerfiles(
                found.path.parent, tell=lambda line: render.note(f"  | {line}"), dry=dry
            ).base(spec),
        )
        _note_package(built, local=settings.local)
        yield built


def send(space: Workspace, prepared: Prepared, built: Package, *, message: str) -> Outcome:
    """Publish what is prepared; a function that is new gets its log first."""
    if prepared.existing.function is None:
        space.logs.keep(prepared.wanted.function, space.outputs.log_days)
    return publish.publish(prepared, built, space.publisher, space.target, message=message)


def notes_of(built: Package) -> tuple[str, ...]:
    """What a user should know of a package, although nothing is wrong for certain."""
    return tuple(
        f"'{built.spec.name}' uses '{module}', which is installed here and in none of its "
        f'requirements: add "{name}" to them, unless it can do without'
        for module, name in built.forgotten.items()
    )


def _note_package(built: Package, *, local: bool) -> None:
    for text in notes_of(built):
        render.note(f"  note: {text}")
    if built.image is None:
        return
    base = built.image.image.base.name
    render.note(f"  note: it becomes an image on {base}: {built.why}")
    if local:
        render.note("  note: the emulator keeps images, and needs Docker to run them")


def show_plan(
    prepared: Prepared, built: Package, *, as_json: bool, more: tuple[str, ...] = ()
) -> None:
    """What would be done (and ``more`` after that), and what the package weighs."""
    plan = [*(describe(step) for step in prepared.plan), *more]
    sizes = {
        "unzipped": built.unzipped,
        "parts": dict(built.parts),
        "trimmed": built.trimmed,
    }
    if as_json:
        render.document({"plan": plan, "sizes": sizes, "function": prepared.wanted.function})
        return
    for text in plan:
        render.line(text)
    render.line(f"{built.unzipped / 1e6:.1f} MB unzipped:")
    for part, size in sorted(built.parts.items(), key=lambda item: -item[1]):
        render.line(f"  {size / 1e6:8.2f} MB  {part}")
    if built.spec.environment.trim:
        render.line(f"{sum(built.trimmed.values()) / 1e6:.1f} MB were left out:")
    for kind in built.spec.environment.trim:
        render.line(f"  {built.trimmed.get(kind, 0) / 1e6:8.2f} MB  {kind}")
