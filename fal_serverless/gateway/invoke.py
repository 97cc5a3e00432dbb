"""One request, one invocation: find the route, decide, invoke, answer. Blocking work is passed on.

The order is what keeps unknown callers cheap: the body is read only for those who may pass.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from fal_serverless.gateway import answer, auth, cors, management
from fal_serverless.gateway.event import (
    HOP_BY_HOP,
    PayloadTooLargeError,
    end_to_end,
    forwarded,
    payload,
)
from fal_serverless.gateway.protocols import PAYLOAD_MAX
from fal_serverless.gateway.queue.forms import form_of
from fal_serverless.gateway.queue.model import ABSENT, BODY_MAX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor

    from fal_serverless.gateway.protocols import (
        AsyncInvoker,
        Invoker,
        InvokeResult,
        Request,
        Response,
        Route,
    )
    from fal_serverless.gateway.queue.forms import Form
    from fal_serverless.gateway.queue.front import Front
    from fal_serverless.gateway.registry import CachedRegistry
    from fal_serverless.gateway.target import Target
    from fal_serverless.gateway.uses import KeyUses
    from fal_serverless.keys import KeyRecord

Result = TypeVar("Result")

# API Gateway gives up on an HTTP API's integration after 30 s with an answer that says nothing.
DEADLINE_S = 29.0
# With less left than this, an invocation is not worth beginning.
_LEAST_S = 0.5
# Whoever waits for "100 Continue" has it from the transport by now.
_NOT_PASSED_ON = HOP_BY_HOP | {b"expect"}


@dataclass(frozen=True)
class Exchange:
    """A request on its way.

    Attributes:
        request: its path is the target's, its body still empty.
        read_body: reads the body, of so many bytes at most.
        started: by the gateway's clock.
    """

    request: Request
    target: Target
    request_id: str
    read_body: Callable[[int], Awaitable[bytes]]
    started: float
    behind_api_gateway: bool

    def asking(self, request: Request) -> Exchange:
        """The same exchange with another request."""
        return Exchange(
            request,
            self.target,
            self.request_id,
            self.read_body,
            self.started,
            self.behind_api_gateway,
        )


@dataclass(frozen=True)
class Calls:
    """Answers exchanges.

    Attributes:
        executor: for blocking work; None runs it in place, which is fastest where only one
            request is served at a time, as on Lambda.
        deadline: seconds from the request's arrival until the caller must have an answer.
        clock: monotonic seconds.
        now: epoch seconds.
        queue: makes the queue's front when it is first asked for; None where there is no queue.
        manager: name of the Lambda function behind the management API, ``""`` where there is none.
        uses: counts the requests of keys, or None. Without an executor a request writes them down
            once a minute; elsewhere somebody else does.
    """

    registry: CachedRegistry
    invoker: AsyncInvoker
    executor: Executor | None = None
    deadline: float = DEADLINE_S
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    queue: Callable[[], Front] | None = None
    manager: str = ""
    uses: KeyUses | None = None

    async def answer(self, exchange: Exchange) -> tuple[Response, bool]:
        """The answer, and whether its target exists.

        Raises:
            AwsError: the registry cannot be read.
        """
        request, name = exchange.request, exchange.target.name
        if not exchange.target.owner:
            return await management.answer(self, exchange)
        given, headers, query = auth.take(request.headers, request.query)
        key_id = given.id if given else None
        found = self.registry.cached(name, key_id)
        if found is None:
            found = await self.run(partial(self.registry.read, name, key_id))
        route, record = found
        form = form_of(exchange.target, request.method)
        open_to_pages = route is not None and (form is not None or route.mode == "serve")
        if open_to_pages and cors.is_preflight(request):
            return cors.preflight(request), True
        denial = auth.decide(route, record, given, self.now())
        if denial or route is None:
            return cors.readable(answer.denied(denial or auth.UNKNOWN_TARGET)), route is not None
        exchange = exchange.asking(request.changed(headers, query))
        if form is not None:
            caller = record.owner if record and route.auth != "public" else ""
            response = cors.readable(await self._queued(form, exchange, route, caller))
        else:
            response = await self._call(exchange, route)
        # A key that was sent to a public function let nobody in.
        self.count(record if route.auth != "public" else None, response.status)
        return response, True

    def count(self, record: KeyRecord | None, status: int) -> None:
        """Count a request for the key that let it pass, if one did."""
        if record is None or self.uses is None:
            return
        if self.uses.count(record.id, status) and self.executor is None:
            self.uses.flush()

    async def _queued(self, form: Form, exchange: Exchange, route: Route, caller: str) -> Response:
        """The queue's answer to one of its forms.

        Args:
            caller: user id of the key, ``""`` where none was needed.
        """
        if self.queue is None:
            return answer.error(501, "This gateway has no queue.")
        if form.action == "unknown":
            return answer.error(404, "The queue has no such address.")
        if form.allowed:
            allowed = ", ".join(form.allowed).encode()
            return answer.error(405, "Method Not Allowed", (b"allow", allowed))
        front, name = self.queue(), exchange.target.name
        if form.action == "submit":
            try:
                request = await self._complete(exchange, BODY_MAX)
            except PayloadTooLargeError as error:
                return answer.error(
                    413, f"The body has {error.size:,} bytes; the queue takes {BODY_MAX:,}."
                )
            return await self.run(partial(front.submit, form, request, route, name, caller))
        found = await self.run(partial(front.find, form, name))
        if found is None or (found[0].caller and caller not in (found[0].caller, found[0].owner)):
            return answer.error(404, ABSENT)
        job, taken = found
        if form.action == "cancel":
            return await self.run(partial(front.cancel, job))
        ask = front.status if form.action == "status" else front.response
        return await self.run(partial(ask, form, exchange.request, job, taken))

    async def _call(self, exchange: Exchange, route: Route) -> Response:
        try:
            request = await self._complete(exchange, PAYLOAD_MAX)
            now = self.now()
            written = payload(
                request,
                request_id=exchange.request_id,
                now=now,
                target=exchange.target.name,
                answer_by=now + self.deadline,
            )
        except PayloadTooLargeError as error:
            return cors.readable(answer.too_large(error.size))
        response, made_here = await self._invoke(exchange, route, written)
        return cors.readable(response) if made_here or route.mode == "serve" else response

    async def _complete(self, exchange: Exchange, limit: int) -> Request:
        """The request as the function is to see it, its body of ``limit`` bytes at most."""
        request = exchange.request
        headers = forwarded(
            end_to_end(request.headers, _NOT_PASSED_ON),
            client=request.client,
            scheme=request.scheme,
            behind_api_gateway=exchange.behind_api_gateway,
        )
        return request.changed(headers, request.query, await exchange.read_body(limit))

    async def _invoke(
        self, exchange: Exchange, route: Route, written: bytes
    ) -> tuple[Response, bool]:
        """The answer, and whether the gateway made it."""
        name = exchange.target.name
        for last in (False, True):
            left = self.deadline - (self.clock() - exchange.started)
            if left < _LEAST_S:
                return answer.too_late(self.deadline), True
            result = await self.invoker.invoke(
                route.function, route.qualifier, written, timeout=left
            )
            if result.outcome != "missing" or last:
                break
            # It did not run. An alias may have moved to another function a moment ago.
            self.registry.forget(name)
            fresh, _ = await self.run(partial(self.registry.read, name, None))
            if fresh is None:
                return answer.denied(auth.UNKNOWN_TARGET), True
            if (fresh.auth, fresh.owner) != (route.auth, route.owner) or fresh == route:
                break
            route = fresh
        response = answer.of_result(result, route, exchange.request.method, waited=self.deadline)
        return response, result.outcome != "answered" or result.function_error is not None

    async def run(self, work: Callable[[], Result]) -> Result:
        """What blocking work gives."""
        return await _run(self.executor, work)


class Blocking:
    """An invoker that blocks, for those who await one."""

    def __init__(self, invoker: Invoker, executor: Executor | None = None) -> None:
        """Nothing is sent yet.

        Args:
            executor: to wait in; None waits in place.
        """
        self._invoker = invoker
        self._executor = executor

    async def invoke(
        self, function: str, qualifier: str, payload: bytes, *, timeout: float
    ) -> InvokeResult:
        """As ``Invoker.invoke``."""
        work = partial(self._invoker.invoke, function, qualifier, payload, timeout=timeout)
        return await _run(self._executor, work)


async def _run(executor: Executor | None, work: Callable[[], Result]) -> Result:
    if executor is None:
        return work()
    return await asyncio.get_running_loop().run_in_executor(executor, work)
