"""POSTs to one AWS endpoint over connections that are kept open, with little in between.

Errors tell what was surely not sent from what may have been.
"""

from __future__ import annotations

import select
import socket
import time
import weakref
from typing import TYPE_CHECKING

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

_CHUNK = 1 << 16


class Wire(Pooled["_Connection"]):
    """One endpoint; may be used by several threads."""

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
        connection = self._take() or self._connect(connect)
        try:
            return connection.exchange(request(target, headers, body), time.monotonic() + timeout)
        except TimeoutError as error:
            raise NoAnswerError(f"no answer within {timeout:.1f} s") from error
        except OSError as error:
            raise WireError(f"{type(error).__name__}: {error}") from error
        finally:
            self._give(connection)

    def _connect(self, seconds: float) -> _Connection:
        address, tls = self._endpoint.address, self._endpoint.tls
        for left in reversed(range(CONNECT_TRIES)):
            made = None
            try:
                made = socket.create_connection(address, seconds)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if tls:
                    made = tls.wrap_socket(made, server_hostname=address[0])
            except OSError as error:
                if made is not None:
                    made.close()
                if not left:
                    raise UnconnectedError(f"{type(error).__name__}: {error}") from error
            else:
                return _Connection(made)
        raise AssertionError("the loop returns or raises")


class _Connection:
    """An open connection.

    Attributes:
        free: whether the last answer is whole, and another request may follow.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.free = False
        self._socket = connected
        self._reading = Reading()
        # Also when the process ends: an open socket would be warned of.
        weakref.finalize(self, connected.close)

    def exchange(self, sent: bytes, deadline: float) -> Answer:
        """Send a request, and read its answer until a moment of the monotonic clock.

        Raises:
            TimeoutError: the time is over.
            OSError: the connection broke.
            WireError: this is not the answer to a request.
        """
        self.free = False
        reading = self._reading
        reading.begin()
        taken = self._send(sent, deadline)
        while not reading.whole:
            self._socket.settimeout(_left(deadline))
            received = self._socket.recv(_CHUNK)
            if received:
                reading.feed(received)
            else:
                reading.end()
        self.free = reading.kept and taken
        return reading.answer()

    def usable(self) -> bool:
        """Whether an idle connection has nothing to say, which could only be its end."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _send(self, sent: bytes, deadline: float) -> bool:
        """Whether the whole of it was taken."""
        self._socket.settimeout(_left(deadline))
        try:
            self._socket.sendall(sent)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a request may answer before it has read the whole of it.
            return False
        return True


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
