"""A layer of an image, 1 GB of files: compressed and pushed, beside each of the two alone.

The peer is the slower of compressing the same tar with the same library and level, and copying
the result to the same registry. Ours runs in a process of its own, from the installed files to the
blob in the registry; its peak memory and its processor time are rows as well. So is what a second
push sends, when the function's code alone has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from isal import igzip

from fal_serverless.package.archive import LEVEL, Entry, write_zip
from fal_serverless.package.oci.base import Base
from fal_serverless.package.oci.content import InFile
from fal_serverless.package.oci.image import assemble
from fal_serverless.package.oci.push import push
from fal_serverless.package.oci.reference import Reference
from fal_serverless.package.oci.registry import Repository
from fal_serverless.package.oci.tar import OPT, Blob, describe, summing
from fal_serverless.package.runtime_layer import build_runtime_layer
from fal_serverless.spec import host_python
from tests.benchmarks.peers import Row

FILES = 64
PIECE = 16_000_000
LIMIT_MB = 200.0


class Sink(BaseHTTPRequestHandler):
    """Takes blobs, hashes them as a registry does, and keeps nothing but their names."""

    protocol_version = "HTTP/1.1"
    known: ClassVar[set[tuple[str, str]]] = set()

    def do_HEAD(self) -> None:
        _, _, repository, _, digest = self.path.split("/")
        self._answer(200 if (repository, digest) in self.known else 404)

    def do_POST(self) -> None:
        self._answer(202, f"{self.path}1")

    def do_PUT(self) -> None:
        left, found = int(self.headers["content-length"]), hashlib.sha256()
        while left:
            chunk = self.rfile.read(min(left, 1 << 20))
            found.update(chunk)
            left -= len(chunk)
        digest = f"sha256:{found.hexdigest()}"
        self.known.add((self.path.split("/")[2], digest))
        wanted = parse_qs(urlsplit(self.path).query).get("digest", [digest])[0]
        self._answer(201 if wanted == digest else 400)

    def _answer(self, status: int, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("location", location)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        return


@contextmanager
def sink():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def files(folder: Path, count: int) -> Path:
    """A folder of files that compress about as wheels do: to a third."""
    chance = random.Random(1)
    target = folder / "installed"
    target.mkdir()
    for number in range(count):
        block = b"".join(chance.randbytes(100) + bytes(200) for _ in range(PIECE // 300))
        (target / str(number)).write_bytes(block)
    return target


def layer_of(installed: Path, zipped: Path) -> Blob:
    """What the builder does with installed files that are too many for a layer of Lambda's."""
    entries = {f"python/{path.name}": Entry(path) for path in installed.iterdir()}
    with summing(OPT) as watch:
        write_zip(zipped, entries, watch)
        return Blob(watch.end({}), ((zipped, OPT),))


def ours(installed: str, host: str) -> None:
    """What the process of its own does; prints seconds, peak MB, seconds of processor, bytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began, used = time.perf_counter(), time.process_time()
        layer = layer_of(Path(installed), folder / "layer.zip")
        place = Repository(Reference(host, f"run-{os.getpid()}"))
        place.upload(layer.digest, layer)
        seconds = time.perf_counter() - began
        used = time.process_time() - used
        sent = [_push(layer, code, folder, place) for code in (b"1", b"2")][1]
    # Not getrusage: its peak is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps([seconds, int(peak) / 1e3, used, sent]))


def _push(layer: Blob, code: bytes, folder: Path, place: Repository) -> int:
    """Bytes that a push of an image sends: the runtime and ``code`` on top of ``layer``."""
    runtime = build_runtime_layer(host_python(), folder)
    write_zip(folder / "code.zip", {"function.pkl": Entry(code)})
    top = describe([(runtime.path, OPT), (folder / "code.zip", "var/task/")])
    config = {"architecture": "amd64", "rootfs": {"diff_ids": []}}
    image = assemble(
        Base("nothing", config, ()),
        [("requirements", layer), ("function", top)],
        command=[],
        entrypoint=[],
        variables={},
        folder="/",
        labels={},
    )
    return push(image, place, cache=folder).sent


def alone(tar: Path, host: str) -> tuple[float, float]:
    """Seconds of the slower of compressing and copying, and of the processor for compressing."""
    squeezed = tar.with_suffix(".gz")
    began, used = time.perf_counter(), time.process_time()
    with tar.open("rb") as source, igzip.open(squeezed, "wb", compresslevel=LEVEL) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    compressing, used = time.perf_counter() - began, time.process_time() - used
    digest = f"sha256:{hashlib.sha256(squeezed.read_bytes()).hexdigest()}"
    place = Repository(Reference(host, "b"))
    began = time.perf_counter()
    place.upload(digest, InFile(squeezed))
    return max(compressing, time.perf_counter() - began), used


def measure(python: str, *, quick: bool) -> list[Row]:
    count = 4 if quick else FILES
    with tempfile.TemporaryDirectory() as name, sink() as host:
        folder = Path(name)
        installed = files(folder, count)
        tar = folder / "plain.tar"
        with tarfile.open(tar, "w") as target:
            target.add(installed, "opt/python")
        found = []
        for _ in range(1 if quick else 5):
            words = [sys.executable, "-m", "tests.benchmarks.images", str(installed), host]
            ran = subprocess.run(words, check=True, capture_output=True, text=True)
            found.append((*json.loads(ran.stdout), *alone(tar, host)))
    size = f"image layer of {count * PIECE / 1e9:.2g} GB"
    seconds, peak, used, sent, theirs, theirs_used = (list(row) for row in zip(*found, strict=True))
    limits = [LIMIT_MB for _ in found]
    return [
        Row(f"{size}, files to registry", "s", seconds, "the slower of compress and copy", theirs),
        Row(f"{size}, processor", "s", used, "compressing alone", theirs_used),
        Row(f"{size}, peak memory", "MB", peak, "what it may take", limits),
        Row(
            "second push, code changed",
            "kB",
            [item / 1e3 for item in sent],
            "what it may send",
            [1e3 for _ in found],
        ),
    ]


if __name__ == "__main__":
    ours(*sys.argv[1:])
