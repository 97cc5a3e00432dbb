"""The exposed port: the same request to the server by the runtime, and directly, in turn.

``python port_overhead.py PORT COUNT``, with the bundle in LAMBDA_TASK_ROOT: prints milliseconds
of each request, ours and directly, and how many of ours failed.
"""

import http.client
import json
import sys
import time

from fal_serverless.runtime.handler import handler

BODY = json.dumps({"text": "hi" * 200})
EVENT = {
    "version": "2.0",
    "rawPath": "/echo",
    "rawQueryString": "a=1",
    "headers": {"content-type": "application/json", "host": "h", "user-agent": "x"},
    "requestContext": {"http": {"method": "POST", "path": "/echo", "sourceIp": "1.2.3.4"}},
    "body": BODY,
    "isBase64Encoded": False,
}
HEADERS = {**EVENT["headers"], "x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https"}


def main() -> None:
    port, count = int(sys.argv[1]), int(sys.argv[2])
    failed = handler(EVENT, None)["statusCode"] != 200
    direct = http.client.HTTPConnection("127.0.0.1", port)
    mine, theirs = [], []
    for _ in range(count):
        start = time.perf_counter()
        answer = handler(EVENT, None)
        middle = time.perf_counter()
        direct.request("POST", "/echo?a=1", BODY, HEADERS)
        direct.getresponse().read()
        end = time.perf_counter()
        failed += answer["statusCode"] != 200 or answer["body"] != BODY
        mine.append((middle - start) * 1e3)
        theirs.append((end - middle) * 1e3)
    print(json.dumps([mine, theirs, failed]))


main()
