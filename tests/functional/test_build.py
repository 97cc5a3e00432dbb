"""Building for Lambda with the real uv and a real package index."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest

from fal_serverless.errors import ArchitectureError, RequirementsError
from fal_serverless.package import layer as layers
from fal_serverless.package.lock import resolve
from fal_serverless.package.uv import run_uv
from fal_serverless.spec import TRIMS, Environment

pytestmark = pytest.mark.network


class Counting:
    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, arguments, *, stdin=""):
        self.runs += 1
        return run_uv(arguments, stdin=stdin)


def test_a_lock_is_resolved_and_built_once(tmp_path):
    environment = Environment(requirements=("flask",))
    run = Counting()
    first = layers.build(resolve(environment, tmp_path, run), environment, tmp_path, run)
    assert first.built
    assert run.runs == 2
    again = layers.build(resolve(environment, tmp_path, run), environment, tmp_path, run)
    assert not again.built
    assert run.runs == 2
    other = layers.build(
        resolve(environment, tmp_path / "b", run), environment, tmp_path / "b", run
    )
    assert other.path.read_bytes() == first.path.read_bytes()
    # A damaged file of the cache is noticed, and built again.
    first.path.write_bytes(b"half")
    mended = layers.build(resolve(environment, tmp_path, run), environment, tmp_path, run)
    assert mended.built
    assert mended.path.read_bytes() == other.path.read_bytes()


def test_trimmed_packages_work_as_before(tmp_path):
    whole = Environment(requirements=("numpy",))
    trimmed = replace(whole, trim=TRIMS)
    locks = [resolve(item, tmp_path, run_uv) for item in (whole, trimmed)]
    assert locks[0].digest != locks[1].digest
    before, after = (
        layers.build(lock, item, tmp_path, run_uv)
        for lock, item in zip(locks, (whole, trimmed), strict=True)
    )
    assert before.trimmed == {}
    assert after.trimmed["static-libraries"] > 10_000
    assert after.trimmed["tests"] > 10_000
    assert after.unzipped <= before.unzipped - sum(after.trimmed.values())
    with zipfile.ZipFile(after.path) as packed:
        packed.extractall(tmp_path / "root")
    code = (
        "import numpy, numpy.testing, numpy.linalg\n"
        "numpy.testing.assert_allclose(numpy.linalg.inv(numpy.eye(2)), numpy.eye(2))\n"
        "print(numpy.__file__)"
    )
    environ = {"PYTHONPATH": str(tmp_path / "root" / "python")}
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith(str(tmp_path))


def test_another_architecture_and_the_check_of_it(tmp_path):
    arm = Environment(requirements=("markupsafe",), architecture="arm64")
    lock = resolve(arm, tmp_path, run_uv)
    assert any("aarch64" in wheel.filename for wheel in lock.wheels)
    root = tmp_path / "root" / "python"
    layers.install(lock, arm, root, run_uv)
    assert layers.check_native(root, layers.keep(root), arm)
    with pytest.raises(ArchitectureError, match="cannot be loaded") as caught:
        layers.check_native(root, layers.keep(root), Environment())
    assert "made for arm64" in caught.value.reason


@pytest.mark.parametrize(
    ("requirements", "hint"),
    [
        (("flask==3.0.0", "werkzeug==0.1"), "exclude each other"),
        (("flask>=99",), "name and version"),
        (("no-such-package-of-anybody-xyz",), "name and version"),
        (("flask==99.0",), "name and version"),
        (("pycrypto",), "wheels"),
    ],
)
def test_what_cannot_be_resolved(tmp_path, requirements, hint):
    with pytest.raises(RequirementsError) as caught:
        resolve(Environment(requirements=requirements), tmp_path, run_uv)
    assert hint in caught.value.hint
    assert "://" not in caught.value.reason
    assert "error:" not in caught.value.reason
