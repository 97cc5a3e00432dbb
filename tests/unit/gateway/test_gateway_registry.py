from __future__ import annotations

import threading
from dataclasses import dataclass, field

from fal_serverless import keys
from fal_serverless.gateway.protocols import Route
from fal_serverless.gateway.registry import TTL, CachedRegistry, Recent

ROUTE = Route("fal-1-f-z", "call", "private", "serve", 30, "1", "r")
PUBLIC = Route("fal-1-p-z", "p", "public", "serve", 30, "1", "r")
KEY = keys.KeyRecord("k", keys.hash_secret("s"), "1", "API")


@dataclass
class Source:
    routes: dict[str, Route] = field(default_factory=lambda: {"1-call": ROUTE, "1-p": PUBLIC})
    keys: dict[str, keys.KeyRecord] = field(default_factory=lambda: {"k": KEY})
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)

    def read(
        self, target: str | None, key_id: str | None
    ) -> tuple[Route | None, keys.KeyRecord | None]:
        self.asked.append((target, key_id))
        return self.routes.get(target or ""), self.keys.get(key_id or "")


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def cached() -> tuple[CachedRegistry, Source, Clock]:
    source, clock = Source(), Clock()
    return CachedRegistry(source, clock=clock), source, clock


def test_one_read_when_cold_none_when_warm() -> None:
    registry, source, _ = cached()
    assert registry.cached("1-call", "k") is None
    assert registry.read("1-call", "k") == (ROUTE, KEY)
    assert registry.cached("1-call", "k") == (ROUTE, KEY)
    assert registry.read("1-call", "k") == (ROUTE, KEY)
    assert source.asked == [("1-call", "k")]


def test_only_what_is_missing_is_read() -> None:
    registry, source, _ = cached()
    registry.read("1-call", None)
    assert registry.cached("1-call", None) == (ROUTE, None)
    assert registry.cached("1-call", "k") is None
    assert registry.read("1-call", "k") == (ROUTE, KEY)
    assert source.asked == [("1-call", None), (None, "k")]


def test_a_key_alone() -> None:
    registry, source, clock = cached()
    assert registry.key("k") == KEY
    assert registry.key("k") == KEY
    assert registry.read("1-call", "k") == (ROUTE, KEY)
    assert registry.key("absent") is None
    assert registry.key("no id at all") is None
    assert source.asked == [(None, "k"), ("1-call", None), (None, "absent")]
    source.keys.clear()
    clock.now += TTL
    assert registry.key("k") is None


def test_a_revoked_key_is_noticed_within_five_seconds() -> None:
    registry, source, clock = cached()
    registry.read("1-call", "k")
    del source.keys["k"]
    clock.now += TTL - 0.01
    assert registry.cached("1-call", "k") == (ROUTE, KEY)
    clock.now += 0.01
    assert registry.cached("1-call", "k") is None
    assert registry.read("1-call", "k") == (ROUTE, None)
    assert TTL < 5


def test_ages_are_counted_from_the_beginning_of_a_read() -> None:
    source, clock = Source(), Clock()

    class Slow:
        def read(
            self, target: str | None, key_id: str | None
        ) -> tuple[Route | None, keys.KeyRecord | None]:
            clock.now += 3
            return source.read(target, key_id)

    registry = CachedRegistry(Slow(), clock=clock)
    registry.read("1-call", "k")
    clock.now += TTL - 3
    assert registry.cached("1-call", "k") is None


def test_absence_is_remembered_for_a_shorter_time() -> None:
    registry, source, clock = cached()
    assert registry.read("1-new", "nobody") == (None, None)
    assert registry.cached("1-new", "nobody") == (None, None)
    source.routes["1-new"] = ROUTE
    clock.now += 1
    assert registry.cached("1-new", "nobody") is None
    assert registry.read("1-new", None) == (ROUTE, None)


def test_a_clock_set_back_makes_entries_stale() -> None:
    registry, _, clock = cached()
    registry.read("1-call", "k")
    clock.now -= 3600
    assert registry.cached("1-call", "k") is None


def test_keys_of_public_and_unknown_targets_are_not_asked_for_again() -> None:
    registry, source, _ = cached()
    registry.read("1-p", None)
    assert registry.cached("1-p", "k") == (PUBLIC, None)
    registry.read("1-none", None)
    assert registry.cached("1-none", "k") == (None, None)
    assert len(source.asked) == 2


def test_what_can_be_no_key_id_is_not_looked_up() -> None:
    registry, source, _ = cached()
    assert registry.read("1-call", "x" * 5000) == (ROUTE, None)
    assert registry.cached("1-call", "a b") == (ROUTE, None)
    assert source.asked == [("1-call", None)]


def test_forget() -> None:
    registry, source, _ = cached()
    registry.read("1-call", "k")
    registry.forget("1-call")
    registry.read("1-call", "k")
    assert source.asked == [("1-call", "k"), ("1-call", None)]


def test_sizes_are_bounded() -> None:
    recent: Recent[int] = Recent(10, 10, size=3)
    for number in range(10):
        recent.put(str(number), number, 0)
    assert len(recent) == 3
    assert recent.get("9", 1) == (9,)
    assert recent.get("6", 1) is None


def test_threads_may_share_it() -> None:
    source = Source()
    registry = CachedRegistry(source, size=2)
    wrong: list[object] = []

    def work(name: str) -> None:
        for _ in range(300):
            found = registry.read(name, "k")
            if found[1] is not KEY and found[0] is not None and found[0].auth == "private":
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(f"1-{n}",)) for n in ("call", "p", "x", "y")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
