"""The peers, pinned, in an environment of their own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PINNED = (
    "aws-lambda-powertools==3.15.0",
    "boto3==1.38.46",
    "chalice==1.32.0",
    "fastapi==0.115.14",
    "mangum==0.19.0",
    "pydantic==2.11.7",
)


@dataclass(frozen=True)
class Row:
    """One line of the table: figures of the same rounds, ours and a peer's."""

    label: str
    unit: str
    ours: list[float]
    peer: str
    theirs: list[float]


def described() -> str:
    return "peers: " + ", ".join(PINNED)


def interpreter() -> str:
    """The peers' Python; its environment is made on first use."""
    digest = hashlib.sha256("\n".join((*PINNED, sys.version)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "fal-serverless-bench" / digest
    python = folder / "bin" / "python"
    if not (folder / "ready").is_file():
        uv = [sys.executable, "-m", "uv", "--quiet"]
        # Chalice imports pip and setuptools.
        made = [*uv, "venv", "--clear", "--seed", "--python", sys.executable, str(folder)]
        subprocess.run(made, check=True)
        more = ["pip", "install", "--python", str(python), "setuptools<81", *PINNED]
        subprocess.run([*uv, *more], check=True)
        (folder / "ready").touch()
    return str(python)
