"""What the command says when AWS will not have it: three lines, and the exit status."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import EXAMPLES, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e]

EXPIRED = b"""<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code>
<Message>The security token included in the request is expired</Message></Error></ErrorResponse>"""


@pytest.fixture
def abroad(stack: Stack, tmp_path) -> Stack:
    """The command of somebody who has configured nothing but a Region."""
    environ = {key: value for key, value in stack.environ.items() if key != "FAL_PROFILE"}
    return Stack(
        {
            **environ,
            "HOME": str(tmp_path),
            "FAL_HOME": str(tmp_path),
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        0,
    )


@pytest.fixture
def expiring() -> Iterator[str]:
    """An endpoint for which every token has expired."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(403)
            self.send_header("Content-Length", str(len(EXPIRED)))
            self.end_headers()
            self.wfile.write(EXPIRED)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def refused(command: Stack, *words: str, **variables: str) -> tuple[int, list[str]]:
    ran = Stack({**command.environ, **variables}, 0).run(
        "function", "serve", str(EXAMPLES / "hello.py"), "hello", *words, ok=False
    )
    lines = ran.errors.strip().splitlines()
    assert [line.split(":")[0].strip() for line in lines] == ["Error", "Why", "Next"]
    return ran.status, lines


def test_no_credentials(abroad: Stack):
    status, lines = refused(abroad)
    assert status == 4
    assert "no AWS credentials were found" in lines[1]
    assert "aws configure" in lines[2]


def test_an_expired_token(abroad: Stack, expiring: str):
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}
    status, lines = refused(abroad, AWS_ENDPOINT_URL=expiring, **keys)
    assert status == 4
    assert "expired" in lines[1]
    assert "sign in again" in lines[2]


def test_no_stack(stack: Stack):
    status, lines = refused(stack, "--stack", "nothing")
    assert status == 3
    assert "There is no stack 'nothing'" in lines[0]
    assert "'fal-serverless'" in lines[1]
    assert "--stack" in lines[2]


def test_no_profile_and_no_region(abroad: Stack):
    assert refused(abroad, "--profile", "nobody")[0] == 4
    status, lines = refused(abroad, AWS_REGION="")
    assert status == 2
    assert "--region" in lines[2]


def test_a_forgotten_requirement_is_told_of_before_the_first_request(stack: Stack, tmp_path):
    file = tmp_path / "forgetful.py"
    file.write_text(
        "from fal_serverless import isolated\n"
        "@isolated(serve=True)\ndef forgetful():\n    import yaml\n\n    return yaml.dump(1)\n"
    )
    ran = stack.run("function", "serve", str(file), "forgetful", "--dry-run", "--json")
    assert "'forgetful' uses 'yaml'" in ran.errors
    assert 'add "pyyaml" to them' in ran.errors
    assert "plan" in ran.json()
