"""Exposed-port mode against httpbin: what goes through a web server must come out the same."""

from __future__ import annotations

import http.client
import json
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.network]
TEXT = """from fal_serverless import isolated

@isolated(requirements=["httpbin", "brotlicffi", "setuptools<81"], exposed_port=8080)
def bin():
    from httpbin import app
    return app

@isolated(requirements=["flask"], exposed_port=8080)
def raw():
    from flask import Flask, Response, request
    app = Flask(__name__)
    @app.route("/echo", methods=["GET", "POST", "PUT"])
    def echo():
        return Response(request.get_data(), mimetype="application/octet-stream")
    @app.route("/seen")
    @app.route("/seen/<path:rest>")
    def seen(rest=""):
        return {"raw": request.environ.get("RAW_URI") or request.environ["REQUEST_URI"],
                "headers": [[k, v] for k, v in request.headers.items()]}
    @app.route("/cookies")
    def cookies():
        answer = Response("x")
        for n in range(3):
            answer.set_cookie(f"c{n}", str(n))
        answer.headers.add("X-Twice", "1"); answer.headers.add("X-Twice", "2")
        return answer
    app.run(host="0.0.0.0", port=8080)
"""


@pytest.fixture(scope="module")
def served(stack: Stack, tmp_path_factory):
    file = tmp_path_factory.mktemp("bin") / "mine.py"
    file.write_text(TEXT, encoding="utf-8")
    stack.serve(file, "raw", "--alias", "raw", "--auth", "public")
    stack.serve(file, "bin", "--alias", "bin", "--auth", "public")
    return stack


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods(served: Stack, method):
    answer = served.call("bin", method, "/anything/a%20b?x=1&x=&x=%2F", body=b"body")
    assert answer.status == 200
    seen = answer.json()
    assert (seen["method"], seen["args"]["x"]) == (method, ["1", "", "/"])
    assert seen["data"] == "body"


def test_head(served: Stack):
    answer = served.call("bin", "HEAD", "/bytes/100")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("hundred", [200, 300, 400, 500])
def test_statuses(served: Stack, hundred):
    for status in range(hundred, hundred + 25):
        assert served.call("bin", "GET", f"/status/{status}").status == status


def test_redirects_keep_their_location(served: Stack):
    answer = served.call("bin", "GET", "/redirect-to?url=https%3A%2F%2Fexample.com%2F")
    assert (answer.status, answer.header("location")) == (302, "https://example.com/")


@pytest.mark.parametrize("coding", ["gzip", "brotli", "deflate"])
def test_compressed_bodies_stay_compressed(served: Stack, coding):
    answer = served.call("bin", "GET", f"/{coding}")
    assert answer.header("content-encoding") in ("gzip", "br", "deflate")
    with pytest.raises(ValueError):
        json.loads(answer.body)


def test_a_png_byte_for_byte(served: Stack):
    answer = served.call("bin", "GET", "/image/png")
    assert answer.header("content-type") == "image/png"
    assert answer.body.startswith(b"\x89PNG")
    assert len(answer.body) == int(answer.header("content-length") or 0)


def test_cookies_and_repeated_headers(served: Stack):
    answer = served.call("raw", "GET", "/cookies")
    assert [value.partition(";")[0] for value in answer.all("set-cookie")] == [
        "c0=0",
        "c1=1",
        "c2=2",
    ]
    assert ",".join(answer.all("x-twice")).replace(" ", "") == "1,2"


def test_the_path_and_query_are_those_that_were_sent(served: Stack):
    raw = "/seen/a%2Fb%20c/%C3%A9?x=1&x=2&y=&z=%26"
    assert served.call("raw", "GET", raw).json()["raw"] == raw


def test_host_and_forwarded_headers(served: Stack):
    headers = dict(served.call("raw", "GET", "/seen").json()["headers"])
    assert headers["Host"].startswith(f"{served.user}-raw.gateway.localhost")
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert "X-Forwarded-Proto" in headers


def test_four_megabytes_each_way(served: Stack):
    body = os.urandom(4_000_000)
    answer = served.call("raw", "POST", "/echo", body=body)
    assert answer.status == 200
    assert answer.body == body


def test_a_chunked_upload(served: Stack):
    pieces = [os.urandom(size) for size in (1, 70_000, 3, 500_000)]
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    host = f"{served.user}-raw.gateway.localhost:{served.port}"
    connection.request("POST", "/echo", iter(pieces), {"Host": host}, encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"".join(pieces))
    connection.close()


def test_too_much_is_refused_by_its_size(served: Stack):
    answer = served.call("raw", "POST", "/echo", body=b"\xff" * 5_000_000)
    assert answer.status == 413
    assert "6,291,556" in answer.json()["detail"]


def test_a_key_does_not_reach_a_public_function(served: Stack):
    answer = served.call("raw", "GET", "/seen?fal_key_id=a&b=1", headers=served.key)
    seen = answer.json()
    assert seen["raw"] == "/seen?b=1"
    assert not [name for name, _ in seen["headers"] if name.lower().startswith("x-fal-key")]
