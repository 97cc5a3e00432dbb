"""A served function: a fresh interpreter imports the handler, answers an event, then 2,000."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.peers import Row

ROUNDS = 9
EVENT = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/",
    "rawQueryString": "",
    "headers": {"content-type": "application/json", "host": "h"},
    "requestContext": {
        "http": {
            "method": "POST",
            "path": "/",
            "sourceIp": "1.2.3.4",
            "protocol": "HTTP/1.1",
            "userAgent": "x",
        },
        "stage": "$default",
        "domainName": "h",
        "identity": {"sourceIp": "1.2.3.4"},
        "httpMethod": "POST",
        "resourcePath": "/",
    },
    "multiValueQueryStringParameters": None,
    "pathParameters": None,
    "stageVariables": None,
    "body": '{"object": "hi"}',
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
print(json.dumps([(t2 - t0) * 1e3, (t3 - t2) / 2000 * 1e6]))
"""
OURS = """
import os; os.environ['LAMBDA_TASK_ROOT'] = sys.argv[2]
os.environ['FAL_LOAD_AT_IMPORT'] = '1'
from fal_serverless.runtime.handler import handler
"""
FASTAPI = """
import types
from fastapi import Body, FastAPI
from mangum import Mangum
app = FastAPI()
@app.post("/")
def echo(object: str = Body(embed=True)): return object
inner = Mangum(app, lifespan="off")
handler = lambda event, context: inner(event, types.SimpleNamespace())
"""
CHALICE = """
from chalice import Chalice
app = Chalice(app_name="echo")
@app.route("/", methods=["POST"])
def echo(): return app.current_request.json_body["object"]
handler = app
"""
POWERTOOLS = """
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
app = APIGatewayHttpResolver()
@app.post("/")
def echo(): return {"object": app.current_event.json_body["object"]}
import types
handler = lambda event, context: app.resolve(event, types.SimpleNamespace())
"""
PEERS = {"Chalice": CHALICE, "Powertools": POWERTOOLS, "FastAPI + Mangum": FASTAPI}


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


def once(python: str, code: str, folder: Path) -> list[float]:
    command = [python, "-c", MEASURE.format(code=code), json.dumps(EVENT), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(number) for number in json.loads(ran.stdout)]


def measure(python: str, *, quick: bool) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        echo_bundle(folder)
        rounds = []
        for _ in range(1 if quick else ROUNDS):
            ours = once(sys.executable, OURS, folder)
            theirs = {peer: once(python, code, folder) for peer, code in PEERS.items()}
            rounds.append((ours, theirs))
    for index, (label, unit) in enumerate(
        (("served function, import to first answer", "ms"), ("served function, warm call", "µs"))
    ):
        for peer in PEERS:
            mine = [ours[index] for ours, _ in rounds]
            rows.append(Row(label, unit, mine, peer, [theirs[peer][index] for _, theirs in rounds]))
    return rows
