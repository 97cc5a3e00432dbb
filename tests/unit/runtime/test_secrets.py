"""Secrets in the runtime: the signature, and what is said of what goes wrong."""

from __future__ import annotations

import json
import os
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from fal_serverless.runtime import secrets
from fal_serverless.runtime.secrets import SecretError


class FixedTime(botocore.auth.SigV4Auth):
    """Signs as of a moment that the test knows."""

    def __init__(self, credentials, moment):
        super().__init__(credentials, "ssm", "eu-west-1")
        self.moment = moment

    def add_auth(self, request):
        request.context["timestamp"] = self.moment
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        signature = self.signature(self.string_to_sign(request, canonical), request)
        self._inject_signature_to_request(request, signature)


@pytest.mark.parametrize("token", ["", "a/token+with=signs"])
@pytest.mark.parametrize("url", ["https://ssm.eu-west-1.amazonaws.com", "http://localhost:4566"])
def test_the_signature_is_botocores(token, url):
    now = 1_790_000_000
    body = json.dumps({"Names": ["/fal/s/1/A"], "WithDecryption": True}).encode()
    ours = secrets.signed_headers(
        url,
        body,
        region="eu-west-1",
        now=now,
        credentials={"key": "AKID", "secret": "SECRET", "token": token},
    )
    sent = {name: ours[name] for name in ("content-type", "host", "x-amz-target")}
    request = AWSRequest("POST", url + "/", headers=sent, data=body)
    moment = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    FixedTime(Credentials("AKID", "SECRET", token or None), moment).add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch):
    """A stand-in of SSM: ``answers`` are given in turn, ``asked`` is what came."""

    class Ssm:
        def __init__(self) -> None:
            self.answers: list[tuple[int, dict]] = []
            self.asked: list[dict] = []

    stand_in = Ssm()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            stand_in.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, content = stand_in.answers.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name, value in {
        "FAL_STACK": "s",
        "FAL_USER": "1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
    }.items():
        monkeypatch.setenv(name, value)
    yield stand_in
    server.shutdown()
    thread.join()
    server.server_close()


def given(*names: str) -> tuple[int, dict]:
    listed = [{"Name": f"/fal/s/1/{name}", "Value": f"value of {name}"} for name in names]
    return 200, {"Parameters": listed}


def test_many_are_asked_for_ten_at_a_time(ssm, monkeypatch):
    names = [f"T_{number}" for number in range(12)]
    for name in names:
        monkeypatch.setenv(name, "before")
    ssm.answers += [given(*names[:10]), given(*names[10:])]
    secrets.install(names)
    assert [len(question["Names"]) for question in ssm.asked] == [10, 2]
    assert os.environ["T_11"] == "value of T_11"


def test_a_missing_one_is_named_and_nothing_is_set(ssm, monkeypatch):
    monkeypatch.setenv("T_A", "before")
    ssm.answers.append(given("T_A"))
    with pytest.raises(SecretError, match="no secret T_B") as caught:
        secrets.install(["T_A", "T_B"])
    assert "value of" not in str(caught.value)
    assert os.environ["T_A"] == "before"


def test_throttling_and_faults_are_tried_again(ssm, monkeypatch):
    monkeypatch.setenv("T_A", "before")
    ssm.answers += [(400, {"__type": "ThrottlingException"}), (503, {}), given("T_A")]
    secrets.install(["T_A"])
    assert os.environ["T_A"] == "value of T_A"


def test_a_refusal_is_told_at_once(ssm):
    ssm.answers.append((400, {"__type": "AccessDeniedException", "Message": "not allowed"}))
    with pytest.raises(SecretError, match="AccessDeniedException not allowed"):
        secrets.install(["T_A"])
    assert len(ssm.asked) == 1
