"""The decorators: a plain function in, an IsolatedFunction that knows its options out."""

from __future__ import annotations

import functools
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast, overload

from fal_serverless.errors import SpecError
from fal_serverless.hosts import LambdaHost, LocalHost
from fal_serverless.runtime import inside
from fal_serverless.spec import FunctionSpec, build_spec

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Callable,
        Coroutine,
        Iterable,
        Iterator,
        Mapping,
    )
    from concurrent.futures import Future
    from typing import Literal

    from typing_extensions import ParamSpec, Unpack

    from fal_serverless.options import Options

    P = ParamSpec("P")
else:
    # `typing.ParamSpec` exists in every supported Python; the alias above lets type checkers
    # see one definition for all of them.
    from typing import ParamSpec

    P = ParamSpec("P")

R = TypeVar("R")
CONCURRENCY_MAX = 128
"""Calls of one ``map`` at a time."""


class IsolatedFunction(Generic[P, R]):
    """A function with the description of where and how it runs.

    Attributes:
        function: the plain function.
        options: what the decorator was given.
    """

    def __init__(self, function: Callable[P, R], options: Mapping[str, Any]) -> None:
        _check_function(function)
        self.function = function
        self.options = dict(options)
        check_requirements(options.get("requirements"))
        _check_callables(options)
        build_spec(self.name, options)
        functools.update_wrapper(self, function)

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.function.__name__

    @property
    def setup_function(self) -> Callable[[], object] | None:
        """What runs once per environment before the first call."""
        return cast("Callable[[], object] | None", self.options.get("setup_function"))

    @property
    def host(self) -> LambdaHost | LocalHost:
        """Where a call of this function runs."""
        return self.options.get("host") or LambdaHost()

    def spec(self, requirements: Iterable[str] = ()) -> FunctionSpec:
        """The checked description; ``requirements`` are the resolved PEP 508 strings.

        Raises:
            SpecError: an option cannot work.
        """
        return build_spec(self.name, self.options, requirements=requirements)

    def on(
        self, host: LambdaHost | LocalHost | None = None, **options: Any
    ) -> IsolatedFunction[P, R]:
        """A copy with other options, for example ``predict.on(machine_type="L")``.

        Raises:
            SpecError: an option is unknown or cannot work.
        """
        changed = {**self.options, **options}
        if host is not None:
            changed["host"] = host
        return IsolatedFunction(self.function, changed)

    def local(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function here and now."""
        return self.function(*args, **kwargs)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function on its host, and return its value.

        Inside a function that runs on a host already, the call stays in that process.

        Raises:
            BaseException: what the function raised, with the remote traceback as its cause.
            RemoteError: the call failed outside of the function.
        """
        if inside.on_a_host():
            return self._here(args, kwargs)
        from fal_serverless.remote.fanout import runner

        return cast("R", runner(self)(args, kwargs))

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Begin a call; its future can be cancelled until it started."""
        if inside.on_a_host():
            return inside.submit(lambda: self._here(args, kwargs))
        from fal_serverless.remote import fanout

        return fanout.submit(self, args, kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function on its host without blocking the event loop."""
        import asyncio

        if inside.on_a_host():
            return await asyncio.to_thread(self._here, args, kwargs)
        starting = asyncio.get_running_loop().run_in_executor(
            None, lambda: self.submit(*args, **kwargs)
        )
        return await asyncio.wrap_future(await starting)

    def map(
        self,
        items: Iterable[Any],
        *,
        ordered: bool = True,
        concurrency: int = 32,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[R]:
        """Call the function once for each item, many at a time; results come as they are ready.

        Args:
            items: one argument each; read as far as calls can begin, so it may be endless.
            ordered: results in the order of the items.
            concurrency: calls under way at a time, 1 to 128.
            on_error: ``raise`` ends at the first exception, ``return`` gives it as the result.

        Raises:
            SpecError: an option cannot work.
        """
        check_fan_out(concurrency, on_error)
        if inside.on_a_host():
            return inside.stream(lambda item: self._here((item,), {}), items, on_error)
        from fal_serverless.remote import fanout

        total = len(items) if isinstance(items, Sized) else None
        results = fanout.stream(
            self, items, ordered=ordered, concurrency=concurrency, on_error=on_error
        )
        return fanout.progress(results, total)

    def map_aio(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        ordered: bool = True,
        concurrency: int = 32,
        on_error: Literal["raise", "return"] = "raise",
    ) -> AsyncGenerator[R, None]:
        """``map`` for ``async for``; the items may be asynchronous too.

        Raises:
            SpecError: an option cannot work.
        """
        check_fan_out(concurrency, on_error)
        if inside.on_a_host():
            return inside.stream_aio(lambda item: self._here((item,), {}), items, on_error)
        from fal_serverless.remote import fanout_aio

        return fanout_aio.stream(
            self, items, ordered=ordered, concurrency=concurrency, on_error=on_error
        )

    def _here(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
        return cast("R", inside.call(self.function, args, kwargs, self.options.get("requirements")))

    def __repr__(self) -> str:
        return f"<IsolatedFunction {self.name}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"function": self.function, "options": self.options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        functools.update_wrapper(self, self.function)


if TYPE_CHECKING:

    class AsyncFunction(IsolatedFunction[P, R]):
        """For type checkers: the plain function is a coroutine function, its calls are not."""

        def local(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]
            """Call the plain function here and now."""

    class Decorator(Protocol):
        """For type checkers: what ``@isolated(…)`` with options gives."""

        @overload
        def __call__(self, given: Callable[P, Coroutine[Any, Any, R]]) -> AsyncFunction[P, R]: ...
        @overload
        def __call__(self, given: Callable[P, R]) -> IsolatedFunction[P, R]: ...


@overload
def isolated(function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncFunction[P, R]: ...


@overload
def isolated(function: Callable[P, R], /) -> IsolatedFunction[P, R]: ...


@overload
def isolated(**options: Unpack[Options]) -> Decorator: ...


def isolated(function: Any = None, /, **options: Any) -> Any:
    """Describe where a function runs and what it needs; see ``docs/decorators.md``.

    Raises:
        SpecError: an option is unknown (the nearest name is suggested) or cannot work.
    """
    if function is not None and not callable(function):
        raise SpecError(
            f"@isolated cannot decorate {function!r}.",
            reason="its options are given by name",
            hint="write for example @isolated(serve=True)",
        )
    if function is not None:
        return IsolatedFunction(function, options)
    return lambda inner: IsolatedFunction(inner, options)


def check_fan_out(concurrency: object, on_error: object) -> None:
    """Raises SpecError for options of ``map`` that cannot work."""
    whole = isinstance(concurrency, int) and not isinstance(concurrency, bool)
    if not whole or not 1 <= concurrency <= CONCURRENCY_MAX:  # type: ignore[operator]
        raise SpecError(
            f"concurrency cannot be {concurrency!r}.",
            reason=f"it is a whole number from 1 to {CONCURRENCY_MAX}, a connection each",
            hint="write for example concurrency=32",
        )
    if on_error not in ("raise", "return"):
        raise SpecError(
            f"on_error cannot be {on_error!r}.",
            reason="it is 'raise' or 'return'",
            hint="use on_error='return' to get exceptions among the results",
        )


def check_requirements(value: object) -> None:
    """Requirements are a list of strings or the path of a file; their syntax is checked later.

    Raises:
        SpecError: it is something else.
    """
    if value is None or isinstance(value, str) or hasattr(value, "__fspath__"):
        return
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return
    raise SpecError(
        f"requirements cannot be {value!r}.",
        reason="it is a list of strings, or the path of a requirements file",
        hint='write for example requirements=["pandas>=2"]',
    )


def _check_function(function: object) -> None:
    if isinstance(function, type) or not hasattr(function, "__name__"):
        name = getattr(function, "__name__", repr(function))
        raise SpecError(
            f"@isolated cannot decorate {name!r}.",
            reason="it is a class" if isinstance(function, type) else "it has no name",
            hint="decorate a function (def …) that uses it",
        )


def _check_callables(options: Mapping[str, Any]) -> None:
    setup = options.get("setup_function")
    if setup is not None and not callable(setup):
        raise SpecError(
            f"setup_function cannot be {setup!r}.",
            reason="it is a function without arguments",
            hint="write setup_function=load_model, without calling it",
        )
    host = options.get("host")
    if host is not None and not isinstance(host, (LambdaHost, LocalHost)):
        raise SpecError(
            f"host cannot be {host!r}.",
            reason="it is LambdaHost() or LocalHost()",
            hint="write host=LambdaHost()",
        )
