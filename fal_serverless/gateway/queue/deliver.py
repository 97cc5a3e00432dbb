"""Calling a webhook: resolved here, connected to what was resolved, and never redirected."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fal_serverless.gateway.queue import webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TIMEOUT_S = 15.0
"""From the beginning of a call until its status must be there."""


@dataclass(frozen=True)
class Delivery:
    """What came of a call.

    Attributes:
        delivered: whether the receiver answered with 2xx.
        reason: for the log.
        final: whether trying again is of no use.
    """

    delivered: bool
    reason: str
    final: bool = False


class Deliver(Protocol):
    """Calls webhooks."""

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes, /) -> Delivery:
        """Call one. Raises nothing: whatever happens is an outcome."""


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a host.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True)
class Deliverer:
    """Calls webhooks over HTTP.

    A name is resolved once, all its addresses are checked, and the connection goes to one of
    those: a name that means something else a moment later gains nothing.

    Attributes:
        private: whether http and private networks are allowed.
        resolve: (host, port) to addresses.
        context: of TLS; None for the system's certificate authorities.
        timeout: seconds for the whole call.
    """

    private: bool = False
    resolve: Callable[[str, int], list[str]] = resolved
    context: ssl.SSLContext | None = None
    timeout: float = TIMEOUT_S

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes, /) -> Delivery:
        """Call a webhook once."""
        try:
            scheme, host, port, path = webhook.check_url(url, private=self.private)
        except webhook.BadAddressError:
            # Its text quotes the address, which may hold a secret: this reason is for the log.
            return Delivery(False, "its address is not allowed any more", final=True)
        try:
            address = webhook.choose(self.resolve(host, port), private=self.private)
        except webhook.BadAddressError as error:
            return Delivery(False, str(error), final=True)
        except OSError as error:
            return Delivery(False, f"cannot be resolved: {error}")
        try:
            with self._connection(scheme, host, port, address) as connection:
                connection.request("POST", path, body, dict(headers))
                status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return Delivery(False, f"{type(error).__name__}: {error}")
        if 200 <= status < 300:
            return Delivery(True, f"answered {status}")
        if 300 <= status < 400:
            return Delivery(False, f"answered {status}; redirects are not followed")
        return Delivery(False, f"answered {status}")

    @contextlib.contextmanager
    def _connection(
        self, scheme: str, host: str, port: int, address: str
    ) -> Iterator[http.client.HTTPConnection]:
        raw = socket.create_connection((address, port), timeout=self.timeout)

        def give_up() -> None:
            # Timeouts of sockets begin anew with each byte: a slow receiver would hold us for ever.
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)

        watch = threading.Timer(self.timeout, give_up)
        watch.daemon = True
        watch.start()
        connection = http.client.HTTPConnection(host, port)
        try:
            connection.sock = raw
            if scheme == "https":
                context = self.context or ssl.create_default_context()
                connection = http.client.HTTPSConnection(host, port, context=context)
                # Once wrapped, the plain socket is detached: the watch must close the new one.
                raw = connection.sock = context.wrap_socket(raw, server_hostname=host)
            yield connection
        finally:
            watch.cancel()
            connection.close()
            raw.close()
