"""Checks that shared objects are made for the target's processor and C library."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fal_serverless.errors import ArchitectureError

if TYPE_CHECKING:
    from pathlib import Path

    from elftools.elf.elffile import ELFFile

    from fal_serverless.spec import Architecture, Environment

_MACHINES: dict[str, Architecture] = {"EM_X86_64": "x86_64", "EM_AARCH64": "arm64"}
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)")


def glibc_of(python: str) -> tuple[int, int]:
    """glibc of Lambda's runtime: Amazon Linux 2 up to Python 3.11, Amazon Linux 2023 after."""
    return (2, 26) if python in ("3.10", "3.11") else (2, 34)


def is_shared_object(name: str) -> bool:
    """Whether a file's name is that of a shared object."""
    return name.endswith(".so") or ".so." in name


def check(path: Path, shown: str, environment: Environment) -> None:
    """Raises ArchitectureError when ``path`` cannot load on the target; ``shown`` names it."""
    # A layer that is built already needs none of this.
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    failed = f"'{shown}' cannot be loaded by Lambda."
    hint = "choose another version of the package, or another architecture or Python"
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            machine = str(elf["e_machine"])
            needed = _needed(elf)
    except ELFError as error:
        raise ArchitectureError(failed, reason="it is no Linux shared object", hint=hint) from error
    if _MACHINES.get(machine) != environment.architecture:
        made = _MACHINES.get(machine, machine)
        raise ArchitectureError(
            failed,
            reason=f"it is made for {made}, and the target is {environment.architecture}",
            hint=hint,
        )
    has = glibc_of(environment.python)
    if needed > has:
        raise ArchitectureError(
            failed,
            reason=f"it needs glibc {needed[0]}.{needed[1]}, and Python {environment.python} "
            f"on Lambda has {has[0]}.{has[1]}",
            hint=hint,
        )


def _needed(elf: ELFFile) -> tuple[int, int]:
    from elftools.elf.gnuversions import GNUVerNeedSection

    highest = (0, 0)
    for section in elf.iter_sections():
        if not isinstance(section, GNUVerNeedSection):
            continue
        for _, versions in section.iter_versions():
            for version in versions:
                found = _GLIBC.fullmatch(version.name)
                if found:
                    highest = max(highest, (int(found[1]), int(found[2])))
    return highest
