"""HTTP/1.1 for the gateway's server: uvicorn's compiled parser, as strict as its slower one.

With httptools a request takes two thirds of the processor's time that it takes with h11. What it
lets pass and h11 does not is refused here, and targets stay as they were sent: a whole URL in the
request line keeps its host (RFC 9112, 3.2.2).
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fal_serverless.gateway.target import split_absolute

if TYPE_CHECKING:
    import asyncio

HEAD_MAX = 64 * 1024
"""Bytes of request line and headers; h11's own limit."""


class GatewayProtocol(HttpToolsProtocol):
    """One connection; what is raised in these is answered with 400."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It is open."""
        super().connection_made(transport)
        # Head and body of an answer are two packets. The second would wait until the caller has
        # acknowledged the first, 40 ms later; asyncio sees to that for its own sockets only.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target.

        Raises:
            ValueError: there is too much.
        """
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header.

        Raises:
            ValueError: there is too much.
        """
        self._count(len(name) + len(value))
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """The head is whole.

        Raises:
            ValueError: there is not exactly one ``Host`` (RFC 9112, 3.2).
        """
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            raise ValueError(f"the request has {hosts} Host headers")
        raw, mark, query = self.url.partition(b"?")
        _, path = split_absolute(raw.decode("latin-1"))
        self.url = path.encode("latin-1") + mark + query
        super().on_headers_complete()
        # The request is answered by a task that has not begun yet.
        self.scope["raw_path"] = raw
        self.scope["query_string"] = query

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > HEAD_MAX:
            raise ValueError(f"the request's head is above {HEAD_MAX:,} bytes")
