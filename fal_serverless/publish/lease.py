"""A lease in the registry: held by one publisher at a time, renewed while it works."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fal_serverless.background import begin
from fal_serverless.errors import ConflictError, FalServerlessError
from fal_serverless.publish.state import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from fal_serverless.publish.services import Registry

PATIENCE_SECONDS = 300
"""How long a publisher waits for others that publish the same function."""


class Clock(Protocol):
    """Time, passed in so that tests need not wait."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass
class Held:
    """A lease that is held; ``check`` before each step that others must not interleave with."""

    name: str
    lost: str = ""

    def check(self) -> None:
        """Raises ConflictError when the lease could not be renewed in time."""
        if self.lost:
            raise ConflictError(
                f"The lease on '{self.name}' was lost.",
                reason=self.lost,
                hint="nothing that worked has changed: run the command again",
            )


@contextmanager
def lease(
    registry: Registry,
    name: str,
    clock: Clock,
    *,
    waiting: Callable[[str], None] | None = None,
    patience: float = PATIENCE_SECONDS,
) -> Iterator[Held]:
    """Hold the lease called ``name``; waits for another holder, and renews it in the background.

    Args:
        patience: seconds to wait for another holder.

    Raises:
        ConflictError: somebody else held it for all of ``patience``.
    """
    with leases(registry, (name,), clock, waiting=waiting, patience=patience) as (held,):
        yield held


@contextmanager
def leases(
    registry: Registry,
    names: Iterable[str],
    clock: Clock,
    *,
    waiting: Callable[[str], None] | None = None,
    patience: float = PATIENCE_SECONDS,
) -> Iterator[tuple[Held, ...]]:
    """Hold leases, taken one after the other in the order of ``names``, and dropped all at once.

    Raises:
        ConflictError: somebody else held one of them for all of ``patience``.
    """
    holder = uuid.uuid4().hex
    stop = threading.Event()
    taken: list[tuple[Held, Future[None]]] = []
    try:
        for name in names:
            _acquire(registry, name, holder, clock, waiting, patience)
            held = Held(name)
            taken.append((held, begin(_renew, registry, held, holder, clock, stop)))
        yield tuple(held for held, _ in taken)
    finally:
        stop.set()
        for _, renewed in taken:
            # A renewal that is under way must not come after the end.
            renewed.result()
        for dropped in [begin(registry.drop_lease, held.name, holder) for held, _ in taken]:
            dropped.result()


def _acquire(
    registry: Registry,
    name: str,
    holder: str,
    clock: Clock,
    waiting: Callable[[str], None] | None,
    patience: float,
) -> None:
    start = clock.now()
    told = False
    while (other := registry.take_lease(name, holder, clock.now())) is not None:
        if clock.now() - start > patience:
            raise ConflictError(
                f"'{name}' is being published by somebody else.",
                reason=f"their lease ({other[:8]}) did not end within {patience:g} s",
                hint="run the command again when they are done",
            )
        if waiting is not None and not told:
            waiting(name)
            told = True
        clock.sleep(0.25)


def _renew(
    registry: Registry, held: Held, holder: str, clock: Clock, stop: threading.Event
) -> None:
    while not stop.wait(LEASE_SECONDS / 4):
        try:
            other = registry.take_lease(held.name, holder, clock.now())
        except FalServerlessError as error:
            held.lost = f"it could not be renewed: {error.reason}"
            return
        if other is not None:
            held.lost = "another publisher took it after it expired"
            return
