"""The peer's server: the same routes in plain FastAPI with aioboto3, under uvicorn.

``python plain_server.py`` prints its port.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import socket
import time
import uuid
from contextlib import AsyncExitStack, asynccontextmanager

import aioboto3
import uvicorn
from botocore.config import Config
from fastapi import FastAPI, Request, Response

TABLE = os.environ["FAL_TABLE"]
clients: dict = {}
known: dict = {}


@asynccontextmanager
async def lifespan(app: FastAPI):
    config = Config(max_pool_connections=64)
    async with AsyncExitStack() as stack:
        for name in ("lambda", "dynamodb"):
            made = aioboto3.Session().client(name, config=config)
            clients[name] = await stack.enter_async_context(made)
        yield


app = FastAPI(lifespan=lifespan)


async def read(names):
    """Items of the registry, remembered for four seconds."""
    now = time.time()
    left = [name for name in names if known.get(name, (0, None))[0] < now - 4]
    if left:
        keys = [{"pk": {"S": name}, "sk": {"S": "-"}} for name in left]
        found = await clients["dynamodb"].batch_get_item(RequestItems={TABLE: {"Keys": keys}})
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
    route, key = await read([f"ROUTE#{target}", f"KEY#{key_id}"])
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
    result = await clients["lambda"].invoke(
        FunctionName=route["function"]["S"],
        Qualifier=route["qualifier"]["S"],
        Payload=json.dumps(event).encode(),
    )
    said = json.loads(await result["Payload"].read())
    content = said["body"]
    if said["isBase64Encoded"]:
        content = base64.b64decode(content)
    return Response(
        content, said["statusCode"], {**said["headers"], "x-fal-request-id": request_id}
    )


async def main():
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False)
        await uvicorn.Server(config).serve(sockets=[listener])


asyncio.run(main())
