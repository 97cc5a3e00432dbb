"""Functions that the queue's tests serve. Imported by nobody: ``function serve`` reads it."""

from __future__ import annotations

import os
import signal
import time

from fal_serverless import isolated


@isolated(serve=True, timeout=60)
def work(n: int = 0, seconds: float = 0.0, note: str = "") -> dict:
    print(f"begin {n}")
    if seconds:
        time.sleep(seconds)
    print(f"end {n}")
    return {"n": n, "length": len(note)}


@isolated(serve=True)
def misbehave(how: str, size: int = 0) -> object:
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raise":
        raise LookupError("not here")
    if how == "bytes":
        return b"\xff" * size
    return "x" * size


@isolated(exposed_port=8080, requirements=[])
def echo() -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Echo(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(418)
            self.send_header("x-path", self.path)
            self.send_header("set-cookie", "a=1")
            self.send_header("set-cookie", "b=2")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    ThreadingHTTPServer(("", 8080), Echo).serve_forever()
