"""A stand-in of Lambda's Runtime API: hands out events, and collects what is answered."""

from __future__ import annotations

import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class RuntimeApi:
    """Events go in by ``invoke``; the runtime under test fetches and answers them."""

    def __init__(self) -> None:
        self._events: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._answers: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._count = 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                request_id, event = api._events.get()
                deadline = str(int(time.time() * 1000) + 30_000)
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
                self.send_header("Lambda-Runtime-Deadline-Ms", deadline)
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:x:1:f")
                # The client reads these without asking whether they are there.
                self.send_header("Lambda-Runtime-Trace-Id", "Root=1-0-0")
                self.send_header("Lambda-Runtime-Client-Context", "{}")
                self.send_header("Lambda-Runtime-Cognito-Identity", "{}")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(event)))
                self.end_headers()
                self.wfile.write(event)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                api._answers.put((self.path.rpartition("/")[2], body))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def invoke(self, event: dict, seconds: float = 15) -> tuple[str, dict]:
        """("response" or "error", document) of one event."""
        self._count += 1
        self._events.put((f"00000000-0000-0000-0000-{self._count:012}", json.dumps(event).encode()))
        kind, body = self._answers.get(timeout=seconds)
        return kind, json.loads(body)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
