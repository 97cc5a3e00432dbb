"""POSTs to one AWS endpoint from an event loop: thousands may wait without a thread each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from fal_serverless.aws.http1 import (
    CONNECT_TRIES,
    NoAnswerError,
    Pooled,
    Reading,
    UnconnectedError,
    WireError,
    request,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.aws.http1 import Answer


class AsyncWire(Pooled["_Connection"]):
    """One endpoint, for one event loop."""

    async def post(
        self,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        connect: float,
        timeout: float,
    ) -> Answer:
        """Send a request once, and wait for its whole answer; as ``Wire.post``.

        Raises:
            UnconnectedError: nothing was sent.
            NoAnswerError: the time is over; the request may have been received.
            WireError: the connection broke, or what came is no HTTP.
        """
        connection = self._take() or await self._connect(connect)
        try:
            return await connection.exchange(request(target, headers, body), timeout)
        finally:
            self._give(connection)

    async def _connect(self, seconds: float) -> _Connection:
        loop = asyncio.get_running_loop()
        (name, port), tls = self._endpoint.address, self._endpoint.tls
        for left in reversed(range(CONNECT_TRIES)):
            connecting = loop.create_connection(_Connection, name, port, ssl=tls)
            try:
                _, made = await asyncio.wait_for(connecting, seconds)
            except (OSError, asyncio.TimeoutError) as error:
                if not left:
                    raise UnconnectedError(f"{type(error).__name__}: {error}") from error
            else:
                return made
        raise AssertionError("the loop returns or raises")


class _Connection(asyncio.Protocol):
    """An open connection.

    Attributes:
        free: whether the last answer is whole, and another request may follow.
    """

    def __init__(self) -> None:
        self.free = False
        self._reading = Reading()
        self._answered: asyncio.Future[None] | None = None

    async def exchange(self, sent: bytes, seconds: float) -> Answer:
        """Send a request, and wait so long for its answer.

        Raises:
            NoAnswerError: the time is over.
            WireError: the connection broke, or this is not the answer to a request.
        """
        self.free = False
        self._reading.begin()
        loop = asyncio.get_running_loop()
        self._answered = answered = loop.create_future()
        end = loop.call_later(
            seconds, self._fail, NoAnswerError(f"no answer within {seconds:.1f} s")
        )
        try:
            self._transport.write(sent)
            await answered
        finally:
            end.cancel()
            self._answered = None
        self.free = self._reading.kept and not self._transport.is_closing()
        return self._reading.answer()

    def usable(self) -> bool:
        """Whether nothing was heard of its end."""
        return self.free

    def close(self) -> None:
        """Close it; what is not sent yet never will be."""
        self.free = False
        self._transport.abort()

    def _fail(self, error: WireError) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A piece of an answer."""
        if self._answered is None:
            # Nothing was asked: what is said on an idle connection is its end.
            self.close()
            return
        try:
            self._reading.feed(data)
        except WireError as error:
            self._fail(error)
            return
        if self._reading.whole and not self._answered.done():
            self._answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.free = False
        if self._answered is None or self._answered.done():
            return
        try:
            if exc is not None:
                raise WireError(f"{type(exc).__name__}: {exc}") from exc
            self._reading.end()
        except WireError as error:
            self._fail(error)
        else:
            self._answered.set_result(None)
