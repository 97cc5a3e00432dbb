"""A gateway with stand-ins around it, asked by ASGI."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from gateway_fakes import DOMAIN, NOW, OTHER_SECRET, SECRET, FakeInvoker, FakeRegistry

from fal_serverless.gateway.registry import CachedRegistry
from tests.support.gateway import create_app

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from fal_serverless.gateway.entry import Access
    from fal_serverless.gateway.uses import KeyUses

MINE = {"x-fal-key-id": "mine", "x-fal-key-secret": SECRET}
OTHERS = {"authorization": f"Key other:{OTHER_SECRET}"}


@dataclass
class Served:
    """A gateway with stand-ins around it."""

    registry: FakeRegistry = field(default_factory=FakeRegistry)
    invoker: FakeInvoker = field(default_factory=FakeInvoker)
    seen: list[Access] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)
    executor: Executor | None = None
    manager: str = ""
    uses: KeyUses | None = None

    def clock(self) -> float:
        return self.ticks.pop(0) if self.ticks else 0.0

    def __post_init__(self) -> None:
        self.app = create_app(
            registry=CachedRegistry(self.registry, clock=lambda: NOW),
            invoker=self.invoker,
            domain=DOMAIN,
            record=self.seen.append,
            executor=self.executor,
            clock=self.clock,
            now=lambda: NOW,
            manager=self.manager,
            uses=self.uses,
        )

    def call(self, name: str, path: str = "/", method: str = "POST", **more: Any) -> httpx.Response:
        return self.at(f"http://{name}.{DOMAIN}:8080{path}", method, **more)

    def at(self, url: str, method: str = "POST", **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=("203.0.113.9", 4000))
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.request(method, url, **more)

        return asyncio.run(ask())
