"""Many calls at once, for ``async for``."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fal_serverless.remote.fanout import runner
from fal_serverless.runtime.inside import each

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Iterable

    from fal_serverless.function import IsolatedFunction
    from fal_serverless.remote.fanout import OnError


async def stream(
    function: IsolatedFunction[..., Any],
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    ordered: bool,
    concurrency: int,
    on_error: OnError,
) -> AsyncGenerator[Any, None]:
    """Results of a call for each item; at most ``concurrency`` are under way or waiting."""
    loop = asyncio.get_running_loop()
    run = await asyncio.to_thread(runner, function)
    pool = ThreadPoolExecutor(concurrency, "fal-map")
    pending: deque[asyncio.Future[Any]] = deque()
    source = each(items)
    number = 0

    async def begin(how_many: int) -> None:
        nonlocal number
        for _ in range(how_many):
            try:
                item = await anext(source)
            except StopAsyncIteration:
                return
            number += 1
            label = f"{function.name} {number}"
            pending.append(loop.run_in_executor(pool, run, (item,), {}, label))

    try:
        await begin(concurrency)
        while pending:
            if ordered:
                ended = pending.popleft()
                await asyncio.wait([ended])
            else:
                done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                ended = done.pop()
                pending.remove(ended)
            failure = ended.exception()
            if failure is not None and on_error == "raise":
                raise failure
            await begin(1)
            yield failure if failure is not None else ended.result()
    finally:
        for future in pending:
            # What runs by then is not waited for; its failure is nobody's any more.
            future.cancel()
        pool.shutdown(wait=False, cancel_futures=True)
        await source.aclose()
