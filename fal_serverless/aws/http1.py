"""What every client of one AWS endpoint needs of HTTP/1.1: where it is, and what was answered.

httptools, a compiled parser that uvicorn uses as well, reads the answers: an exchange takes a
fraction of what the standard library's client or urllib3 takes. Connections are kept in a pool that
knows of frozen environments. How bytes come and go is for ``wire`` (which blocks) and
``async_wire`` (which waits).
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

IDLE_S = 15.0
"""A frozen environment or a load balancer may have lost a connection that lay idle for longer
without a word, and a request written to it would be neither sent nor safe to send again."""
CONNECT_TRIES = 2


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


class Endpoint:
    """Where requests go.

    Attributes:
        host: what the ``Host`` header says.
        prefix: path that stands before every request's, without a slash at its end.
        address: name and port to connect to.
        tls: None for plain HTTP.
    """

    def __init__(self, url: str, ca_certs: str | None) -> None:
        """An endpoint by its URL.

        Args:
            ca_certs: file of the certificate authorities to trust, or None for the system's.
        """
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        usual = 443 if secure else 80
        self.prefix = parts.path.rstrip("/")
        self.address = (parts.hostname or "", parts.port or usual)
        name = f"[{parts.hostname}]" if ":" in self.address[0] else self.address[0]
        self.host = name if parts.port in (None, usual) else f"{name}:{parts.port}"
        self.tls = _context(ca_certs) if secure else None


class Connection(Protocol):
    """An open connection.

    Attributes:
        free: whether the last answer is whole, and another request may follow.
    """

    free: bool

    def usable(self) -> bool:
        """Whether an idle one is still open."""

    def close(self) -> None:
        """Close it."""


Kind = TypeVar("Kind", bound=Connection)


class Pooled(Generic[Kind]):
    """One endpoint, and the connections to it that are not in use."""

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
        self._endpoint = Endpoint(endpoint, ca_certs)
        self.prefix = self._endpoint.prefix
        self.host = self._endpoint.host
        self._clock = clock
        self._used = clock()
        self._idle: deque[tuple[Kind, float]] = deque()
        self._most = connections

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            try:
                self._idle.pop()[0].close()
            except IndexError:
                return  # another thread was quicker

    def _take(self) -> Kind | None:
        """A connection that can be used again, or None."""
        now = self._clock()
        if not 0 <= now - self._used < IDLE_S:
            self.close()
        while self._idle:
            try:
                connection, used = self._idle.pop()
            except IndexError:
                break
            if 0 <= now - used < IDLE_S and connection.usable():
                return connection
            connection.close()
        return None

    def _give(self, connection: Kind) -> None:
        """Keep a connection for the next request, or close it."""
        self._used = self._clock()
        if connection.free and len(self._idle) < self._most:
            self._idle.append((connection, self._used))
        else:
            connection.close()


class Reading:
    """The answer that is coming in on one connection, for one request after the other.

    Attributes:
        whole: whether it is.
        kept: whether the connection may be used again after it.
    """

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Wait for the answer to another request."""
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self.whole = self.kept = False

    def feed(self, received: bytes) -> None:
        """What came in.

        Raises:
            WireError: it is no HTTP, or not the one answer that was asked for.
        """
        try:
            self._parser.feed_data(received)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise WireError(f"{type(error).__name__}: {error}") from error

    def end(self) -> None:
        """The connection ended: so did an answer that says nothing of its length.

        Raises:
            WireError: the answer is not whole.
        """
        said = self._headers
        if not self._status or "content-length" in said or "transfer-encoding" in said:
            raise WireError("the connection ended before the answer did")
        self.whole = True

    def answer(self) -> Answer:
        """The answer, once it is whole."""
        return Answer(self._status, self._headers, b"".join(self._body))

    # What the parser calls.

    def on_message_begin(self) -> None:
        """An answer begins, perhaps after one of 1xx.

        Raises:
            ValueError: nobody asked for it.
        """
        if self.whole:
            raise ValueError("a second answer came to one request")
        self.begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers are nothing that AWS sends, and nothing that is asked for."""
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
        self.whole = self._status >= 200
        # Of no meaning any more once the parser waits for the next answer.
        self.kept = self._parser.should_keep_alive()


def request(target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A POST as it is sent.

    Args:
        target: path and query.
        headers: ``host`` included, ``content-length`` not.
    """
    lines = [f"POST {target} HTTP/1.1"]
    lines += [f"{name.title()}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    return "\r\n".join(lines).encode("latin-1") + body


def _context(ca_certs: str | None) -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context(cafile=ca_certs)
