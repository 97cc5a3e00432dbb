"""What calls spend their time on: a line each in the log ``fal_serverless.calls``.

``FAL_DEBUG=1`` prints the lines to stderr.
"""

from __future__ import annotations

import functools
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOG = logging.getLogger("fal_serverless.calls")


class Phases:
    """Named stretches of time, in seconds; used by one thread at a time."""

    def __init__(self) -> None:
        self._found: list[tuple[str, float]] = []
        self._began = time.perf_counter()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what happens meanwhile, and note it after what happens inside of it."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._found.append((name, time.perf_counter() - began))

    def within(self, name: str, parts: Mapping[str, float]) -> None:
        """Note parts of a phase, as somebody else measured them."""
        self._found += [(f"{name}: {part}", float(seconds)) for part, seconds in parts.items()]

    def taken(self) -> Phases:
        """What was noted until now, for the first one who asks; nothing for the others."""
        found = Phases()
        found._found, self._found = self._found, []
        if found._found:
            found._began = self._began
        return found

    def tell(self, name: str) -> None:
        """Write the line of a call."""
        if LOG.isEnabledFor(logging.DEBUG):
            whole = time.perf_counter() - self._began
            parts = ", ".join(f"{part} {seconds:.3f}" for part, seconds in self._found)
            LOG.debug("%s: %.3f s (%s)", name, whole, parts)


class Steps:
    """The steps of making an environment, as parts of a call's phases."""

    def __init__(self) -> None:
        self._phases = Phases()
        self._step = ""

    @contextmanager
    def into(self, phases: Phases) -> Iterator[None]:
        """Meanwhile, steps are noted there."""
        before, self._phases = self._phases, phases
        try:
            yield
        finally:
            self._phases = before

    def begin(self, text: str, total: int | None = None) -> None:  # noqa: ARG002
        """A step begins."""
        self._step = text

    def advance(self, count: int) -> None:
        """More of the step is done."""

    def end(self, seconds: float) -> None:
        """The step is done."""
        self._phases.within("environment", {self._step: seconds})


@functools.cache
def print_them() -> None:
    """Print the lines to stderr from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.DEBUG)
    LOG.propagate = False
