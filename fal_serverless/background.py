"""Calls that mostly wait for a network, begun side by side."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def begin(call: Callable[..., T], *args: object) -> Future[T]:
    """Begin ``call(*args)``; its future has the value, or raises what the call raised.

    Nobody waits for it at the end of the program, as they would for a pool's threads: Ctrl-C ends a
    command whose request hangs.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call(*args))
        except BaseException as error:  # noqa: BLE001 - whoever asks for the value gets it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
