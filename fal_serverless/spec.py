"""Frozen, validated descriptions of what is served: options in, FunctionSpec out. Pure.

Everything a later stage needs is in these values; no stage reads a decorator again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

from fal_serverless.errors import SpecError, did_you_mean
from fal_serverless.frozen import Frozen
from fal_serverless.images import ContainerImage, Dockerfile
from fal_serverless.values import check_secret_name, flag, names, number, variables, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Mode = Literal["serve", "port", "call"]
Auth = Literal["private", "public", "shared"]
PackageKind = Literal["none", "layer", "image"]
Architecture = Literal["x86_64", "arm64"]

AUTH_MODES: tuple[Auth, ...] = ("private", "public", "shared")
ARCHITECTURES: tuple[Architecture, ...] = ("x86_64", "arm64")

# Lambda quotas: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MEMORY_MIN_MB = 128
MEMORY_MAX_MB = 10_240
TIMEOUT_MAX_S = 900
STORAGE_MIN_MB = 512
STORAGE_MAX_MB = 10_240
# API Gateway HTTP API: the integration timeout cannot be raised above this.
HTTP_TIMEOUT_MAX_S = 30
# Lambda, "Improving startup performance with Lambda SnapStart", supported features.
SNAP_START_PYTHON = (3, 12)
# Lambda's managed runtimes that this project builds for.
SUPPORTED_PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
TRIMS = ("tests", "static-libraries", "debug-symbols", "documentation")
"""Kinds of files of packages that ``trim`` leaves out."""

MACHINE_TYPES: Mapping[str, int] = {"XS": 512, "S": 1769, "M": 3538, "L": 7076, "XL": 10_240}
"""Memory in MB of each named size; 1,769 MB is the point at which Lambda gives one whole vCPU."""


def host_python() -> str:
    """The minor version of the Python that runs this, such as ``"3.11"``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


class Environment(Frozen, kw_only=True):
    """What a function needs around it; equal environments share layers.

    Attributes:
        requirements: PEP 508 strings, in the order given.
        python: target minor version, such as ``"3.11"``.
        architecture: of the target.
        trim: kinds of files that are left out of packages, of ``TRIMS`` and in their order.
    """

    requirements: tuple[str, ...] = ()
    python: str = host_python()
    architecture: Architecture = "x86_64"
    trim: tuple[str, ...] = ()


class FunctionSpec(Frozen, kw_only=True):
    """One decorated function with all its options, checked.

    Attributes:
        name: the function's own name.
        base: image that an image of the function begins with, ``""`` for AWS's own.
        dockerfile: builds that image, or None.
        mode: ``serve`` (JSON), ``port`` (a web server of the function's own) or ``call``.
        memory: MB.
        timeout: seconds.
        ephemeral_storage: MB of ``/tmp``.
        port: for ``port`` mode, the port the function listens on.
        keep_alive: seconds; recorded only, since Lambda keeps environments by itself.
        max_concurrency: reserved concurrency of the Lambda function, or None.
        min_concurrency: provisioned concurrency of the alias, or 0.
        snap_start: whether environments begin from a snapshot of one that has loaded.
        environment_variables: sorted pairs.
        secrets: names of the user's secrets that the function reads.
        local_modules: importable names whose source travels by value.
        files: paths of files or folders that are placed beside the function.
    """

    name: str
    mode: Mode = "call"
    environment: Environment = Environment()
    kind: Literal["virtualenv", "container"] = "virtualenv"
    base: str = ""
    dockerfile: Dockerfile | None = None
    memory: int = MACHINE_TYPES["XS"]
    timeout: int = HTTP_TIMEOUT_MAX_S
    ephemeral_storage: int = STORAGE_MIN_MB
    port: int | None = None
    keep_alive: float = 10
    max_concurrency: int | None = None
    min_concurrency: int = 0
    snap_start: bool = False
    environment_variables: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    local_modules: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


OPTIONS = (
    "kind",
    "image",
    "requirements",
    "python_version",
    "serve",
    "exposed_port",
    "max_concurrency",
    "min_concurrency",
    "snap_start",
    "machine_type",
    "keep_alive",
    "timeout",
    "ephemeral_storage",
    "architecture",
    "environment",
    "secrets",
    "local_modules",
    "files",
    "trim",
    "setup_function",
    "host",
)
"""Every option of ``@isolated``."""


def build_spec(
    name: str, options: Mapping[str, Any], *, requirements: Iterable[str] = ()
) -> FunctionSpec:
    """The spec of a function called ``name`` decorated with ``options``.

    ``requirements`` replaces the option of that name: reading a requirements file is the
    caller's work, so that this stays pure.

    Raises:
        SpecError: an option is unknown or has a value that cannot work.
    """
    for option in options:
        if option not in OPTIONS:
            raise SpecError(
                f"@isolated has no option {option!r}.",
                reason=f"'{name}' is decorated with it",
                hint=did_you_mean(option, OPTIONS),
            )
    given = {key: value for key, value in options.items() if value is not None}
    mode, port = _mode(given)
    image = _image(given)
    spec = FunctionSpec(
        name=name,
        mode=mode,
        port=port,
        kind=_kind(given.get("kind", "virtualenv")),
        base=image.base,
        dockerfile=image.dockerfile,
        environment=Environment(
            requirements=tuple(requirements),
            python=_python(given.get("python_version")),
            architecture=_architecture(given.get("architecture", "x86_64")),
            trim=_trim(given.get("trim", False)),
        ),
        memory=machine_memory(given.get("machine_type", "XS")),
        timeout=whole("timeout", given.get("timeout", HTTP_TIMEOUT_MAX_S), 1, TIMEOUT_MAX_S, "s"),
        ephemeral_storage=whole(
            "ephemeral_storage",
            given.get("ephemeral_storage", STORAGE_MIN_MB),
            STORAGE_MIN_MB,
            STORAGE_MAX_MB,
            "MB",
        ),
        keep_alive=number("keep_alive", given.get("keep_alive", 10)),
        max_concurrency=(
            whole("max_concurrency", given["max_concurrency"], 1, 100_000, "")
            if "max_concurrency" in given
            else None
        ),
        min_concurrency=whole("min_concurrency", given.get("min_concurrency", 0), 0, 100_000, ""),
        snap_start=flag("snap_start", given.get("snap_start", False)),
        environment_variables=variables(given.get("environment", {})),
        secrets=tuple(map(check_secret_name, names("secrets", given.get("secrets", ())))),
        local_modules=names("local_modules", given.get("local_modules", ())),
        files=names("files", given.get("files", ())),
    )
    if spec.snap_start:
        check_snap_start(spec)
    return spec


def machine_memory(machine_type: str | int) -> int:
    """MB of memory of a named size or an exact number.

    Raises:
        SpecError: unknown name, a GPU, or outside of Lambda's 128 to 10,240 MB.
    """
    if isinstance(machine_type, bool) or not isinstance(machine_type, (str, int)):
        raise SpecError(
            f"machine_type cannot be {machine_type!r}.",
            reason="it is a name or a number of MB",
            hint="use one of " + ", ".join(MACHINE_TYPES) + ", or a number such as 2048",
        )
    if isinstance(machine_type, int) or machine_type.isdecimal():
        return whole("machine_type", int(machine_type), MEMORY_MIN_MB, MEMORY_MAX_MB, "MB")
    if machine_type in MACHINE_TYPES:
        return MACHINE_TYPES[machine_type]
    if machine_type.upper().startswith("GPU"):
        raise SpecError(
            f"machine_type {machine_type!r} cannot be had.",
            reason="AWS Lambda has no GPUs",
            hint="use 'XL' (10,240 MB, about six vCPUs), or run GPU work elsewhere",
        )
    raise SpecError(
        f"There is no machine_type {machine_type!r}.",
        reason="the named sizes are "
        + ", ".join(f"{k} ({v} MB)" for k, v in MACHINE_TYPES.items()),
        hint=did_you_mean(machine_type, MACHINE_TYPES),
    )


def no_snapshot(reason: str, hint: str) -> SpecError:
    """The error for a function that Lambda takes no snapshots of."""
    return SpecError("snap_start=True cannot be had.", reason=reason, hint=hint)


def check_snap_start(spec: FunctionSpec) -> None:
    """What SnapStart excludes: docs.aws.amazon.com/lambda/latest/dg/snapstart.html."""
    python = spec.environment.python
    if tuple(map(int, python.split("."))) < SNAP_START_PYTHON:
        raise no_snapshot(
            f"Lambda takes snapshots of Python 3.12 and newer, and this is {python}",
            "run fal-serverless with Python 3.12 or newer, or leave snap_start out",
        )
    if spec.min_concurrency:
        raise no_snapshot(
            "Lambda does not combine snapshots with provisioned concurrency (min_concurrency)",
            "keep one of the two: min_concurrency is faster still, and costs while nobody calls",
        )
    if spec.ephemeral_storage > STORAGE_MIN_MB:
        raise no_snapshot(
            f"Lambda takes no snapshots with more than {STORAGE_MIN_MB} MB of /tmp, and "
            f"ephemeral_storage is {spec.ephemeral_storage}",
            "leave ephemeral_storage out, or snap_start",
        )
    if spec.kind == "container":
        raise no_snapshot(
            "Lambda takes no snapshots of container images",
            "leave kind='container' out, or snap_start",
        )


def _mode(given: Mapping[str, Any]) -> tuple[Mode, int | None]:
    serve = flag("serve", given.get("serve", False))
    if "exposed_port" not in given:
        return ("serve" if serve else "call"), None
    if serve:
        raise SpecError(
            "serve=True and exposed_port exclude each other.",
            reason="serve=True makes the web server for you, exposed_port means you bring one",
            hint="keep one of the two",
        )
    return "port", whole("exposed_port", given["exposed_port"], 1024, 65_535, "")


def _kind(kind: object) -> Literal["virtualenv", "container"]:
    if kind == "virtualenv":
        return "virtualenv"
    if kind == "container":
        return "container"
    if kind == "conda":
        raise SpecError(
            "kind='conda' is not supported.",
            reason="conda environments do not fit Lambda's layers, and most packages have wheels",
            hint="use kind='virtualenv' with requirements=[…]",
        )
    raise SpecError(
        f"There is no kind {kind!r}.",
        reason="the kinds are 'virtualenv' and 'container'",
        hint=did_you_mean(str(kind), ("virtualenv", "container")),
    )


def _image(given: Mapping[str, Any]) -> ContainerImage:
    image = given.get("image")
    if image is None:
        return ContainerImage()
    if not isinstance(image, ContainerImage):
        raise SpecError(
            f"image cannot be {image!r}.",
            reason="it says what a container image is made from",
            hint="write image=ContainerImage(base='…')",
        )
    if given.get("kind") != "container":
        raise SpecError(
            "image needs kind='container'.",
            reason="other kinds are packaged as layers where they fit",
            hint="add kind='container', or leave image out",
        )
    return image


def _trim(value: object) -> tuple[str, ...]:
    if isinstance(value, bool):
        return TRIMS if value else ()
    wanted = names("trim", value)
    for name in wanted:
        if name not in TRIMS:
            raise SpecError(
                f"trim cannot hold {name!r}.",
                reason="packages can be trimmed of " + ", ".join(TRIMS),
                hint=did_you_mean(name, TRIMS),
            )
    return tuple(kind for kind in TRIMS if kind in wanted)


def _python(version: object) -> str:
    host = host_python()
    if version is None:
        version = host
    if version not in SUPPORTED_PYTHONS:
        raise SpecError(
            f"python_version cannot be {version!r}.",
            reason="Lambda runs Python " + ", ".join(SUPPORTED_PYTHONS),
            hint=f"leave it out to use {host}" if host in SUPPORTED_PYTHONS else "use one of those",
        )
    if version != host:
        raise SpecError(
            f"python_version {version} cannot be served from Python {host}.",
            reason="functions are pickled, and pickled code only loads in the same minor version",
            hint=f"run fal-serverless with Python {version}, or leave python_version out",
        )
    return str(version)


def _architecture(value: object) -> Architecture:
    if value == "x86_64":
        return "x86_64"
    if value == "arm64":
        return "arm64"
    raise SpecError(
        f"There is no architecture {value!r}.",
        reason="Lambda has x86_64 and arm64",
        hint=did_you_mean(str(value), (*ARCHITECTURES, "aarch64")),
    )
