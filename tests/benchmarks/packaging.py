"""A layer of numpy, pandas and scikit-learn beside pip and zip; both with warm download caches."""

from __future__ import annotations

import subprocess
import tempfile
import time
import zipfile
from pathlib import Path

from fal_serverless.package.layer import build
from fal_serverless.package.lock import resolve
from fal_serverless.package.uv import run_uv
from fal_serverless.spec import Environment
from tests.benchmarks.peers import Row

ROUNDS = 3
WANTED = ("numpy", "pandas", "scikit-learn")


def ours() -> float:
    """Resolve, fetch, install, check, compile, zip; nothing of ours is remembered."""
    environment = Environment(requirements=WANTED)
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        build(resolve(environment, Path(cache), run_uv), environment, Path(cache), run_uv)
        return time.perf_counter() - start


def with_pip(python: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "python"
        start = time.perf_counter()
        command = [python, "-m", "pip", "install", "-q", "--target", str(root), *WANTED]
        subprocess.run(command, check=True, capture_output=True)
        with zipfile.ZipFile(Path(folder) / "layer.zip", "w", zipfile.ZIP_DEFLATED) as target:
            for path in root.rglob("*"):
                target.write(path, path.relative_to(folder))
        return time.perf_counter() - start


def measure(python: str, *, quick: bool) -> list[Row]:
    ours(), with_pip(python)
    found = [(ours(), with_pip(python)) for _ in range(1 if quick else ROUNDS)]
    return [
        Row(
            "layer of numpy, pandas, scikit-learn",
            "s",
            [mine for mine, _ in found],
            "pip install --target, zip",
            [theirs for _, theirs in found],
        )
    ]
