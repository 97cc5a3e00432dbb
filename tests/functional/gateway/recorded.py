"""Requests with the answers that they had, byte for byte, and the events that functions saw.

``python tests/functional/gateway/recorded.py`` answers the stored requests anew and writes the
file: only for a change of answers that is meant.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from gateway_fakes import DOMAIN, NOW, FakeRegistry

from fal_serverless.gateway.entry import Gateway
from fal_serverless.gateway.invoke import Blocking, Calls
from fal_serverless.gateway.lambda_handler import adapter_of
from fal_serverless.gateway.protocols import InvokeResult
from fal_serverless.gateway.registry import CachedRegistry

FILE = Path(__file__).parents[2] / "data" / "gateway_answers.json"


class Invoker:
    """Gives one result, and keeps what it was sent."""

    def __init__(self, result: dict[str, Any]) -> None:
        payload = result.get("payload", "").encode("latin-1")
        self._result = InvokeResult(**{**result, "payload": payload})
        self.sent: list[str] = []

    def invoke(
        self, function: str, qualifier: str, payload: bytes, *, timeout: float
    ) -> InvokeResult:
        self.sent.append(f"{function}:{qualifier} {payload.decode('latin-1')}")
        return self._result


def answered(case: dict[str, Any]) -> dict[str, Any]:
    """What a request comes to now: the answer, and what the function was sent."""
    invoker = Invoker(case["result"])
    registry = CachedRegistry(FakeRegistry())
    # The time stands still, so that deadlines and ages are the same each time.
    calls = Calls(registry, Blocking(invoker), clock=lambda: 0.0, now=lambda: NOW)
    gateway = Gateway(calls, DOMAIN, None)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        if "event" in case:
            answer: Any = adapter_of(gateway)(case["event"], None)  # type: ignore[arg-type]
        else:
            answer = loop.run_until_complete(_asgi(gateway, **case["asgi"]))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return {"answer": answer, "sent": invoker.sent}


async def _asgi(
    gateway: Gateway, headers: list[list[str]], body: str, query: str, **scope: Any
) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body.encode("latin-1"), "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            pairs = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in message["headers"]]
            sent.append([message["status"], pairs])
        else:
            sent.append(message["body"].decode("latin-1"))

    whole = {
        **scope,
        "type": "http",
        "raw_path": scope["path"].encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers],
        "client": ["203.0.113.9", 4711],
    }
    await gateway(whole, receive, send)  # type: ignore[arg-type]
    return sent


def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="ascii"))
    return found


def write(found: list[dict[str, Any]]) -> None:
    lines = ",\n".join(json.dumps({**case, **answered(case)}) for case in found)
    FILE.write_text(f"[\n{lines}\n]\n", encoding="ascii")


if __name__ == "__main__":
    write(cases())
