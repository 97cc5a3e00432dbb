"""A layer of an image, 1 GB of files: compressed and pushed, beside each of the two alone.

The peer is the slower of compressing the same tar with the same library and level, and copying
the result to the same registry. Ours runs in a process of its own, whose peak memory is the second
row, beside the 200 MB that it may take.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from isal import igzip

from fal_serverless.package.archive import Entry, write_zip
from fal_serverless.package.oci.reference import Reference
from fal_serverless.package.oci.registry import Repository
from fal_serverless.package.oci.tar import LEVEL, write_layer
from tests.benchmarks.peers import Row

FILES = 64
PIECE = 16_000_000
LIMIT_MB = 200.0


class Sink(BaseHTTPRequestHandler):
    """Takes blobs, hashes them as a registry does, and keeps nothing."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(404)

    def do_POST(self) -> None:
        self._answer(202, "/v2/a/blobs/uploads/1")

    def do_PUT(self) -> None:
        left, found = int(self.headers["content-length"]), hashlib.sha256()
        while left:
            chunk = self.rfile.read(min(left, 1 << 20))
            found.update(chunk)
            left -= len(chunk)
        wanted = parse_qs(urlsplit(self.path).query)["digest"][0]
        self._answer(201 if wanted == f"sha256:{found.hexdigest()}" else 400)

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
    """A zip of files that compress about as wheels do: to a third."""
    chance = random.Random(1)
    names = {}
    for number in range(count):
        block = b"".join(chance.randbytes(100) + bytes(200) for _ in range(PIECE // 300))
        path = folder / str(number)
        path.write_bytes(block)
        names[f"python/{number}"] = Entry(path)
    target = folder / "files.zip"
    write_zip(target, names)
    return target


def ours(zipped: str, host: str) -> None:
    """What the process of its own does; prints seconds and peak MB."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        layer = write_layer(Path(folder) / "layer.tar.gz", [(Path(zipped), "opt/")])
        Repository(Reference(host, "a")).upload(layer.digest, layer.path)
        seconds = time.perf_counter() - began
    # Not getrusage: its peak is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps([seconds, int(peak) / 1e3]))


def alone(tar: Path, host: str) -> float:
    """Seconds of the slower of compressing and copying."""
    squeezed = tar.with_suffix(".gz")
    began = time.perf_counter()
    with tar.open("rb") as source, igzip.open(squeezed, "wb", compresslevel=LEVEL) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    compressing = time.perf_counter() - began
    digest = f"sha256:{hashlib.sha256(squeezed.read_bytes()).hexdigest()}"
    began = time.perf_counter()
    Repository(Reference(host, "a")).upload(digest, squeezed)
    return max(compressing, time.perf_counter() - began)


def measure(python: str, *, quick: bool) -> list[Row]:
    count = 4 if quick else FILES
    with tempfile.TemporaryDirectory() as name, sink() as host:
        folder = Path(name)
        zipped = files(folder, count)
        tar = folder / "plain.tar"
        layer = write_layer(folder / "layer.tar.gz", [(zipped, "opt/")])
        with igzip.open(layer.path) as source, tar.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        found = []
        for _ in range(1 if quick else 3):
            words = [sys.executable, "-m", "tests.benchmarks.images", str(zipped), host]
            ran = subprocess.run(words, check=True, capture_output=True, text=True)
            found.append((*json.loads(ran.stdout), alone(tar, host)))
    size = f"image layer of {count * PIECE / 1e9:.2g} GB"
    return [
        Row(
            f"{size}, compressed and pushed",
            "s",
            [mine for mine, _, _ in found],
            "the slower of the two alone",
            [theirs for _, _, theirs in found],
        ),
        Row(
            f"{size}, peak memory",
            "MB",
            [peak for _, peak, _ in found],
            "what it may take",
            [LIMIT_MB for _ in found],
        ),
    ]


if __name__ == "__main__":
    ours(*sys.argv[1:])
