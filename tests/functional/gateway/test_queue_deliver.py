"""Calling webhooks over real HTTP and TLS: of whom, for how long, and never elsewhere."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest
import standardwebhooks
import trustme

from fal_serverless.gateway.queue.deliver import Deliverer
from fal_serverless.gateway.queue.webhook import new_secret, signed
from tests.support.serving import serving


class Receiver(BaseHTTPRequestHandler):
    """Answers by the path: /500, /302 …; /slow sends a byte now and then."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.path, self.headers, body))
        if self.path == "/slow":
            for _ in range(50):
                if self.server.over.wait(0.1):
                    return
                try:
                    self.wfile.write(b"H")
                except OSError:
                    return
            return
        self.send_response(int(self.path[1:]))
        self.send_header("location", f"http://127.0.0.1:{self.server.server_port}/200")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


@contextmanager
def receiving(context: ssl.SSLContext | None = None):
    with serving(Receiver, seen=[], over=threading.Event()) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        try:
            yield server
        finally:
            server.over.set()


def test_a_webhook_arrives_and_its_signature_holds():
    secret = new_secret()
    body = json.dumps({"request_id": "r", "status": "OK", "payload": 1}).encode()
    headers = signed("r", body, (secret,), time.time())
    with receiving() as server:
        url = f"http://127.0.0.1:{server.server_port}/204"
        assert Deliverer(private=True)(url, headers, body).delivered
    [(_, got, content)] = server.seen
    checker = standardwebhooks.Webhook(secret)
    assert checker.verify(content, dict(got.items()))["payload"] == 1
    with pytest.raises(standardwebhooks.webhooks.WebhookVerificationError):
        checker.verify(content.replace(b"1", b"2"), dict(got.items()))


@pytest.mark.parametrize(("status", "says"), [(500, "500"), (404, "404"), (302, "redirects")])
def test_other_answers_are_no_delivery_and_redirects_are_not_followed(status, says):
    with receiving() as server:
        url = f"http://127.0.0.1:{server.server_port}/{status}"
        outcome = Deliverer(private=True)(url, {}, b"{}")
    assert not outcome.delivered
    assert says in outcome.reason
    assert len(server.seen) == 1


def test_a_receiver_that_drips_is_given_up():
    with receiving() as server:
        url = f"http://127.0.0.1:{server.server_port}/slow"
        outcome = Deliverer(private=True, timeout=0.4)(url, {}, b"{}")
    assert not outcome.delivered
    assert not outcome.final


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert not Deliverer(private=True)(f"http://127.0.0.1:{port}/", {}, b"").delivered


def test_a_name_that_means_this_machine_is_not_called():
    with receiving() as server:
        there = Deliverer(resolve=lambda host, port: ["127.0.0.1"])
        outcome = there(f"https://hooks.example.com:{server.server_port}/200", {}, b"")
    assert (outcome.delivered, outcome.final) == (False, True)
    assert server.seen == []


def test_a_name_is_resolved_once():
    asked = []

    def resolve(host, port):
        asked.append(host)
        return ["10.0.0.1"] if len(asked) == 1 else ["127.0.0.1"]

    assert Deliverer(resolve=resolve)("https://rebinds.example.com/", {}, b"").final
    assert asked == ["rebinds.example.com"]


def test_a_name_that_does_not_resolve_may_do_so_later():
    def resolve(host, port):
        raise socket.gaierror("no such name")

    outcome = Deliverer(resolve=resolve)("https://h.example.com/", {}, b"")
    assert (outcome.delivered, outcome.final) == (False, False)


def test_tls_is_checked_against_the_name_and_not_the_address():
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example.com").configure_cert(server_side)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    resolve = lambda host, port: ["127.0.0.1"]  # noqa: E731 - one expression
    with receiving(server_side) as server:
        call = Deliverer(private=True, resolve=resolve, context=trusting)
        assert call(f"https://hooks.example.com:{server.server_port}/200", {}, b"").delivered
        wrong = call(f"https://other.example.com:{server.server_port}/200", {}, b"")
    assert "certificate" in wrong.reason.lower()
    assert server.seen[0][1]["host"] == f"hooks.example.com:{server.server_port}"


def test_the_reason_for_the_log_does_not_quote_the_address():
    outcome = Deliverer()("http://hooks.example.com/?token=secret", {}, b"")
    assert (outcome.delivered, outcome.final) == (False, True)
    assert "secret" not in outcome.reason
