"""AWS on a free port of this machine, answering at once: Lambda's Invoke, DynamoDB's BatchGetItem.

A process of its own, so that what it takes is not taken from those who are measured in threads.
``python -m tests.benchmarks.standin`` prints its port, and ends when its input does.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
from contextlib import contextmanager

from fal_serverless.keys import generate, hash_secret

OWNER = "12"
ALIAS = "call"
TABLE = "registry"
REVISION = "37f8658e-b841-4b51-ab1a-92565f3a4c04"
_FUNCTION = {
    "statusCode": 200,
    "headers": {"content-type": "application/json", "x-fal-revision": REVISION},
    "cookies": [],
    "body": '{"text":"hi"}',
    "isBase64Encoded": False,
    "fal": {"headers": [["content-type", "application/json"], ["x-fal-revision", REVISION]]},
}


def items(key_id: str, secret: str) -> dict[str, dict]:
    route = {
        "function": {"S": f"fal-{OWNER}-{ALIAS}-z"},
        "qualifier": {"S": ALIAS},
        "auth": {"S": "private"},
        "mode": {"S": "serve"},
        "timeout": {"N": "30"},
        "owner": {"S": OWNER},
        "revision": {"S": REVISION},
    }
    key = {
        "secret_sha256": {"S": hash_secret(secret)},
        "owner": {"S": OWNER},
        "scope": {"S": "API"},
    }
    return {
        name: {"pk": {"S": name}, "sk": {"S": "-"}, **item}
        for name, item in ((f"ROUTE#{OWNER}-{ALIAS}", route), (f"KEY#{key_id}", key))
    }


class Connection:
    """One connection; requests come whole or in pieces, one after the other."""

    def __init__(self, connected: socket.socket, registry: dict[str, dict]) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected
        self._registry = registry
        self._got = b""

    def read(self) -> bool:
        """Take what came, and answer what is whole; False at the end."""
        try:
            received = self._socket.recv(65536)
        except ConnectionError:
            return False
        self._got += received
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            head = self._got[:end].lower()
            size = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            whole = end + 4 + size
            if len(self._got) < whole:
                break
            body, self._got = self._got[end + 4 : whole], self._got[whole:]
            self._socket.sendall(self._answer(head, body))
        return bool(received)

    def close(self) -> None:
        self._socket.close()

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if b"batchgetitem" not in head:
            return FUNCTION_ANSWER
        table, wanted = next(iter(json.loads(body)["RequestItems"].items()))
        names = [key["pk"]["S"] for key in wanted["Keys"]]
        found = [self._registry[name] for name in names if name in self._registry]
        return written({"Responses": {table: found}, "UnprocessedKeys": {}})


def written(content: dict, *more: str) -> bytes:
    body = json.dumps(content).encode()
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *more, "", ""]).encode() + body


FUNCTION_ANSWER = written(_FUNCTION, "X-Amz-Executed-Version: 7", f"x-amzn-RequestId: {REVISION}")


def serve(key_id: str, secret: str, awake: str) -> None:
    """Until standard input ends; without asyncio, which takes as long as the exchange itself.

    Args:
        awake: ``"yes"`` never sleeps, so that no answer waits for a core to wake up: on a virtual
            machine that takes longer than answering does, and now more, now less.
    """
    registry = items(key_id, secret)
    with (
        selectors.DefaultSelector() as ready,
        socket.create_server(("127.0.0.1", 0), backlog=512) as listener,
    ):
        ready.register(listener, selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        print(listener.getsockname()[1], flush=True)
        while True:
            for found, _ in ready.select(0 if awake == "yes" else None):
                if found.fileobj is sys.stdin:
                    return
                if found.fileobj is listener:
                    connected, _ = listener.accept()
                    connection = Connection(connected, registry)
                    ready.register(connected, selectors.EVENT_READ, connection)
                elif not found.data.read():
                    ready.unregister(found.fileobj)
                    found.data.close()


@contextmanager
def aws(*, awake: bool = False):
    """(variables that lead to it, the two headers of a key that opens its route)."""
    made = generate()
    command = [sys.executable, "-m", "tests.benchmarks.standin", made.id, made.secret]
    command.append("yes" if awake else "no")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        environ = {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": "token" * 100,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_LAMBDA_FUNCTION_NAME": "gateway",
            "FAL_TABLE": TABLE,
        }
        yield environ, {"x-fal-key-id": made.id, "x-fal-key-secret": made.secret}
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


if __name__ == "__main__":
    serve(*sys.argv[1:])
