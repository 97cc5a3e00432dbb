"""From nothing to an answered request, on the embedded stack: what `make demo` runs.

It starts the embedded stack in a folder of its own, serves a function, makes a key, calls the
function's URL with and without it, publishes a second revision, goes back to the first, sends a
request through the queue, and stops the stack again.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMAND = Path(sys.executable).parent / "fal-serverless"


def main() -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fal-demo-") as home:
        environ = {**os.environ, "FAL_HOME": home, "FAL_PROFILE": "local"}
        environ.pop("AWS_PROFILE", None)
        try:
            run(environ, "local", "start", "--port", "0", "--emulator-port", "0")
            tour(environ)
        finally:
            run(environ, "local", "stop")
    print(f"\nDone in {time.monotonic() - started:.0f} s.")


def tour(environ: dict[str, str]) -> None:
    file = str(HERE / "hello.py")
    served = run(environ, "function", "serve", file, "hello", "--alias", "hello")
    url = served.splitlines()[-1].removeprefix("URL: ")
    key = dict(
        line.split("=", 1)
        for line in run(environ, "key", "generate", "--scope", "API").splitlines()
    )
    headers = {
        "X-Fal-Key-Id": key["FAL_KEY_ID"].strip("'"),
        "X-Fal-Key-Secret": key["FAL_KEY_SECRET"].strip("'"),
    }
    print("\n# Without a key")
    expect(401, call(url, {"name": "you"}, {}))
    print("\n# With the key")
    expect(200, call(url, {"name": "you", "times": 2}, headers))
    print("\n# An argument of the wrong type")
    expect(422, call(url, {"times": "many"}, headers))
    print("\n# A second revision moves the alias; nothing but the function is packaged")
    run(environ, "function", "serve", file, "hello", "--alias", "hello")
    expect(200, call(url, {"name": "again"}, headers))
    run(environ, "function", "list")
    print("\n# Back to the first revision: nothing is built or sent")
    run(environ, "alias", "rollback", "hello")
    expect(200, call(url, {"name": "as before"}, headers))
    queue(url, headers)


def queue(url: str, headers: dict[str, str]) -> None:
    print("\n# Through the queue: stored, run when there is room, kept for a day")
    answer = call(url, {"name": "later"}, headers, "POST", "/fal/queue/submit")
    expect(200, answer)
    path = f"/fal/queue/requests/{json.loads(answer[1])['request_id']}"
    deadline = time.monotonic() + 60
    while json.loads(call(url, None, headers, "GET", f"{path}/status")[1])["status"] != "COMPLETED":
        if time.monotonic() > deadline:
            sys.exit("the request did not complete")
        time.sleep(0.5)
    expect(200, call(url, None, headers, "GET", f"{path}/response"))


def run(environ: dict[str, str], *words: str) -> str:
    print(f"\n$ fal-serverless {shlex.join(words)}", flush=True)
    ran = subprocess.run([str(COMMAND), *words], env=environ, stdout=subprocess.PIPE, text=True)
    print(ran.stdout, end="", flush=True)
    if ran.returncode:
        sys.exit(ran.returncode)
    return ran.stdout


def call(
    url: str, body: dict | None, headers: dict[str, str], method: str = "POST", path: str = "/"
) -> tuple[int, str]:
    shown = " ".join(f"-H '{name}: …'" for name in headers)
    data = "" if body is None else f" -d '{json.dumps(body)}'"
    print(f"$ curl -X {method} {url}{path.rstrip('/')} {shown}{data}")
    # Browsers and curl resolve *.localhost by themselves; this machine's resolver may not.
    host = url.removeprefix("http://")
    request = urllib.request.Request(
        f"http://127.0.0.1:{host.rpartition(':')[2]}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Host": host, **headers},
        method=method,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def expect(status: int, answer: tuple[int, str]) -> None:
    print(f"HTTP {answer[0]}\n{answer[1]}")
    if answer[0] != status:
        sys.exit(f"expected {status}")


if __name__ == "__main__":
    main()
