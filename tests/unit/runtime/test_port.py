"""Exposed-port mode without Lambda: how long a server is waited for."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time

from fal_serverless.runtime.events import Answer, request_of
from fal_serverless.runtime.loader import Loaded
from fal_serverless.runtime.port import DIRECT_MARGIN_S, Port
from fal_serverless.runtime.ports import free_port

LISTEN_AFTER_S = 0.6


class Hello(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass


class Late:
    """A server that listens when it is told to, or some time after it is begun."""

    def __init__(self):
        self.port = free_port()
        self.listen = threading.Event()
        self._server = None

    def run(self):
        self.listen.wait(LISTEN_AFTER_S)
        self._server = http.server.HTTPServer(("127.0.0.1", self.port), Hello)
        self._server.serve_forever(0.01)

    def stop(self):
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def asked(port: Port, remaining: float, **about: float) -> Answer:
    event = {"requestContext": {"http": {"method": "POST"}}, "fal": {"headers": [], **about}}
    return port.answer(request_of(event), remaining)


def test_a_direct_request_is_told_before_its_caller_is_given_up():
    late = Late()
    port = Port(Loaded({"name": "web", "port": late.port}, late.run, None, "rev"))
    try:
        soon = time.time() + DIRECT_MARGIN_S + LISTEN_AFTER_S / 3
        told = asked(port, 300.0, answer_by=soon)
        assert told.status == 502
        detail = json.loads(told.body)["detail"]
        assert f"nothing listens on port {late.port} after 0." in detail
        # The same environment goes on starting it, and the next request finds it.
        late.listen.set()
        found = asked(port, 300.0, answer_by=time.time() + 29.0)
        assert (found.status, found.body) == (200, b"hello")
    finally:
        late.stop()


def test_a_request_of_the_queue_waits_as_long_as_the_function_may_run():
    late = Late()
    port = Port(Loaded({"name": "web", "port": late.port}, late.run, None, "rev"))
    try:
        assert asked(port, 0.6).status == 502
        assert asked(port, 300.0).body == b"hello"
    finally:
        late.stop()


def test_a_port_is_called_as_its_author_calls_it(monkeypatch):
    # The embedded stack gives each function a port of its own instead.
    monkeypatch.setenv("FAL_LOCAL", "1")
    monkeypatch.setattr("socket.socket", socket.socket)
    named = free_port()
    over = threading.Event()
    port = Port(Loaded({"name": "web", "port": named}, over.wait, None, "rev"))
    told = asked(port, 0.6)
    over.set()
    assert f"nothing listens on port {named} " in json.loads(told.body)["detail"]
