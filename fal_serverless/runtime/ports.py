"""On the embedded stack all functions share one machine, and so its ports: each gets its own.

In Lambda every environment has a network of its own, and nothing of this is used.
"""

from __future__ import annotations

import socket
from typing import Any


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def divert(port: int) -> int:
    """Let what this process binds to ``port`` be bound to a free one; that one's number."""
    other = free_port()

    class Diverted(socket.socket):
        """A socket that binds elsewhere."""

        def bind(self, address: Any, /) -> None:
            if isinstance(address, tuple) and len(address) >= 2 and address[1] == port:
                address = (address[0], other, *address[2:])
            super().bind(address)

    socket.socket = Diverted  # type: ignore[misc]
    return other
