"""The queue over real HTTP: bodies, cancellation, other people's ids, webhooks, slow functions."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import standardwebhooks

from tests.support.serving import serving

pytestmark = pytest.mark.e2e

FILE = Path(__file__).parent / "queued.py"
PATIENCE_S = 90


@pytest.fixture(scope="module")
def served(stack):
    stack.serve(FILE, "work", "--alias", "q-work")
    stack.serve(FILE, "misbehave", "--alias", "q-bad")
    stack.serve(FILE, "echo", "--alias", "q-echo")
    return stack


def submit(stack, label, body=b"", path="", query="", method="POST", key=None):
    headers = dict(stack.key if key is None else key)
    return stack.call(label, method, f"/fal/queue/submit{path}{query}", body, headers)


def accepted(stack, label, body=b"", **more):
    answer = submit(stack, label, body, **more)
    assert answer.status == 200, answer.body
    return answer.json()["request_id"]


def ask(stack, label, request_id, what="status", key=None, method="GET"):
    path = f"/fal/queue/requests/{request_id}/{what}"
    return stack.call(label, method, path, headers=stack.key if key is None else key)


def completed(stack, label, request_id):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        status = ask(stack, label, request_id, "status?logs=1").json()
        if status["status"] == "COMPLETED":
            return status
        time.sleep(0.2)
    raise AssertionError(f"not completed: {status}")


def test_a_request_from_submit_to_response(served):
    submitted = submit(served, "q-work", {"n": 7}).json()
    request_id = submitted["request_id"]
    assert urlsplit(submitted["status_url"]).hostname == f"{served.user}-q-work.gateway.localhost"
    status = completed(served, "q-work", request_id)
    assert [line["message"] for line in status["logs"]] == ["begin 7", "end 7"]
    assert status["metrics"]["inference_time"] > 0
    answer = ask(served, "q-work", request_id, "response")
    assert (answer.status, answer.json()) == (200, {"n": 7, "length": 0})
    assert answer.header("x-fal-request-id") == request_id
    assert answer.header("x-fal-revision")
    found = served.run("function", "logs", "q-work", "--request", request_id)
    assert "begin 7" in found.output


def test_large_empty_and_binary_bodies(served):
    note = "ä" * 2_500_000
    large = accepted(served, "q-work", {"note": note})
    empty = accepted(served, "q-work")
    binary = bytes(range(256)) * 4000
    odd = accepted(served, "q-echo", binary, path="/a%2Fb", query="?x=%20", method="PATCH")
    assert completed(served, "q-work", large)["status"] == "COMPLETED"
    assert ask(served, "q-work", large, "response").json()["length"] == 2_500_000
    completed(served, "q-work", empty)
    assert ask(served, "q-work", empty, "response").json() == {"n": 0, "length": 0}
    status = completed(served, "q-echo", odd)
    assert status["error_type"] == "http_418"
    answer = ask(served, "q-echo", odd, "response")
    assert (answer.status, answer.body) == (418, binary)
    assert answer.header("x-path") == "/a%2Fb?x=%20"
    assert answer.all("set-cookie") == ["a=1", "b=2"]


def test_a_result_of_twenty_megabytes(served):
    request_id = accepted(served, "q-bad", {"how": "bytes", "size": 20_000_000})
    completed(served, "q-bad", request_id)
    answer = ask(served, "q-bad", request_id, "response")
    assert answer.status == 307
    place = urlsplit(answer.header("location"))
    connection = http.client.HTTPConnection(place.netloc, timeout=60)
    connection.request("GET", f"{place.path}?{place.query}")
    fetched = connection.getresponse()
    assert fetched.read() == b"\xff" * 20_000_000
    assert fetched.getheader("content-type") == "application/octet-stream"
    connection.close()


def test_failures_end_as_completed(served):
    invalid = accepted(served, "q-work", {"n": "many"})
    raising = accepted(served, "q-bad", {"how": "raise"})
    dying = accepted(served, "q-bad", {"how": "die"})
    assert completed(served, "q-work", invalid)["error_type"] == "validation_error"
    answer = ask(served, "q-work", invalid, "response")
    assert (answer.status, answer.json()["detail"][0]["loc"]) == (422, ["body", "n"])
    status = completed(served, "q-bad", raising)
    assert (status["error"], status["error_type"]) == ("not here", "LookupError")
    assert "not here" in json.dumps(status["logs"])
    assert ask(served, "q-bad", raising, "response").status == 500
    assert completed(served, "q-bad", dying)["error"]
    assert ask(served, "q-bad", dying, "response").status == 502


def test_ids_that_are_nobodys_or_somebody_elses(served):
    assert ask(served, "q-work", str(uuid.uuid4())).status == 404
    assert ask(served, "q-work", "1").status == 404
    request_id = accepted(served, "q-work", {})
    assert ask(served, "q-bad", request_id).status == 404
    assert ask(served, "q-work", request_id, key={}).status == 401
    assert submit(served, "q-work", {}, key={"Authorization": "Key a:b"}).status == 401
    served.serve(FILE, "work", "--alias", "q-shared", "--auth", "shared")
    shared = accepted(served, "q-shared", {})
    assert ask(served, "q-shared", shared).status == 200
    key = a_key_of_another_user(served)
    assert ask(served, "q-shared", shared, key=key).status == 404
    theirs = accepted(served, "q-shared", {}, key=key)
    assert ask(served, "q-shared", theirs, key=key).status == 200
    assert ask(served, "q-work", request_id, key=key).status == 403


def a_key_of_another_user(stack):
    """A key whose owner is somebody else, written as ``key generate`` writes it."""
    from fal_serverless import keys
    from fal_serverless.aws.registry import RegistryTable
    from fal_serverless.aws.session import emulator_session

    status = stack.run("local", "status", "--json").json()
    state = json.loads((Path(stack.environ["FAL_HOME"]) / "local/state.json").read_text())
    session = emulator_session(status["endpoint_url"])
    made = keys.generate()
    table = RegistryTable(
        session.boto.client("dynamodb", endpoint_url=session.endpoint_url), state["table"]
    )
    record = keys.KeyRecord(
        id=made.id, secret_sha256=keys.hash_secret(made.secret), owner="999", scope="API"
    )
    table.add_key(record, "2026-01-01T00:00:00Z")
    return {"X-Fal-Key-Id": made.id, "X-Fal-Key-Secret": made.secret}


def test_cancelled_before_during_and_after(served):
    running = accepted(served, "q-work", {"n": 1, "seconds": 4})
    deadline = time.monotonic() + PATIENCE_S
    while ask(served, "q-work", running).json()["status"] != "IN_PROGRESS":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert ask(served, "q-work", running, "cancel", method="PUT").status == 202
    assert ask(served, "q-work", running).json()["error_type"] == "cancelled"
    waiting = accepted(served, "q-work", {"n": 2})
    cancelled = ask(served, "q-work", waiting, "cancel", method="PUT")
    assert cancelled.status in (202, 400)
    assert completed(served, "q-work", waiting)["status"] == "COMPLETED"
    done = accepted(served, "q-work", {"n": 3})
    completed(served, "q-work", done)
    late = ask(served, "q-work", done, "cancel", method="PUT")
    assert (late.status, late.json()["status"]) == (400, "ALREADY_COMPLETED")
    assert ask(served, "q-work", done, "response").json()["n"] == 3
    assert ask(served, "q-work", running, "response").status == 410


def test_the_hosts_run_and_queue(served):
    queue = f"queue.gateway.localhost:{served.port}"
    path = f"/{served.user}/q-work"
    answer = served.call("", "POST", path, {"n": 5}, served.key, queue)
    status_url = urlsplit(answer.json()["status_url"])
    assert status_url.netloc == queue
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = served.call("", "GET", status_url.path, headers=served.key, host=queue).json()
        if found["status"] == "COMPLETED":
            break
        assert time.monotonic() < deadline
        time.sleep(0.2)
    response = urlsplit(answer.json()["response_url"]).path
    assert served.call("", "GET", response, headers=served.key, host=queue).json()["n"] == 5
    run = f"run.gateway.localhost:{served.port}"
    assert served.call("", "POST", path, {"n": 6}, served.key, run).json()["n"] == 6
    plain = f"127.0.0.1:{served.port}"
    answer = served.call("", "POST", f"/queue{path}", {"n": 8}, served.key, plain)
    assert urlsplit(answer.json()["status_url"]).path.startswith(f"/queue{path}/requests/")
    assert completed(served, "q-work", answer.json()["request_id"])


@pytest.mark.slow
def test_forty_seconds_are_too_long_for_a_direct_request_and_not_for_the_queue(served):
    # By way of the emulator's API Gateway and the gateway on Lambda, as on AWS.
    status = served.run("local", "status", "--json").json()
    gateway_url = served.run("stack", "status", "--json").json()["gateway_url"]
    api = urlsplit(gateway_url).hostname.partition(".")[0]
    behind = type(served)(served.environ, urlsplit(status["endpoint_url"]).port)
    host = f"{api}.execute-api.localhost:{behind.port}"
    base = f"/queue/{served.user}/q-work"
    body = {"n": 40, "seconds": 40, "note": "x" * 100_000}
    submitted = behind.call("", "POST", base, body, served.key, host).json()
    direct = served.call("q-work", body={"seconds": 40}, headers=served.key)
    assert direct.status == 504
    assert "/fal/queue/submit" in direct.json()["detail"]
    path = urlsplit(submitted["response_url"]).path
    assert path == f"{base}/requests/{submitted['request_id']}"
    status = completed(served, "q-work", submitted["request_id"])
    assert status["metrics"]["inference_time"] > 40
    answer = behind.call("", "GET", path, headers=served.key, host=host)
    assert (answer.status, answer.json()) == (200, {"n": 40, "length": 100_000})


class Receiver(BaseHTTPRequestHandler):
    """Answers with the statuses it was told, then with 200."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.path, dict(self.headers.items()), body))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        self.send_header("location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()
        self.server.came.release()

    def log_message(self, *words):
        pass


@contextmanager
def receiver(*statuses):
    given = {"seen": [], "statuses": list(statuses), "came": threading.Semaphore(0)}
    with serving(Receiver, **given) as server:
        yield server, f"?fal_webhook={quote(f'http://127.0.0.1:{server.server_port}/hook')}"


def test_a_webhook_is_signed_and_tried_again(served):
    secret = served.run("key", "webhook-secret", "--json").json()["secret"]
    with receiver(500, 302) as (server, query):
        request_id = accepted(served, "q-work", {"n": 9}, query=query)
        for _ in range(3):
            assert server.came.acquire(timeout=PATIENCE_S)
    assert [path for path, _, _ in server.seen] == ["/hook"] * 3
    for _, headers, body in server.seen:
        said = standardwebhooks.Webhook(secret).verify(body, headers)
        assert said == {"request_id": request_id, "status": "OK", "payload": {"n": 9, "length": 0}}


def test_a_webhook_hears_of_failures(served):
    with receiver() as (server, query):
        accepted(served, "q-bad", {"how": "raise"}, query=query)
        assert server.came.acquire(timeout=PATIENCE_S)
    said = json.loads(server.seen[0][2])
    assert (said["status"], said["error"], said["error_type"]) == (
        "ERROR",
        "not here",
        "LookupError",
    )


def test_what_is_no_webhook_is_refused(served):
    answer = submit(served, "q-work", {}, query="?fal_webhook=ftp%3A%2F%2Fh%2F")
    assert answer.status == 422
    assert "fal_webhook" in answer.json()["detail"]
