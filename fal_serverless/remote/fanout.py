"""Many calls at once: a future each, or a stream of results with a bounded number under way."""

from __future__ import annotations

import sys
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Literal

from fal_serverless.function import CONCURRENCY_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fal_serverless.function import IsolatedFunction

OnError = Literal["raise", "return"]
_lock = threading.Lock()
_executor: ThreadPoolExecutor | None = None
_numbers = count(1)


def runner(function: IsolatedFunction[..., Any]) -> Callable[..., Any]:
    """What runs calls of ``function`` on its host."""
    from fal_serverless.hosts import LocalHost

    host = function.host
    if isinstance(host, LocalHost):
        from fal_serverless.remote import local_host

        return local_host.runner(function)
    from fal_serverless.remote import lambda_host

    return lambda_host.runner(function, host)


def submit(
    function: IsolatedFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Future[Any]:
    """Begin a call; the future can be cancelled until it started."""
    run = runner(function)
    return _pool().submit(run, args, kwargs, f"{function.name} {next(_numbers)}")


def stream(
    function: IsolatedFunction[..., Any],
    items: Iterable[Any],
    *,
    ordered: bool,
    concurrency: int,
    on_error: OnError,
) -> Iterator[Any]:
    """Results of a call for each item; at most ``concurrency`` are under way or waiting."""
    run = runner(function)
    pool = ThreadPoolExecutor(concurrency, "fal-map")
    pending: deque[Future[Any]] = deque()
    source = enumerate(items, 1)

    def begin(how_many: int) -> None:
        for number, item in islice(source, how_many):
            pending.append(pool.submit(run, (item,), {}, f"{function.name} {number}"))

    try:
        begin(concurrency)
        while pending:
            if not ordered:
                ended = wait(pending, return_when=FIRST_COMPLETED).done.pop()
                pending.remove(ended)
            else:
                ended = pending.popleft()
            failure = ended.exception()
            if failure is not None and on_error == "raise":
                raise failure
            begin(1)
            yield failure if failure is not None else ended.result()
    finally:
        # Whoever stops early, or meets an exception, does not wait for what runs by then.
        pool.shutdown(wait=not pending, cancel_futures=True)


def progress(results: Iterator[Any], total: int | None) -> Iterator[Any]:
    """The results, with a bar on a terminal's stderr."""
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import Progress

    # What is printed meanwhile appears above the bar, and what goes into a file stays out of it.
    bar = Progress(
        console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
    )
    with bar:
        yield from bar.track(results, total=total)


def _pool() -> ThreadPoolExecutor:
    global _executor
    with _lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(CONCURRENCY_MAX // 2, "fal-call")
        return _executor
