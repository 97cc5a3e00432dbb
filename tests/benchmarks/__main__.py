"""The runtime beside FastAPI with Mangum: the same event, fresh interpreters, one run."""

from __future__ import annotations

import hashlib
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 7
EVENT = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/",
    "rawQueryString": "",
    "headers": {"content-type": "application/json", "host": "h"},
    "requestContext": {
        "http": {"method": "POST", "path": "/", "sourceIp": "1.2.3.4", "protocol": "HTTP/1.1"},
        "stage": "$default",
    },
    "body": '{"text": "hi"}',
    "isBase64Encoded": False,
}
MEASURE = """
import json, sys, time
event = json.loads(sys.argv[1])
t0 = time.perf_counter()
{code}
t1 = time.perf_counter()
assert handler(event, None)["statusCode"] == 200
t2 = time.perf_counter()
for _ in range(2000):
    handler(event, None)
t3 = time.perf_counter()
print(json.dumps([(t1 - t0) * 1e3, (t2 - t1) * 1e3, (t3 - t2) / 2000 * 1e6]))
"""
OURS = "import os; os.environ['LAMBDA_TASK_ROOT'] = sys.argv[2]\n"
OURS += "os.environ['FAL_LOAD_AT_IMPORT'] = '1'\n"
OURS += "from fal_serverless.runtime.handler import handler"
PEER = """
from fastapi import Body, FastAPI
from mangum import Mangum
app = FastAPI()
@app.post("/")
def echo(text: str = Body(embed=True)): return text
import types
_inner = Mangum(app, lifespan="off")
handler = lambda event, context: _inner(event, types.SimpleNamespace())
"""


def echo_bundle(folder: Path) -> None:
    """A bundle whose function gives back what it gets: any importable function will do."""
    pickled = pickle.dumps({"function": str, "setup": None})
    parameter = {"name": "object", "required": True, "annotated": False, "kind": "keyword"}
    spec = {
        "format": 1,
        "name": "echo",
        "mode": "serve",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "pickle_sha256": hashlib.sha256(pickled).hexdigest(),
        "arguments": {"style": "keywords", "parameters": [parameter], "validated": False},
    }
    (folder / "function.pkl").write_bytes(pickled)
    (folder / "spec.json").write_text(json.dumps(spec))


def measure(code: str, event: dict, folder: Path) -> list[float]:
    command = [sys.executable, "-c", MEASURE.format(code=code), json.dumps(event), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(number) for number in json.loads(ran.stdout)]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        echo_bundle(folder)
        mine = {**EVENT, "body": '{"object": "hi"}'}
        pairs = [(measure(OURS, mine, folder), measure(PEER, EVENT, folder)) for _ in range(ROUNDS)]
    print(f"medians of {ROUNDS} pairs, fresh interpreters, Python {sys.version.split()[0]}")
    print(f"{'':12}{'ours':>12}{'FastAPI+Mangum':>18}{'ratio':>10}")
    for index, label in enumerate(("import, ms", "first, ms", "warm, µs")):
        ours = statistics.median(pair[0][index] for pair in pairs)
        peer = statistics.median(pair[1][index] for pair in pairs)
        ratio = statistics.median(pair[1][index] / pair[0][index] for pair in pairs)
        print(f"{label:12}{ours:12.2f}{peer:18.2f}{ratio:9.1f}x")


if __name__ == "__main__":
    main()
