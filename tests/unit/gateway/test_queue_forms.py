"""What queue addresses ask for."""

from __future__ import annotations

import pytest

from fal_serverless.gateway.queue.forms import form_of, take_webhook, wants_logs
from fal_serverless.gateway.target import resolve

ID = "21847a72-93e6-4227-ae6f-56bf3a90142d"
TARGET = "12-call.gateway.localhost"
QUEUE = "queue.gateway.localhost"


def form(host, path, method="POST"):
    target = resolve(host, path, "gateway.localhost")
    assert target is not None
    return form_of(target, method)


@pytest.mark.parametrize("path", ["/", "/fal", "/fal/queues/submit", "/x/fal/queue/submit"])
def test_other_paths_are_the_functions(path):
    assert form(TARGET, path) is None


@pytest.mark.parametrize(
    ("host", "path", "seen"),
    [
        (TARGET, "/fal/queue/submit", "/"),
        (TARGET, "/fal/queue/submit/", "/"),
        (TARGET, "/fal/queue/submit/a//b%2F", "/a//b%2F"),
        ("localhost", "/12-call/fal/queue/submit/a", "/a"),
        ("localhost", f"/trigger/12/{ID}/fal/queue/submit/a", "/a"),
        (QUEUE, "/12/call", "/"),
        (QUEUE, "/12/call/a/b", "/a/b"),
        (QUEUE, "/12/call/requests/notes", "/requests/notes"),
        ("localhost", "/queue/12/call/a", "/a"),
    ],
)
def test_submissions(host, path, seen):
    found = form(host, path)
    assert (found.action, found.path) == ("submit", seen)


@pytest.mark.parametrize(
    ("host", "path", "method", "action"),
    [
        (TARGET, f"/fal/queue/requests/{ID}/status", "GET", "status"),
        (TARGET, f"/fal/queue/requests/{ID}/response", "GET", "response"),
        (TARGET, f"/fal/queue/requests/{ID}", "GET", "response"),
        (TARGET, f"/fal/queue/requests/{ID}/cancel", "PUT", "cancel"),
        (TARGET, f"/fal/queue/{ID}/get", "POST", "status"),
        (TARGET, f"/fal/queue/{ID}/cancel", "POST", "cancel"),
        (QUEUE, f"/12/call/requests/{ID}", "GET", "response"),
        (QUEUE, f"/12/call/requests/{ID}/status", "GET", "status"),
        (QUEUE, f"/12/call/requests/{ID}/response", "GET", "response"),
        (QUEUE, f"/12/call/requests/{ID}/cancel", "PUT", "cancel"),
    ],
)
def test_requests(host, path, method, action):
    found = form(host, path, method)
    assert (found.action, found.request_id, found.allowed) == (action, ID, ())


@pytest.mark.parametrize(
    "path",
    [
        "/fal/queue",
        "/fal/queue/",
        "/fal/queue/submitted",
        "/fal/queue/requests/1/status",
        "/fal/queue/requests",
        f"/fal/queue/requests/{ID}/status/stream",
        f"/fal/queue/{ID}/other",
    ],
)
def test_unknown_addresses_reach_no_function(path):
    assert form(TARGET, path, "GET").action == "unknown"


def test_a_method_that_does_not_fit_is_told_the_ones_that_do():
    assert form(TARGET, f"/fal/queue/requests/{ID}/status", "POST").allowed == ("GET", "HEAD")
    assert "PUT" in form(QUEUE, f"/12/call/requests/{ID}/cancel", "GET").allowed


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        (TARGET, "/fal/queue/submit/a", f"/fal/queue/requests/{ID}/response"),
        ("localhost", "/12-call/fal/queue/submit", f"/12-call/fal/queue/requests/{ID}/response"),
        (QUEUE, "/12/call/a", f"/12/call/requests/{ID}"),
        ("localhost", "/queue/12/call/a", f"/queue/12/call/requests/{ID}"),
    ],
)
def test_addresses_lead_back_to_the_same_queue(host, path, status):
    found = form(host, path)
    assert f"{found.base}{ID}{found.answers}" == status
    assert form(host, status, "GET").action == "response"


@pytest.mark.parametrize(
    ("query", "url", "rest"),
    [
        (b"", "", b""),
        (b"a=1&b=%2B&a=", "", b"a=1&b=%2B&a="),
        (b"fal_webhook=https%3A%2F%2Fh%2Fx%3Fa%3Db", "https://h/x?a=b", b""),
        (b"a=1&fal_webhook=https://h/&b", "https://h/", b"a=1&b"),
    ],
)
def test_the_webhook_is_taken_out_of_the_query(query, url, rest):
    assert take_webhook(query) == (url, rest)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (b"logs=1", True),
        (b"logs=true", True),
        (b"logs=0", False),
        (b"", False),
        (b"x=logs=1", False),
    ],
)
def test_logs_are_asked_for_as_either_client_does(query, wanted):
    assert wants_logs(query) is bool(wanted)
