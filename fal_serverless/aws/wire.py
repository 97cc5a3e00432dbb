"""POSTs to one AWS endpoint over connections that are kept open, with little in between.

HTTP/1.1 as AWS's APIs and their emulators speak it. urllib3 takes seven times, and the standard
library's client four times the processor for an exchange; both are made for much more than this.
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

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

IDLE_S = 15.0
"""A frozen environment or a load balancer may have lost a connection that lay idle for longer
without a word, and a request written to it would be neither sent nor safe to send again."""
_CONNECT_TRIES = 2
_CHUNK = 1 << 16
_HEAD_MAX = 1 << 16


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
        self._idle: deque[tuple[socket.socket, float]] = deque()
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
            timeout: seconds from then until the answer must be.

        Raises:
            UnconnectedError: nothing was sent.
            NoAnswerError: the time is over; the request may have been received.
            WireError: the connection broke, or what came is no HTTP.
        """
        lines = [f"POST {target} HTTP/1.1"]
        lines += [f"{name.title()}: {value}" for name, value in headers.items()]
        lines.append(f"Content-Length: {len(body)}\r\n\r\n")
        head = "\r\n".join(lines).encode("latin-1")
        connection = self._take() or self._connect(connect)
        kept = False
        try:
            answer, kept = _exchange(connection, head, body, time.monotonic() + timeout)
        except TimeoutError as error:
            raise NoAnswerError(f"no answer within {timeout:.1f} s") from error
        except (OSError, ValueError) as error:
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

    def _take(self) -> socket.socket | None:
        now = self._clock()
        if not 0 <= now - self._used < IDLE_S:
            self.close()
        while self._idle:
            try:
                connection, used = self._idle.pop()
            except IndexError:
                break
            if 0 <= now - used < IDLE_S and not _readable(connection):
                return connection
            connection.close()
        return None

    def _connect(self, seconds: float) -> socket.socket:
        for left in reversed(range(_CONNECT_TRIES)):
            made = None
            try:
                made = socket.create_connection(self._address, seconds)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls:
                    return self._tls.wrap_socket(made, server_hostname=self._address[0])
            except OSError as error:
                if made is not None:
                    made.close()
                if not left:
                    raise UnconnectedError(f"{type(error).__name__}: {error}") from error
            else:
                return made
        raise AssertionError("the loop returns or raises")


def _close_all(idle: deque[tuple[socket.socket, float]]) -> None:
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
    connection: socket.socket, head: bytes, body: bytes, deadline: float
) -> tuple[Answer, bool]:
    """The answer, and whether the connection can be used again."""
    connection.settimeout(_left(deadline))
    try:
        connection.sendall(head + body)
    except (BrokenPipeError, ConnectionResetError):
        # A server that refuses a request may do so before it has read the whole of it.
        return _read(connection, deadline)[0], False
    return _read(connection, deadline)


def _read(connection: socket.socket, deadline: float) -> tuple[Answer, bool]:
    buffer = bytearray()
    while True:
        end = buffer.find(b"\r\n\r\n")
        while end < 0:
            if len(buffer) > _HEAD_MAX:
                raise ValueError("the answer's headers do not end")
            _more(connection, buffer, deadline)
            end = buffer.find(b"\r\n\r\n")
        status, version, headers = _head(buffer[:end].decode("latin-1"))
        del buffer[: end + 4]
        if status >= 200:
            break
    kept = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    if status in (204, 304):
        return Answer(status, headers, b""), kept
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Answer(status, headers, _chunks(connection, buffer, deadline)), kept
    length = headers.get("content-length", "")
    if length.isdecimal():
        _fill(connection, buffer, int(length), deadline)
        return Answer(status, headers, bytes(buffer[: int(length)])), kept
    while _more(connection, buffer, deadline, end=True):
        pass
    return Answer(status, headers, bytes(buffer)), False


def _head(text: str) -> tuple[int, str, dict[str, str]]:
    first, *lines = text.split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
        raise ValueError("the answer is no HTTP/1")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return int(rest[:3]), version, headers


def _chunks(connection: socket.socket, buffer: bytearray, deadline: float) -> bytes:
    found = bytearray()
    while True:
        size = int(_line(connection, buffer, deadline).partition(b";")[0], 16)
        if not size:
            while _line(connection, buffer, deadline):
                pass
            return bytes(found)
        _fill(connection, buffer, size + 2, deadline)
        found += buffer[:size]
        del buffer[: size + 2]


def _line(connection: socket.socket, buffer: bytearray, deadline: float) -> bytes:
    while (end := buffer.find(b"\r\n")) < 0:
        _more(connection, buffer, deadline)
    line = bytes(buffer[:end])
    del buffer[: end + 2]
    return line


def _fill(connection: socket.socket, buffer: bytearray, size: int, deadline: float) -> None:
    while len(buffer) < size:
        _more(connection, buffer, deadline)


def _more(
    connection: socket.socket, buffer: bytearray, deadline: float, *, end: bool = False
) -> bool:
    """Read on; whether there was anything. The connection's end is an error unless ``end``."""
    connection.settimeout(_left(deadline))
    found = connection.recv(_CHUNK)
    if not found and not end:
        raise ConnectionResetError("the connection ended before the answer did")
    buffer += found
    return bool(found)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
