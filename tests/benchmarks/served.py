"""A served function: a fresh interpreter imports the handler, answers an event, then many more.

Ours is what `function serve` makes: bundle and layers, unpacked as Lambda unpacks them.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import zipfile
from pathlib import Path

from fal_serverless import package
from fal_serverless.discover import discover
from fal_serverless.publish.apply import Silent
from tests.benchmarks.peers import PROGRAMS, Goal, Row, clean, compared, over, times_less, warmed

ROUNDS = 9
CALLS = 4000
V2 = {
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
    },
    "isBase64Encoded": False,
}
V1 = {
    "version": "1.0",
    "resource": "/",
    "path": "/",
    "httpMethod": "POST",
    "headers": {"content-type": "application/json", "host": "h"},
    "multiValueHeaders": {"content-type": ["application/json"], "host": ["h"]},
    "queryStringParameters": None,
    "multiValueQueryStringParameters": None,
    "pathParameters": None,
    "stageVariables": None,
    "requestContext": {
        "resourcePath": "/",
        "httpMethod": "POST",
        "path": "/",
        "identity": {"sourceIp": "1.2.3.4"},
    },
    "isBase64Encoded": False,
}
OURS = """
import os, sys
os.environ["LAMBDA_TASK_ROOT"] = {task!r}
os.environ["FAL_LOAD_AT_IMPORT"] = "1"
sys.path[:0] = [{task!r}, {layers!r}]
from fal_serverless.runtime.handler import handler
"""
CHALICE = """
from chalice import Chalice
app = Chalice(app_name="echo")
@app.route("/", methods=["POST"])
def echo(): return app.current_request.json_body["text"]
handler = app
"""
POWERTOOLS = """
import types
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
app = APIGatewayHttpResolver()
@app.post("/")
def echo(): return {"text": app.current_event.json_body["text"]}
handler = lambda event, context: app.resolve(event, types.SimpleNamespace())
"""
POWERTOOLS_VALIDATED = """
import types
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from pydantic import BaseModel
class Item(BaseModel):
    text: str
    count: int = 1
app = APIGatewayHttpResolver(enable_validation=True)
@app.post("/")
def echo(item: Item) -> dict: return {"text": item.text, "count": item.count}
handler = lambda event, context: app.resolve(event, types.SimpleNamespace())
"""
FASTAPI = """
import types
from fastapi import Body, FastAPI
from mangum import Mangum
app = FastAPI()
@app.post("/")
def echo(text: str = Body(embed=True)): return text
inner = Mangum(app, lifespan="off")
handler = lambda event, context: inner(event, types.SimpleNamespace())
"""
FASTAPI_VALIDATED = """
import types
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel
class Item(BaseModel):
    text: str
    count: int = 1
app = FastAPI()
@app.post("/")
def echo(item: Item) -> dict: return {"text": item.text, "count": item.count}
inner = Mangum(app, lifespan="off")
handler = lambda event, context: inner(event, types.SimpleNamespace())
"""
PYDANTIC = """
import json
from pydantic import BaseModel
class Item(BaseModel):
    text: str
    count: int = 1
def handler(event, context):
    item = Item.model_validate_json(event["body"])
    return {"statusCode": 200, "body": json.dumps({"text": item.text, "count": item.count})}
"""


def unpacked(folder: Path, name: str) -> str:
    """The code that handles events of one of the functions, as Lambda would find it."""
    folder.mkdir()
    found = discover(PROGRAMS / "functions.py", name)
    made = package.build(found, cache=folder.parent / "cache", work=folder, progress=Silent())
    for place, file in (
        (folder / "task", made.bundle.path),
        *((folder / "opt", layer.path) for layer in made.layers),
    ):
        with zipfile.ZipFile(file) as content:
            content.extractall(place)
    return OURS.format(task=str(folder / "task"), layers=str(folder / "opt" / "python"))


def once(python: str, code: str, event: dict, body: str, calls: int, folder: Path) -> list[float]:
    """[ms from before the import to the first answer, µs of each later call]."""
    file = folder / "code.py"
    file.write_text(code, encoding="utf-8")
    ran = subprocess.run(
        [python, str(PROGRAMS / "timed.py"), str(file), str(calls)],
        input=json.dumps({**event, "body": body}),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=clean(),
    )
    return json.loads(ran.stderr.splitlines()[-1])


def measure(python: str, *, quick: bool) -> list[Row]:
    calls, rounds = (200, 1) if quick else (CALLS, ROUNDS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def work(code: str, event: dict, body: str):
            return lambda: once(python, code, event, body, calls, folder)

        text, item = '{"text": "hi"}', '{"text": "hi", "count": 2}'
        plain, failed = warmed(
            rounds,
            {
                "ours": work(unpacked(folder / "plain", "plain"), V2, text),
                "Chalice": work(CHALICE, V1, text),
                "Powertools": work(POWERTOOLS, V2, text),
                "FastAPI + Mangum": work(FASTAPI, V2, text),
            },
        )
        checked, refused = warmed(
            rounds,
            {
                "ours": work(unpacked(folder / "model", "model"), V2, item),
                "pydantic alone": work(PYDANTIC, V2, item),
                "Powertools": work(POWERTOOLS_VALIDATED, V2, item),
                "FastAPI + Mangum": work(FASTAPI_VALIDATED, V2, item),
            },
        )
    level: dict[str, Goal | None] = {
        "Chalice": times_less(1),
        "Powertools": None,
        "FastAPI + Mangum": times_less(8),
    }
    first, warm = "import to first answer", "warm call"
    both = {"Chalice": times_less(1), "Powertools": times_less(1), "FastAPI + Mangum": None}
    model = {"pydantic alone": over(15, "ms"), "Powertools": None, "FastAPI + Mangum": None}
    valid = {"Powertools": times_less(1), "FastAPI + Mangum": None}
    return [
        *compared(f"served function, {first}", "ms", plain, failed, level, index=0),
        *compared(f"with a pydantic model, {first}", "ms", checked, refused, model, index=0),
        *compared(f"served function, {warm}", "µs", plain, failed, both, index=1),
        *compared(f"with a pydantic model, {warm}", "µs", checked, refused, valid, index=1),
    ]
