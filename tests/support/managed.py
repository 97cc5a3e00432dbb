"""The management API behind a gateway, both in this process, with doubles of AWS around them."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import httpx
import uvicorn

from fal_serverless import keys
from fal_serverless.gateway.lambda_handler import adapter_of
from fal_serverless.gateway.protocols import InvokeResult
from fal_serverless.gateway.registry import CachedRegistry
from fal_serverless.gateway.server import config
from fal_serverless.logs import LogEvent
from fal_serverless.manage.app import create_app as create_manager
from fal_serverless.manage.space import Stack
from fal_serverless.publish import moves
from fal_serverless.publish.apply import revision_time
from fal_serverless.publish.state import route_of
from tests.fakes import (
    OWNER,
    Fake,
    FakeAlarms,
    FakeClock,
    FakeFunctions,
    FakeRegistry,
    Fuse,
    a_revision,
)
from tests.support.gateway import create_app

OTHER = "7654321"
DOMAIN = "gateway.localhost"
MANAGER = "stack-Manager"
SECRET = "5ecret" * 10
ADMIN = {"X-Fal-Key-Id": "admin", "X-Fal-Key-Secret": SECRET}
API = {"X-Fal-Key-Id": "api", "X-Fal-Key-Secret": SECRET}
STRANGER = {"X-Fal-Key-Id": "stranger", "X-Fal-Key-Secret": SECRET}


@dataclass
class FakeLogs:
    """Logs of Lambda functions."""

    events: dict[str, list[LogEvent]] = field(default_factory=dict)

    def since(self, function, start, until=None):
        found = self.events.get(function, [])
        return tuple(
            item for item in found if start <= item.time and (until is None or item.time <= until)
        )


@dataclass
class Managed:
    """A stack with two users; what is served can be added to."""

    registry: FakeRegistry = field(default_factory=lambda: FakeRegistry(Fuse()))
    functions: FakeFunctions = field(default_factory=lambda: FakeFunctions(Fuse()))
    alarms: FakeAlarms = field(default_factory=lambda: FakeAlarms(Fuse()))
    logs: FakeLogs = field(default_factory=FakeLogs)
    clock: FakeClock = field(default_factory=FakeClock)
    keys: dict[str, keys.KeyRecord] = field(default_factory=dict)
    manager: object = None

    def __post_init__(self):
        for name, scope, owner in (
            ("admin", "ADMIN", OWNER),
            ("api", "API", OWNER),
            ("stranger", "ADMIN", OTHER),
        ):
            self.add_key(name, scope, owner)

    def stack(self):
        return Stack(
            registry=self.registry,
            functions=self.functions,
            alarms=self.alarms,
            logs=self.logs,
            clock=self.clock,
        )

    def add_key(self, name, scope, owner=OWNER, **more):
        self.keys[name] = keys.KeyRecord(name, keys.hash_secret(SECRET), owner, scope, **more)
        shown = {"key_id": name, "scope": scope, "alias": "", "created_at": "2026-01-01T00:00:00Z"}
        if isinstance(self.registry, FakeRegistry):
            self.registry.shown_keys.setdefault(owner, []).append(shown)

    def serve(self, number, name="f", owner=OWNER, alias="", by="arn:me"):
        """Publish a revision as version ``number`` of a function; its id."""
        function = f"fal-{owner}-{name}-z"
        made = replace(
            a_revision(f"00000000-0000-4000-8000-{number:012}", str(number), function),
            name=name,
            owner=owner,
            created_at=revision_time(self.clock),
        )
        self.registry.add_revision(made, route_of(made))
        self.functions.live.setdefault(function, Fake()).versions[str(number)] = made.id
        if alias:
            parts = (self.registry, self.functions, self.alarms, self.clock)
            moves.point(*parts, made, alias, by=by)
        return made.id

    def say(self, function, *messages, start=0, stream="2026/01/01/[1]a"):
        """Write events into a log, a millisecond apart, an hour ago."""
        first = int((self.clock.now() - 3600) * 1000) + start
        into = self.logs.events.setdefault(function, [])
        into += [
            LogEvent(f"{function}{first + number}", first + number, stream, message)
            for number, message in enumerate(messages)
        ]

    def read(self, target, key_id):
        """As the gateway reads the registry."""
        return None, self.keys.get(key_id or "")

    def invoke(self, function, qualifier, payload, *, timeout):
        """As the gateway invokes Lambda: the manager, and nothing else is there."""
        if (function, qualifier) != (MANAGER, "$LATEST"):
            return InvokeResult("missing", 404)
        made = self.manager(json.loads(payload), None)
        return InvokeResult("answered", 200, payload=json.dumps(made).encode())


@contextmanager
def gateway_of(managed):
    """The gateway as an ASGI app."""

    def begin():
        # Mangum wants an event loop of its thread's own, already when it is made.
        asyncio.set_event_loop(asyncio.new_event_loop())
        managed.manager = adapter_of(create_manager(managed.stack()))

    with ThreadPoolExecutor(1, initializer=begin) as executor:
        yield create_app(
            registry=CachedRegistry(managed, clock=managed.clock.now),
            invoker=managed,
            domain=DOMAIN,
            executor=executor,
            manager=MANAGER,
            now=managed.clock.now,
        )
        executor.submit(lambda: asyncio.get_event_loop().close()).result()


@dataclass(frozen=True)
class Caller:
    """Calls the API through its gateway."""

    app: object
    headers: dict[str, str]
    base: str

    def ask(self, method, path, body=None, headers=None, **more):
        if body is not None:
            more["json"] = body

        async def send():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.base) as client:
                wanted = self.headers if headers is None else headers
                return await client.request(method, path, headers=wanted, **more)

        return asyncio.run(send())

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def everything(self, path, name, **query):
        """All items of a list, page by page, and how many each page had."""
        found, sizes, cursor = [], [], None
        while cursor is not None or not sizes:
            asked = {**query, **({"cursor": cursor} if cursor else {})}
            answer = self.get(path, params=asked).json()
            found += answer[name]
            sizes.append(len(answer[name]))
            cursor = answer["next_cursor"]
        return found, sizes


@contextmanager
def calling(managed, headers=ADMIN, base=f"http://api.{DOMAIN}:8080"):
    """A caller of the API; ``headers`` are those of requests that say nothing else."""
    with gateway_of(managed) as app:
        yield Caller(app, headers, base)


@contextmanager
def listening(managed):
    """The gateway on a port of loopback, as uvicorn serves it; its address."""
    with gateway_of(managed) as app, socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
