"""Builds the gateway's code and layer for Lambda, without Docker: standard library and uv only.

    python infra/build.py function DESTINATION
    python infra/build.py guard DESTINATION
    python infra/build.py layer DESTINATION

The target comes from FAL_PYTHON (3.12) and FAL_ARCHITECTURE (x86_64), and must be that of the
stack's parameters. `sam build` calls this by way of the Makefiles, `stack deploy` directly.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MODULES = (
    "__init__.py",
    "_version.py",
    "background.py",
    "cron.py",
    "errors.py",
    "frozen.py",
    "images.py",
    "keys.py",
    "logs.py",
    "names.py",
    "spec.py",
    "users.py",
    "values.py",
)
AWS = (
    "__init__.py",
    "alarms.py",
    "ambient.py",
    "attributes.py",
    "botocore_session.py",
    "dynamodb_wire.py",
    "http1.py",
    "key_uses.py",
    "lambda_invoke.py",
    "lambda_aliases.py",
    "lambda_calls.py",
    "lambdas.py",
    "logs.py",
    "queue_items.py",
    "queue_store.py",
    "queue_work.py",
    "records.py",
    "registry.py",
    "registry_read.py",
    "schedule_records.py",
    "session.py",
    "signing.py",
    "table.py",
    "wire.py",
)
WHOLE = ("gateway", "manage", "publish")
"""Packages that go along whole: gateway, worker and manager are built of the same files."""

GUARD_AWS = (
    "__init__.py",
    "alarms.py",
    "attributes.py",
    "botocore_session.py",
    "lambda_aliases.py",
    "lambda_calls.py",
    "lambdas.py",
    "records.py",
    "registry.py",
    "schedule_records.py",
    "session.py",
    "table.py",
)


def package_folder() -> Path:
    """Where fal_serverless lies: in a checkout beside infra/, installed around it."""
    beside = ROOT / "fal_serverless"
    return beside if beside.is_dir() else ROOT.parent


def function(target: Path) -> None:
    source = package_folder()
    ours = target / "fal_serverless"
    for name in MODULES:
        copy(source / name, ours / name)
    for name in AWS:
        copy(source / "aws" / name, ours / "aws" / name)
    for name in WHOLE:
        for path in sorted((source / name).rglob("*.py")):
            copy(path, ours / path.relative_to(source))
    compiled(target, "/var/task")


def guard(target: Path) -> None:
    """Ends splits whose alarms go off: what publishing is made of, on the runtime's own boto3."""
    source = package_folder()
    ours = target / "fal_serverless"
    for name in (*MODULES, "guard_handler.py"):
        copy(source / name, ours / name)
    for name in GUARD_AWS:
        copy(source / "aws" / name, ours / "aws" / name)
    for path in sorted((source / "publish").rglob("*.py")):
        copy(path, ours / "publish" / path.relative_to(source / "publish"))


def layer(target: Path) -> None:
    requirements = ROOT / "lambda_layers" / "gateway" / "requirements.txt"
    python = os.environ.get("FAL_PYTHON", "3.12")
    machine = "aarch64" if os.environ.get("FAL_ARCHITECTURE") == "arm64" else "x86_64"
    glibc = "manylinux2014" if python in ("3.10", "3.11") else "manylinux_2_34"
    arguments = ["pip", "install", "--quiet", "--target", str(target / "python")]
    arguments += ["--python", sys.executable, "--no-python-downloads", "--python-version", python]
    arguments += ["--python-platform", f"{machine}-{glibc}", "--only-binary", ":all:"]
    subprocess.run([*uv(), *arguments, "--no-deps", "-r", str(requirements)], check=True)
    shutil.rmtree(target / "python" / "bin", ignore_errors=True)
    (target / "python" / ".lock").unlink(missing_ok=True)
    compiled(target, "/opt")


def compiled(target: Path, there: str) -> None:
    """Bytecode beside the source, since both places are read-only and every cold start would
    compile again; by a Python of the target's minor version, if this machine has one."""
    python = os.environ.get("FAL_PYTHON", "3.12")
    here = python == f"{sys.version_info.major}.{sys.version_info.minor}"
    interpreter = sys.executable if here else shutil.which(f"python{python}")
    if interpreter:
        words = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
        # A package may ship templates that are no valid Python; they stay as they are.
        words += ["-s", str(target), "-p", there, str(target)]
        subprocess.run([interpreter, *words], check=False, stdout=subprocess.DEVNULL)


def uv() -> list[str]:
    found = shutil.which("uv")
    return [found] if found else [sys.executable, "-m", "uv"]


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


if __name__ == "__main__":
    {"function": function, "guard": guard, "layer": layer}[sys.argv[1]](Path(sys.argv[2]).resolve())
