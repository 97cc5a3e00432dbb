"""Where usage gets its figures: the same rows from metrics and from the log."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fal_serverless.publish.state import Alias, LiveFunction
from fal_serverless.usage import collect
from fal_serverless.usage.metrics import QUERY, Question
from fal_serverless.usage.model import Window
from fal_serverless.usage.prices import Prices
from tests.fakes import OWNER, FakeRegistry, Fuse, a_revision
from tests.unit.test_usage import a_run

NOW = 1_800_000_000
WINDOW = Window(NOW - 2400, NOW, 100)
PRICES = Prices(
    request=2e-7,
    storage=None,
    duration={"x86_64": 1e-5},
    provisioned={"x86_64": 4e-6},
    provisioned_duration={"x86_64": 9e-6},
)


@dataclass
class World:
    """A user with a function of two revisions, and an alias at the first."""

    kept: int = 0
    answers: dict = field(default_factory=dict)
    counted: list = field(default_factory=list)
    events: list = field(default_factory=list)
    asked: list = field(default_factory=list)

    def sources(self):
        registry = FakeRegistry(Fuse())
        for name, version in (("rev-a", "3"), ("rev-b", "4")):
            revision = a_revision(name, version)
            registry.kept[OWNER, revision.id] = revision
        registry.alias_records[OWNER, "web"] = Alias(
            name="web",
            owner=OWNER,
            revision="rev-a",
            function="fal-f",
            auth="public",
            moved_at="now",
            min_concurrency=self.kept,
        )
        return collect.Sources(
            registry=registry, functions=self, logs=self, metrics=self, insights=self
        )

    def get(self, what, window=None):
        if isinstance(what, str):
            return LiveFunction(name=what, code_sha256="", token="", reserved=5)
        self.asked += list(what)
        return {question: self.answers.get(question, ()) for question in self.asked}

    def sizes(self, function):
        return {"3": (1024, "x86_64", 512), "4": (1024, "x86_64", 512)}

    def provisioned(self, function, qualifier):
        return (1, 2)

    def since(self, function, start):
        assert start == WINDOW.start * 1000
        return tuple(self.events)

    def ask(self, functions, query, start, end):
        assert (query, start, end) == (QUERY, WINDOW.start, WINDOW.end)
        return dict.fromkeys(functions, self.counted)


def test_rows_from_the_log_and_from_metrics_agree():
    world = World()
    for number in range(4):
        lines = [f"fal-request {number} web{' (first)' if not number else ''}\n"]
        lines += ["fal-failed 500 web\n"] if number == 3 else []
        world.events += a_run(*lines, number=f"r{number}", at=NOW - 50 + number)
    world.events += a_run("fal-request 9 rev-a\n", number="r9", at=NOW - 40)
    world.counted = [
        {"version": "3", "lines": "5", "billed": "65"},
        {"version": "3", "kind": "request", "label": "web", "lines": "4", "first": "1"},
        {"version": "3", "kind": "request", "label": "rev-a", "lines": "1", "first": "0"},
        {"version": "3", "kind": "failed", "label": "web", "lines": "1", "first": "0"},
    ]
    for name, count, spent in (("web", 4.0, 49.2), ("3", 1.0, 12.3)):
        executed = "3" if name == "web" else ""
        world.answers |= {
            Question("fal-f", name, "Invocations", "Sum"): ((NOW - 50, count),),
            Question("fal-f", name, "Duration", "Sum", executed): ((NOW - 50, spent),),
        }
        for stat in ("p50", "p95", "p99"):
            whole = Question("fal-f", name, "Duration", stat, whole=True)
            world.answers[whole] = ((WINDOW.start, 12.3),)
    sources = world.sources()
    by_log = collect.usage(sources, OWNER, WINDOW, PRICES, "log")
    by_metrics = collect.usage(sources, OWNER, WINDOW, PRICES, "metrics")
    assert {row.label for row in by_log} == {row.label for row in by_metrics} == {"web", "rev-a"}
    for one in by_log:
        other = next(row for row in by_metrics if row.label == one.label)
        for name in ("requests", "errors", "cold_starts", "p50", "p95", "p99", "over_time"):
            assert getattr(one, name) == getattr(other, name), name
        assert one.gb_seconds == pytest.approx(other.gb_seconds)
        assert one.cost == pytest.approx(other.cost)
        # Only the log knows whose time it was.
        assert (dict(one.marks), dict(other.marks)) == ({}, {"gb_seconds": "~"})
    # No question is paid for about a revision that did not run.
    assert not {question for question in world.asked if question.qualifier == "4"}


def test_nothing_at_all():
    sources = World().sources()
    for source in collect.SOURCES:
        (row,) = collect.usage(sources, OWNER, WINDOW, PRICES, source)
        assert (row.label, row.requests, row.errors, row.cost) == ("web", 0, 0, 0)
        assert collect.usage(sources, "nobody", WINDOW, PRICES, source) == []
        assert collect.workers(sources, "nobody", WINDOW, source) == []


def test_provisioned_concurrency_is_in_the_cost_of_its_alias():
    sources = World(kept=2).sources()
    for source in collect.SOURCES:
        (row,) = collect.usage(sources, OWNER, WINDOW, PRICES, source)
        assert row.cost == pytest.approx(2 * 2400 * 4e-6)


def test_workers_from_both_sources():
    world = World(kept=2)
    world.events = [
        *a_run("fal-request 1 web (first)\n", number="r1", at=NOW - 50),
        *a_run("fal-request 2 web\n", number="r2", at=NOW - 9_000),
    ]
    world.counted = [
        {"version": "3", "kind": "request", "label": "web", "lines": "1", "first": "1"}
    ]
    most = Question("fal-f", "", "ConcurrentExecutions", "Maximum")
    world.answers = {most: ((NOW - 99, 1.0), (NOW - 50, 1.0))}
    for source in collect.SOURCES:
        (worker,) = collect.workers(world.sources(), OWNER, WINDOW, source)
        assert (worker.name, worker.function, worker.peak) == ("f", "fal-f", 1)
        assert (worker.reserved, worker.cold_starts) == (5, 1)
        assert worker.provisioned == {"web": (1, 2)}
    world.answers = {}
    assert collect.workers(world.sources(), OWNER, WINDOW, "metrics")[0].peak is None
