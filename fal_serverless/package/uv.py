"""Runs uv for a target, and turns what it says into errors of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Protocol

from fal_serverless.errors import FalServerlessError, PackagingError, RequirementsError
from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fal_serverless.spec import Environment

TIMEOUT_S = 900


class Ran(Frozen):
    """A command that ended."""

    status: int
    output: str
    errors: str


class Runner(Protocol):
    """Runs uv with arguments; passed in so that tests can count the runs."""

    def __call__(self, arguments: Sequence[str], *, stdin: str = "") -> Ran:
        """Run it to its end."""


def run_uv(arguments: Sequence[str], *, stdin: str = "") -> Ran:
    """Run uv in an empty folder, so that no project's settings apply; the user's own still do.

    Raises:
        PackagingError: uv cannot be started, or took longer than 15 minutes.
    """
    try:
        from uv import find_uv_bin

        binary = find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise PackagingError(
            "uv is not installed.",
            reason=str(error),
            hint="install it beside fal-serverless: pip install uv",
        ) from error
    variables = {**os.environ, "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    variables.pop("VIRTUAL_ENV", None)
    with tempfile.TemporaryDirectory(prefix="fal-uv-") as folder:
        try:
            ran = subprocess.run(
                [binary, *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                cwd=folder,
                env=variables,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise PackagingError(
                "uv did not finish.",
                reason=f"it ran for {TIMEOUT_S} s",
                hint="check the network and the package index, and run it again",
            ) from error
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def target_arguments(environment: Environment) -> list[str]:
    """Flags that make uv resolve and install for Lambda, never for the machine at hand."""
    return [
        "--python",
        sys.executable,
        "--no-python-downloads",
        "--python-version",
        environment.python,
        "--python-platform",
        platform_of(environment),
        "--only-binary",
        ":all:",
    ]


def platform_of(environment: Environment) -> str:
    """uv's name of the target: Lambda's 3.10 and 3.11 have glibc 2.26, later ones 2.34."""
    machine = "aarch64" if environment.architecture == "arm64" else "x86_64"
    old = environment.python in ("3.10", "3.11")
    return f"{machine}-manylinux2014" if old else f"{machine}-manylinux_2_34"


_NO_WHEEL = re.compile(r"building from source is disabled|no (?:usable |compatible )?wheels?\b")
_MISSING = re.compile(
    r"there (?:are no versions|is no version) of|not found in the package registry|"
    r"only \S+ is available"
)
_NETWORK = re.compile(r"error sending request|dns error|Connection refused|timed out|network")


def failure(ran: Ran, environment: Environment) -> FalServerlessError:
    """The error of ours that uv's message stands for."""
    said = _useful(ran.errors)
    target = f"Python {environment.python} on {environment.architecture}"
    failed = f"The requirements cannot be resolved for {target}."
    flat = " ".join(ran.errors.split())
    if _NO_WHEEL.search(flat):
        return RequirementsError(
            failed,
            reason=f"a package has no wheel for this target: {said}",
            hint="choose a version with wheels for it, another architecture, or another Python",
        )
    if _MISSING.search(flat) and "you require" in flat and flat.count("depends on") == 0:
        return RequirementsError(failed, reason=said, hint="check the package's name and version")
    if "unsatisfiable" in flat or "No solution found" in flat:
        return RequirementsError(
            failed, reason=said, hint="loosen or drop one of the pins that exclude each other"
        )
    if _NETWORK.search(flat):
        return PackagingError(
            "The package index did not answer.",
            reason=said,
            hint="check the network and UV_DEFAULT_INDEX, and run it again",
        )
    return PackagingError(
        "uv could not do its work.", reason=said, hint="run it again with --debug"
    )


def _useful(text: str) -> str:
    """uv's message on one line, without its decoration and addresses."""
    lines = [line.strip(" ×╰─▶│├hint:") for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if line and not line.startswith(("WARNING", "warning:"))]
    lines = [line.removeprefix("error: ").removeprefix("cause: ") for line in lines]
    joined = " ".join(" ".join(lines).split()) or "it says nothing"
    joined = joined.replace("resolving dependencies Because", "resolving dependencies: because")
    return re.sub(r"(?:https?|file)://\S+", "…", joined)[:600]
