"""The registry, remembered for a few seconds: no request to it when warm, one when cold."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from fal_serverless import keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from fal_serverless.gateway.protocols import RegistrySource, Route
    from fal_serverless.keys import KeyRecord

Value = TypeVar("Value")

# A revoked key must stop working within 5 s everywhere: one second is left for a slow read.
TTL = 4.0
# Short, so that what was just published is not "not found" for long.
NEGATIVE_TTL = 1.0
SIZE = 4096


class Recent(Generic[Value]):
    """A bounded map of what was read lately; None is a value too (known to be absent).

    Not for use by several threads at once: :class:`CachedRegistry` holds the lock.
    """

    def __init__(self, ttl: float, negative_ttl: float, size: int) -> None:
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self._size = size
        self._entries: dict[str, tuple[float, Value | None]] = {}

    def get(self, key: str, now: float) -> tuple[Value | None] | None:
        """``(value,)`` when it was read lately, else None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        read_at, value = entry
        # A clock that was set back makes ages negative: those entries are of unknown age.
        if 0 <= now - read_at < (self._ttl if value is not None else self._negative_ttl):
            return (value,)
        del self._entries[key]
        return None

    def put(self, key: str, value: Value | None, read_at: float) -> None:
        """Remember a value; the one remembered longest makes room."""
        self._entries.pop(key, None)
        while len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (read_at, value)

    def drop(self, key: str) -> None:
        """Forget a value."""
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)


class CachedRegistry:
    """Routes and keys by name; may be used by several threads.

    Ages are counted from the moment a read *began*, by the wall clock: the monotonic one may
    stand still while Lambda freezes the environment between two requests.
    """

    def __init__(
        self,
        source: RegistrySource,
        *,
        clock: Callable[[], float] = time.time,
        ttl: float = TTL,
        negative_ttl: float = NEGATIVE_TTL,
        size: int = SIZE,
    ) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._routes: Recent[Route] = Recent(ttl, negative_ttl, size)
        self._keys: Recent[KeyRecord] = Recent(ttl, negative_ttl, size)

    def cached(
        self, target: str, key_id: str | None
    ) -> tuple[Route | None, KeyRecord | None] | None:
        """Route and key without asking anybody, or None when that is not possible."""
        route, key, missing_route, missing_key = self._known(target, _asked(key_id))
        return None if missing_route or missing_key else (route, key)

    def read(self, target: str, key_id: str | None) -> tuple[Route | None, KeyRecord | None]:
        """Route and key, asking the source once for what is not remembered. Blocks.

        Raises:
            AwsError: the registry cannot be read.
        """
        key_id = _asked(key_id)
        route, key, missing_route, missing_key = self._known(target, key_id)
        if not missing_route and not missing_key:
            return route, key
        began = self._clock()
        read_route, read_key = self._source.read(
            target if missing_route else None, key_id if missing_key else None
        )
        with self._lock:
            if missing_route:
                route = read_route
                self._routes.put(target, route, began)
            if missing_key and key_id:
                key = read_key
                self._keys.put(key_id, key, began)
        return route, key

    def key(self, key_id: str) -> KeyRecord | None:
        """The key of an id, asking the source if it is not remembered. Blocks.

        Raises:
            AwsError: the registry cannot be read.
        """
        if not keys.is_key_id(key_id):
            return None
        began = self._clock()
        with self._lock:
            remembered = self._keys.get(key_id, began)
        if remembered:
            return remembered[0]
        _, key = self._source.read(None, key_id)
        with self._lock:
            self._keys.put(key_id, key, began)
        return key

    def forget(self, target: str) -> None:
        """Read this route anew next time."""
        with self._lock:
            self._routes.drop(target)

    def _known(
        self, target: str, key_id: str | None
    ) -> tuple[Route | None, KeyRecord | None, bool, bool]:
        with self._lock:
            now = self._clock()
            route = self._routes.get(target, now)
            key = self._keys.get(key_id, now) if key_id else (None,)
        # The key of a request to a public or unknown target decides nothing.
        ignored = route is not None and (route[0] is None or route[0].auth == "public")
        return (
            route[0] if route else None,
            key[0] if key and not ignored else None,
            route is None,
            key is None and not ignored,
        )


def _asked(key_id: str | None) -> str | None:
    """The id, if any key can have it: nothing else is worth a read."""
    return key_id if key_id and keys.is_key_id(key_id) else None
