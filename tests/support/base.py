"""Base images made of files, as OCI layouts: no registry and no Docker is asked."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path


def layout(folder: Path, tar: bytes, *, architecture: str = "amd64") -> str:
    """An OCI layout of one layer; its name for ``ContainerImage(base=…)``."""
    squeezed = gzip.compress(tar, mtime=0)
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
    }
    written = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _descriptor("application/vnd.oci.image.config.v1+json", written),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", squeezed)],
    }
    top = json.dumps(manifest).encode()
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for content in (squeezed, written, top):
        (blobs / hashlib.sha256(content).hexdigest()).write_bytes(content)
    index = {"schemaVersion": 2, "manifests": [_descriptor(manifest["mediaType"], top)]}
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
    return f"oci:{folder}"


def tar_of(files: dict[str, bytes]) -> bytes:
    """A tar of small files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def interpreter_tar() -> bytes:
    """A root file system that holds this Python and what it is linked with, and nothing else."""
    base = Path(sys.base_prefix).resolve()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    binary = base / "bin" / f"python{version}"
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(base)})).resolve()
    paths = {binary, *(base / "lib").glob(f"libpython{version}*")}
    skipped = {"test", "tests", "idlelib", "tkinter", "site-packages", "ensurepip", "lib2to3"}
    for path in library.rglob("*"):
        parts = path.relative_to(library).parts
        large = parts[0].startswith("config-") or "__pycache__" in parts
        if path.is_file() and not large and not skipped.intersection(parts[:-1]):
            paths.add(path)
    objects = [path for path in paths if path.suffix == ".so" or path == binary]
    # AWS's runtime client is C++, and expects its library of a base, as every usual one has it.
    client = importlib.util.find_spec("runtime_client")
    if client and client.origin:
        objects.append(Path(client.origin))
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for path in sorted(paths | _linked(objects)):
            tar.add(path.resolve(), arcname=str(path)[1:], recursive=False)
        link = tarfile.TarInfo(f"usr/local/bin/python{version}")
        link.type, link.linkname = tarfile.SYMTYPE, str(binary)
        tar.addfile(link)
        temporary = tarfile.TarInfo("tmp")
        temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(temporary)
    return target.getvalue()


def _linked(objects: list[Path]) -> set[Path]:
    """The shared libraries of programs and modules, by the system's own linker."""
    if not shutil.which("ldd"):
        return set()
    ran = subprocess.run(["ldd", *map(str, objects)], capture_output=True, text=True, check=False)
    found = set()
    for line in ran.stdout.splitlines():
        for word in line.split():
            if word.startswith("/") and not word.endswith(":"):
                found.add(Path(word))
    return {path for path in found if path.is_file()}


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
