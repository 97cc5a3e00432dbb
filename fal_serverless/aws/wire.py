"""POSTs to one AWS endpoint over connections that are kept open, with little in between.

httptools, a compiled parser that uvicorn uses as well, reads the answers: an exchange takes a
fraction of what the standard library's client or urllib3 takes. Around it are a pool that knows of
frozen environments, and errors that tell what was surely not sent from what may have been.
"""

from __future__ import annotations

import select
import socket
import time
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

IDLE_S = 15.0
"""A frozen environment or a load balancer may have lost a connection that lay idle for longer
without a word, and a request written to it would be neither sent nor safe to send again."""
_CONNECT_TRIES = 2
_CHUNK = 1 << 16


class WireError(Exception):
    """The exchange broke; whether the request was received is not known."""


class UnconnectedError(WireError):
    """No connection was made: nothing was sent."""


class NoAnswerError(WireError):
    """The time was over before the answer was whole."""


@dataclass(frozen=True)
class Answer:
    """One answer; header names are in lower case, and a repeated one is joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Wire:
    """One endpoint; may be used by several threads."""

    def __init__(
        self,
        endpoint: str,
        *,
        ca_certs: str | None = None,
        connections: int = 64,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is sent yet.

        Args:
            endpoint: URL; a path in it stands before every request's.
            ca_certs: file of the certificate authorities to trust, or None for the system's.
            connections: kept open at most, when they are not in use.
            clock: epoch seconds (the monotonic clock stands still in a frozen environment).
        """
        parts = urlsplit(endpoint)
        secure = parts.scheme == "https"
        self.prefix = parts.path.rstrip("/")
        self._address = (parts.hostname or "", parts.port or (443 if secure else 80))
        standard = parts.port is None or parts.port == (443 if secure else 80)
        name = f"[{parts.hostname}]" if ":" in self._address[0] else self._address[0]
        self.host = name if standard else f"{name}:{parts.port}"
        self._tls = _context(ca_certs) if secure else None
        self._clock = clock
        self._used = clock()
        self._idle: deque[tuple[_Connection, float]] = deque()
        self._most = connections
        # Also when the process ends: an open socket would be warned of.
        weakref.finalize(self, _close_all, self._idle)

    def post(
        self,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        connect: float,
        timeout: float,
    ) -> Answer:
        """Send a request once, and wait for its whole answer.

        Args:
            target: path and query as they are sent, with ``prefix``.
            headers: ``host`` included, ``content-length`` not.
            connect: seconds until a connection must be there.
            timeout: seconds from then until the whole answer must be.

        Raises:
            UnconnectedError: nothing was sent.
            NoAnswerError: the time is over; the request may have been received.
            WireError: the connection broke, or what came is no HTTP.
        """
        lines = [f"POST {target} HTTP/1.1"]
        lines += [f"{name.title()}: {value}" for name, value in headers.items()]
        lines.append(f"Content-Length: {len(body)}\r\n\r\n")
        request = "\r\n".join(lines).encode("latin-1") + body
        connection = self._take() or self._connect(connect)
        try:
            return connection.exchange(request, time.monotonic() + timeout)
        except TimeoutError as error:
            raise NoAnswerError(f"no answer within {timeout:.1f} s") from error
        except (OSError, HttpParserError, HttpParserUpgrade) as error:
            raise WireError(f"{type(error).__name__}: {error}") from error
        finally:
            self._used = self._clock()
            if connection.free and len(self._idle) < self._most:
                self._idle.append((connection, self._used))
            else:
                connection.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        _close_all(self._idle)

    def _take(self) -> _Connection | None:
        now = self._clock()
        if not 0 <= now - self._used < IDLE_S:
            self.close()
        while self._idle:
            try:
                connection, used = self._idle.pop()
            except IndexError:
                break
            if 0 <= now - used < IDLE_S and not connection.readable():
                return connection
            connection.close()
        return None

    def _connect(self, seconds: float) -> _Connection:
        for left in reversed(range(_CONNECT_TRIES)):
            made = None
            try:
                made = socket.create_connection(self._address, seconds)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls:
                    made = self._tls.wrap_socket(made, server_hostname=self._address[0])
            except OSError as error:
                if made is not None:
                    made.close()
                if not left:
                    raise UnconnectedError(f"{type(error).__name__}: {error}") from error
            else:
                return _Connection(made)
        raise AssertionError("the loop returns or raises")


class _Connection:
    """An open connection, and the answer that is being read from it.

    Attributes:
        free: whether the last answer is whole, and another request may follow.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.free = False
        self._socket = connected
        self._parser = HttpResponseParser(self)
        self._begin()

    def exchange(self, request: bytes, deadline: float) -> Answer:
        """Send a request, and read its answer until a moment of the monotonic clock.

        Raises:
            TimeoutError: the time is over.
            OSError: the connection broke.
            HttpParserError: this is no HTTP.
            HttpParserUpgrade: the server wants to speak something else.
        """
        self.free = False
        self._begin()
        sent = self._send(request, deadline)
        while not self._whole:
            self._socket.settimeout(_left(deadline))
            received = self._socket.recv(_CHUNK)
            if not received:
                self._end()
                return self._answer()
            self._parser.feed_data(received)
        self.free = self._kept and sent
        return self._answer()

    def _send(self, request: bytes, deadline: float) -> bool:
        """Whether the whole of it was taken."""
        self._socket.settimeout(_left(deadline))
        try:
            self._socket.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a request may answer before it has read the whole of it.
            return False
        return True

    def readable(self) -> bool:
        """Whether an idle connection has something to say, which can only be its end."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _begin(self) -> None:
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._whole = self._kept = False

    def _answer(self) -> Answer:
        return Answer(self._status, self._headers, b"".join(self._body))

    def _end(self) -> None:
        """The connection ended: so did an answer that says nothing of its length."""
        said = self._headers
        if not self._status or "content-length" in said or "transfer-encoding" in said:
            raise ConnectionResetError("the connection ended before the answer did")

    # What the parser calls.

    def on_message_begin(self) -> None:
        """An answer begins, perhaps after one of 1xx.

        Raises:
            ValueError: nobody asked for it.
        """
        if self._whole:
            raise ValueError("a second answer came to one request")
        self._begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody asked for."""
        if not self._status:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
            known = self._headers.get(key)
            self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """The headers are whole."""
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """An answer is whole."""
        self._whole = self._status >= 200
        # Of no meaning any more once the parser waits for the next answer.
        self._kept = self._parser.should_keep_alive()


def _close_all(idle: deque[tuple[_Connection, float]]) -> None:
    while idle:
        try:
            idle.pop()[0].close()
        except IndexError:
            return


def _context(ca_certs: str | None) -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context(cafile=ca_certs)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
