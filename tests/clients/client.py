"""PyPI fal-client, unmodified: two environment variables name the hosts."""

from __future__ import annotations

import json
import sys

import fal_client
from fal_client import Completed, FalClientHTTPError, InProgress, SyncClient


def refused(work):
    try:
        return {"value": work()}
    except FalClientHTTPError as error:
        return {"status": error.status_code, "type": error.error_type, "text": str(error)}


def main():
    asked = json.loads(sys.argv[1])
    app, webhook = asked["id"], asked["webhook"]
    said, updates = {}, []
    said["run"] = fal_client.run(app, {"n": 1})
    said["subscribe"] = fal_client.subscribe(
        app, {"n": 2, "seconds": 2}, with_logs=True, on_queue_update=updates.append
    )
    said["states"] = sorted({type(update).__name__ for update in updates})
    said["progress"] = any(isinstance(one, InProgress) and one.logs for one in updates)
    said["logs"] = [line["message"] for line in updates[-1].logs]
    handle = fal_client.submit(app, {"n": 3}, webhook_url=webhook)
    said["result"] = handle.get()
    said["completed"] = isinstance(handle.status(), Completed)
    said["late"] = refused(handle.cancel)
    slow = fal_client.submit(app, {"n": 4, "seconds": 5})
    slow.cancel()
    said["cancelled"] = slow.status().error_type
    said["invalid"] = refused(lambda: fal_client.subscribe(app, {"n": "many"}))
    said["raised"] = refused(lambda: fal_client.subscribe(asked["bad"], {"how": "raise"}))
    said["unknown"] = refused(lambda: SyncClient(key="nobody:nothing").run(app, {"n": 1}))
    print(json.dumps(said))


main()
