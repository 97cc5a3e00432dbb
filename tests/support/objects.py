"""Signed addresses without S3: a server that keeps what is put and gives what it has."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.support.serving import serving


class _Objects(BaseHTTPRequestHandler):
    def do_PUT(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.puts.append((self._name(), body))
        self.server.objects[self._name()] = body
        self._answer(self.server.status, b"")

    def do_GET(self):
        found = self.server.objects.get(self._name())
        self._answer(404 if found is None else 200, found or b"")

    def _name(self):
        return self.path.partition("?")[0]

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


@contextmanager
def objects(status: int = 200):
    """A server with ``objects`` by path, ``puts`` in order, and its ``url``."""
    with serving(_Objects, objects={}, puts=[], status=status) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
