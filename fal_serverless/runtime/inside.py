"""Decorated functions that are called inside of another one: right there, in its process.

Functions' role may invoke nothing, and a call that waits for a call would be paid twice.
"""

from __future__ import annotations

import os
from types import CoroutineType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Callable,
        Iterable,
        Iterator,
        Mapping,
    )
    from concurrent.futures import Future

INNER = "_fal_inner"
"""Attribute of a ModuleNotFoundError: (name, requirements) of the inner function that met it."""


def on_a_host() -> bool:
    """Whether this process runs a call already."""
    return bool(os.environ.get("AWS_LAMBDA_FUNCTION_NAME") or os.environ.get("FAL_ENVIRONMENT"))


def call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    requirements: object = None,
) -> Any:
    """The function's value; one of ``async def`` is waited for, as the outer caller's host does."""
    try:
        value = function(*args, **kwargs)
        return _finished(value) if isinstance(value, CoroutineType) else value
    except ModuleNotFoundError as error:
        if not hasattr(error, INNER):
            listed = requirements if isinstance(requirements, (list, tuple)) else ()
            setattr(error, INNER, (function.__name__, [str(item) for item in listed]))
        raise


def submit(run: Callable[[], Any]) -> Future[Any]:
    """A future that has ended: there is one process, and the caller would wait for it anyway."""
    from concurrent.futures import Future

    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    try:
        future.set_result(run())
    except Exception as error:  # noqa: BLE001 - whatever it raised belongs to the future
        future.set_exception(error)
    return future


def stream(run: Callable[[Any], Any], items: Iterable[Any], on_error: str) -> Iterator[Any]:
    """Results of one call after the other."""
    for item in items:
        try:
            found = run(item)
        except Exception as error:
            if on_error == "raise":
                raise
            found = error
        yield found


async def stream_aio(
    run: Callable[[Any], Any], items: Iterable[Any] | AsyncIterable[Any], on_error: str
) -> AsyncGenerator[Any, None]:
    """``stream`` for ``async for``; the event loop goes on meanwhile."""
    import asyncio

    async for item in each(items):
        try:
            found = await asyncio.to_thread(run, item)
        except Exception as error:
            if on_error == "raise":
                raise
            found = error
        yield found


async def each(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    """The items, whether they come by ``for`` or by ``async for``."""
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


def _finished(value: Any) -> Any:
    """What a coroutine returns; in a thread, since this one may have an event loop that runs."""
    import asyncio
    import threading
    from concurrent.futures import Future

    future: Future[Any] = Future()

    async def wait() -> Any:
        return await value

    def work() -> None:
        try:
            future.set_result(asyncio.run(wait()))
        except BaseException as error:  # noqa: BLE001 - raised again by result()
            future.set_exception(error)

    thread = threading.Thread(target=work, name="fal-inside")
    thread.start()
    thread.join()
    return future.result()
