"""Functions whose answers are kept where they run: ``@cached``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import ParamSpec

    P = ParamSpec("P")
else:
    # As in ``function``: one definition for type checkers, the library's own at run time.
    from typing import ParamSpec

    P = ParamSpec("P")

R = TypeVar("R")


class CachedFunction(Generic[P, R]):
    """A function whose answers are kept for the life of the environment it runs in."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self._reset()
        functools.update_wrapper(self, function)

    def _reset(self) -> None:
        import threading

        self._answers: dict[bytes, R] = {}
        self._lock = threading.RLock()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The kept answer for these arguments, or a new one; concurrent callers wait for it."""
        import pickle

        key = pickle.dumps((args, sorted(kwargs.items())))
        with self._lock:
            if key not in self._answers:
                self._answers[key] = self.function(*args, **kwargs)
            return self._answers[key]

    def __getstate__(self) -> dict[str, Any]:
        # Answers and locks stay behind: they belong to one environment.
        return {"function": self.function}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()
        functools.update_wrapper(self, self.function)


def cached(function: Callable[P, R]) -> CachedFunction[P, R]:
    """Run ``function`` once per environment and set of arguments; the answer is kept."""
    return CachedFunction(function)
