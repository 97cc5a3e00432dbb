"""POSTs to one AWS endpoint over connections that are kept open, with little in between.

The standard library's client speaks HTTP, at half of urllib3's cost; added are a pool that knows of
frozen environments, and errors that tell what was surely not sent from what may have been.
"""

from __future__ import annotations

import http.client
import select
import time
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping

IDLE_S = 15.0
"""A frozen environment or a load balancer may have lost a connection that lay idle for longer
without a word, and a request written to it would be neither sent nor safe to send again."""
_CONNECT_TRIES = 2


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
        self._idle: deque[tuple[http.client.HTTPConnection, float]] = deque()
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
            timeout: seconds that may pass without a byte of the answer.

        Raises:
            UnconnectedError: nothing was sent.
            NoAnswerError: the time is over; the request may have been received.
            WireError: the connection broke, or what came is no HTTP.
        """
        connection = self._take() or self._connect(connect)
        kept = False
        try:
            connection.sock.settimeout(timeout)
            answer = _exchange(connection, target, headers, body)
            kept = connection.sock is not None
        except TimeoutError as error:
            raise NoAnswerError(f"no answer within {timeout:.1f} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise WireError(f"{type(error).__name__}: {error}") from error
        finally:
            self._used = self._clock()
            if kept and len(self._idle) < self._most:
                self._idle.append((connection, self._used))
            else:
                connection.close()
        return answer

    def close(self) -> None:
        """Close the connections that are not in use."""
        _close_all(self._idle)

    def _take(self) -> http.client.HTTPConnection | None:
        now = self._clock()
        if not 0 <= now - self._used < IDLE_S:
            self.close()
        while self._idle:
            try:
                connection, used = self._idle.pop()
            except IndexError:
                break
            if 0 <= now - used < IDLE_S and not _readable(connection.sock):
                return connection
            connection.close()
        return None

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        for left in reversed(range(_CONNECT_TRIES)):
            made = self._new(seconds)
            try:
                made.connect()
            except OSError as error:
                made.close()
                if not left:
                    raise UnconnectedError(f"{type(error).__name__}: {error}") from error
            else:
                return made
        raise AssertionError("the loop returns or raises")

    def _new(self, seconds: float) -> http.client.HTTPConnection:
        name, port = self._address
        if self._tls:
            return _Secure(name, port, timeout=seconds, context=self._tls)
        return _Whole(name, port, timeout=seconds)


class _Whole(http.client.HTTPConnection):
    """Sends a request in one piece; the library sends the body by itself, which is read twice."""

    def endheaders(self, message_body: Any = None, *, encode_chunked: bool = False) -> None:
        """Send what was put together, and the body with it."""
        self._pieces: list[bytes] = []
        super().endheaders(message_body, encode_chunked=encode_chunked)
        pieces, self._pieces = self._pieces, []
        super().send(b"".join(pieces))

    def send(self, data: Any) -> None:
        """Keep a piece."""
        self._pieces.append(data)


class _Secure(_Whole, http.client.HTTPSConnection):
    """By HTTPS."""


def _close_all(idle: deque[tuple[http.client.HTTPConnection, float]]) -> None:
    while idle:
        try:
            idle.pop()[0].close()
        except IndexError:
            return


def _context(ca_certs: str | None) -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context(cafile=ca_certs)


def _readable(connection: socket.socket) -> bool:
    """Whether an idle connection has something to say, which can only be its end."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _exchange(
    connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str], body: bytes
) -> Answer:
    connection.putrequest("POST", target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.title(), value)
    connection.putheader("Content-Length", str(len(body)))
    try:
        connection.endheaders(body)
    except (BrokenPipeError, ConnectionResetError):
        # A server that refuses a request may answer before it has read the whole of it.
        answer = _read(connection)
        connection.close()
        return answer
    return _read(connection)


def _read(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    found: dict[str, str] = {}
    for name, value in response.headers.raw_items():
        name = name.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return Answer(response.status, found, response.read())
