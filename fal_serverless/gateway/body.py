"""The body of a request: read when it is wanted, and taken off the line when it is not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fal_serverless.gateway.event import PayloadTooLargeError
from fal_serverless.gateway.protocols import PAYLOAD_MAX

if TYPE_CHECKING:
    from starlette.types import Receive

    from fal_serverless.gateway.protocols import Headers

# API Gateway takes this much of a request; nobody needs to be heard out for longer.
_DRAINED_BYTES = 10_000_000
_DRAINED_S = 5.0


class Body:
    """One request's body."""

    def __init__(self, headers: Headers, receive: Receive) -> None:
        self._headers = dict(headers)
        self._receive = receive
        self._ended = b"content-length" not in self._headers and (
            b"transfer-encoding" not in self._headers
        )

    async def read(self, limit: int = PAYLOAD_MAX) -> bytes:
        """The whole body; nothing is kept of one that cannot fit.

        Raises:
            PayloadTooLargeError: the body alone is above the limit, in bytes.
        """
        declared = self._headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            raise PayloadTooLargeError(int(declared))
        chunks: list[bytes] = []
        size = 0
        while True:
            chunk, more = await self._next()
            size += len(chunk)
            if size > limit:
                raise PayloadTooLargeError(size)
            chunks.append(chunk)
            if not more:
                return b"".join(chunks)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to be read, or nothing will come before it is asked for."""
        return self._ended or b"expect" in self._headers

    async def drain(self) -> None:
        """Read on for a while, and keep nothing.

        A connection that is closed while its caller still sends is reset, and with it goes the
        answer that the caller has not read yet.
        """
        try:
            await asyncio.wait_for(self._drain(), _DRAINED_S)
        except (TimeoutError, asyncio.TimeoutError):
            return

    async def _drain(self) -> None:
        size = 0
        more = not self.ended
        while more and size < _DRAINED_BYTES:
            chunk, more = await self._next()
            size += len(chunk)

    async def _next(self) -> tuple[bytes, bool]:
        message = await self._receive()
        # Anything else is a caller who left: nobody reads what is answered.
        more = message["type"] == "http.request" and bool(message.get("more_body"))
        self._ended = not more
        return message.get("body", b""), more
