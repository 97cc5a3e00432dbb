"""The options of ``@isolated`` with their types, for type checkers and editors only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from fal_serverless.hosts import LambdaHost, LocalHost
    from fal_serverless.images import ContainerImage


Trim = Literal["tests", "static-libraries", "debug-symbols", "documentation"]


class Options(TypedDict, total=False):
    """Units: memory in MB, times in seconds; see ``docs/decorators.md`` for each."""

    kind: Literal["virtualenv", "container"]
    image: ContainerImage
    requirements: list[str] | tuple[str, ...] | str | PathLike[str]
    python_version: str
    serve: bool
    exposed_port: int
    max_concurrency: int
    min_concurrency: int
    snap_start: bool
    machine_type: str | int
    keep_alive: float
    timeout: int
    ephemeral_storage: int
    architecture: Literal["x86_64", "arm64"]
    environment: dict[str, str]
    secrets: list[str] | tuple[str, ...]
    local_modules: list[str] | tuple[str, ...]
    files: list[str] | tuple[str, ...]
    trim: bool | list[Trim] | tuple[Trim, ...]
    setup_function: Callable[[], object]
    host: LambdaHost | LocalHost
