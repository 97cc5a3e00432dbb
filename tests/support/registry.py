"""A strict registry of this process that can misbehave in the ways that real ones do."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.support.serving import serving


@dataclass
class Faults:
    """What goes wrong.

    Attributes:
        cuts: so many uploads lose their connection in the middle.
        statuses: answers to the next requests of a method, such as ``{"POST": [503, 503]}``.
        mounts: whether layers are taken over from other repositories.
        lives: requests that a token is good for; 0: nobody needs one.
        lies: whether uploads are said to be something else.
        corrupt: so many downloads are damaged.
    """

    cuts: int = 0
    statuses: dict[str, list[int]] = field(default_factory=dict)
    mounts: bool = True
    lives: int = 0
    lies: bool = False
    corrupt: int = 0


class _Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one(self, method):
        parts = urlsplit(self.path)
        self.server.asked.append((method, parts.path))
        if parts.path == "/token":
            self.server.left = self.server.faults.lives
            return self._answer(200, json.dumps({"token": "t"}).encode())
        if not self._welcome():
            return None
        queued = self.server.faults.statuses.get(method, [])
        if queued:
            return self._answer(queued.pop(0), b'{"errors": [{"message": "the disk is full"}]}')
        _, _, rest = parts.path.partition("/v2/")
        for mark in ("/blobs/", "/manifests/"):
            name, found, tail = rest.rpartition(mark)
            if found:
                work = getattr(self, f"{method.lower()}_{mark.strip('/')}")
                return work(name.replace("/blobs", ""), tail, parse_qs(parts.query))
        return self._answer(404, b"")

    def _welcome(self):
        if not self.server.faults.lives:
            return True
        if self.headers.get("authorization") == "Bearer t" and self.server.left > 0:
            self.server.left -= 1
            return True
        realm = f'Bearer realm="http://127.0.0.1:{self.server.server_port}/token",service="r"'
        self.close_connection = True
        self._answer(401, b"", {"www-authenticate": realm})
        return False

    def head_blobs(self, name, digest, query):
        found = self.server.blobs.get((name, digest))
        self._answer(404 if found is None else 200, b"")

    def get_blobs(self, name, digest, query):
        found = self.server.blobs.get((name, digest))
        if found and self.server.faults.corrupt:
            self.server.faults.corrupt -= 1
            found = b"?" + found[1:]
        self._answer(404 if found is None else 200, found or b"")

    def post_blobs(self, name, tail, query):
        if "mount" in query and self.server.faults.mounts:
            digest, source = query["mount"][0], query["from"][0]
            if (source, digest) in self.server.blobs:
                self.server.blobs[name, digest] = self.server.blobs[source, digest]
                return self._answer(201, b"")
        return self._answer(202, b"", {"location": f"/v2/{name}/blobs/uploads/1?state=x"})

    def put_blobs(self, name, tail, query):
        size = int(self.headers["content-length"])
        if self.server.faults.cuts:
            self.server.faults.cuts -= 1
            self.rfile.read(size // 2)
            self.close_connection = True
            self.connection.close()
            return None
        content = self.rfile.read(size)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if digest != query["digest"][0]:
            return self._answer(400, b'{"errors": [{"code": "DIGEST_INVALID"}]}')
        self.server.blobs[name, digest] = content
        said = "sha256:" + "0" * 64 if self.server.faults.lies else digest
        return self._answer(201, b"", {"docker-content-digest": said})

    def put_manifests(self, name, version, query):
        content = self.rfile.read(int(self.headers["content-length"]))
        manifest = json.loads(content)
        for part in (manifest["config"], *manifest["layers"]):
            if (name, part["digest"]) not in self.server.blobs:
                return self._answer(400, b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}')
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        kind = self.headers["content-type"]
        for key in (digest, version):
            self.server.manifests[name, key] = (content, kind)
        return self._answer(201, b"", {"docker-content-digest": digest})

    def get_manifests(self, name, version, query):
        content, kind = self.server.manifests.get((name, version), (b"", ""))
        self._answer(200 if content else 404, content, {"content-type": kind})

    def _answer(self, status, body, headers=None):
        if status >= 400:
            # What was not read of a body would be taken for the next request.
            self.close_connection = True
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        self.handle_one("GET")

    def do_HEAD(self):
        self.handle_one("HEAD")

    def do_POST(self):
        self.handle_one("POST")

    def do_PUT(self):
        self.handle_one("PUT")

    def log_message(self, *words):
        pass


@contextmanager
def registry(faults: Faults | None = None):
    """A registry with ``blobs`` and ``manifests`` by (repository, digest), and its ``host``."""
    given = {"blobs": {}, "manifests": {}, "asked": [], "left": 0}
    with serving(_Registry, faults=faults or Faults(), **given) as server:
        server.host = f"127.0.0.1:{server.server_port}"
        yield server
