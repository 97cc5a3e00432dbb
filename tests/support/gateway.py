"""A gateway around stand-ins, put together as its server and its Lambda function do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fal_serverless.gateway.entry import Gateway, Shortcut
from fal_serverless.gateway.invoke import Blocking, Calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from fal_serverless.gateway.entry import Access
    from fal_serverless.gateway.protocols import Invoker
    from fal_serverless.gateway.registry import CachedRegistry


def create_app(
    *,
    registry: CachedRegistry,
    invoker: Invoker,
    domain: str = "",
    record: Callable[[Access], None] | None = None,
    executor: Executor | None = None,
    **more: Any,
) -> Shortcut:
    """The ASGI app; ``more`` is of ``Calls``."""
    calls = Calls(registry, Blocking(invoker, executor), executor, **more)
    return Shortcut(Gateway(calls, domain, record))
