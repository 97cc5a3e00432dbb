"""The peer's gateway: what ours does with a request, in plain FastAPI, Mangum and boto3."""

import base64
import hashlib
import hmac
import json
import os
import time
import uuid

import boto3
from fastapi import FastAPI, Request, Response
from mangum import Mangum

TABLE = os.environ["FAL_TABLE"]
app = FastAPI()
functions = boto3.client("lambda")
registry = boto3.client("dynamodb")
known: dict = {}


def read(names):
    """Items of the registry, remembered for four seconds."""
    now = time.time()
    left = [name for name in names if known.get(name, (0, None))[0] < now - 4]
    if left:
        keys = [{"pk": {"S": name}, "sk": {"S": "-"}} for name in left]
        found = registry.batch_get_item(RequestItems={TABLE: {"Keys": keys}})
        for item in found["Responses"][TABLE]:
            known[item["pk"]["S"]] = (now, item)
    return [known.get(name, (0, None))[1] for name in names]


def refusal(route, key, secret):
    if route is None:
        return 404, "No function is served at this address."
    if route["auth"]["S"] == "public":
        return None
    sent = hashlib.sha256(secret.encode()).hexdigest()
    if key is None or not hmac.compare_digest(sent, key["secret_sha256"]["S"]):
        return 401, "The key is not valid."
    return None if key["owner"] == route["owner"] else (403, "The function is private.")


@app.api_route("/{target}/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def call(target: str, path: str, request: Request):
    headers = dict(request.headers)
    key_id, secret = headers.pop("x-fal-key-id", ""), headers.pop("x-fal-key-secret", "")
    route, key = read([f"ROUTE#{target}", f"KEY#{key_id}"])
    refused = refusal(route, key, secret)
    if refused:
        return Response(json.dumps({"detail": refused[1]}), refused[0])
    body = await request.body()
    request_id = str(uuid.uuid4())
    event = {
        "version": "2.0",
        "rawPath": f"/{path}",
        "rawQueryString": request.url.query,
        "headers": headers,
        "requestContext": {
            "http": {"method": request.method, "path": f"/{path}", "protocol": "HTTP/1.1"},
            "requestId": request_id,
            "timeEpoch": int(time.time() * 1000),
        },
        "body": body.decode(),
        "isBase64Encoded": False,
    }
    result = functions.invoke(
        FunctionName=route["function"]["S"],
        Qualifier=route["qualifier"]["S"],
        Payload=json.dumps(event).encode(),
    )
    said = json.loads(result["Payload"].read())
    content = said["body"]
    if said["isBase64Encoded"]:
        content = base64.b64decode(content)
    return Response(
        content, said["statusCode"], {**said["headers"], "x-fal-request-id": request_id}
    )


handler = Mangum(app, lifespan="off")
