"""A layer of numpy, pandas and scikit-learn beside pip and zip, and SAM's fastest builder.

All with warm download caches; what is built is never remembered.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path

from fal_serverless.package.layer import build
from fal_serverless.package.lock import resolve
from fal_serverless.package.uv import run_uv
from fal_serverless.spec import Environment
from tests.benchmarks.peers import Row, clean, compared, in_turn, interpreter, times_less
from tests.benchmarks.publishing import PYTHON

ROUNDS = 3
WANTED = ("numpy", "pandas", "scikit-learn")
PIP, SAM = "pip install --target, zip", "sam build with uv, zip"
TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Function:
    Type: AWS::Serverless::Function
    Metadata: {{BuildMethod: python-uv}}
    Properties: {{CodeUri: code, Handler: app.handler, Runtime: {python}}}
"""


def ours() -> float:
    """Resolve, fetch, install, check, compile, zip; nothing of ours is remembered."""
    environment = Environment(requirements=WANTED)
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        build(resolve(environment, Path(cache), run_uv), environment, Path(cache), run_uv)
        return time.perf_counter() - start


def zipped(root: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for path in root.rglob("*"):
            file.write(path, path.relative_to(root))


def with_pip(python: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "layer"
        start = time.perf_counter()
        command = [python, "-m", "pip", "install", "-q", "--target", str(root / "python"), *WANTED]
        subprocess.run(command, check=True, capture_output=True)
        zipped(root, Path(folder) / "layer.zip")
        return time.perf_counter() - start


def with_sam(python: str) -> float:
    """SAM's builders make the folder that is deployed; `sam deploy` would zip it."""
    tools = Path(python).parent
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "code").mkdir()
        (folder / "code" / "app.py").write_text("def handler(event, context):\n    return 1\n")
        (folder / "code" / "requirements.txt").write_text("\n".join(WANTED))
        (folder / "template.yaml").write_text(TEMPLATE.format(python=PYTHON))
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        environ = {**clean(), "SAM_CLI_TELEMETRY": "0", "PATH": path}
        environ["AWS_DEFAULT_REGION"] = "us-east-1"
        start = time.perf_counter()
        command = [str(tools / "sam"), "build", "Function", "--beta-features"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environ)
        zipped(folder / ".aws-sam" / "build" / "Function", folder / "function.zip")
        return time.perf_counter() - start


def measure(python: str, *, quick: bool) -> list[Row]:
    works = {"ours": ours, PIP: lambda: with_pip(python)}
    works[SAM] = lambda: with_sam(interpreter("sam"))
    if not quick:
        in_turn(1, works)
    found, failed = in_turn(1 if quick else ROUNDS, works)
    goals = {PIP: times_less(4), SAM: times_less(2)}
    return compared(f"layer of {', '.join(WANTED)}", "s", found, failed, goals)
