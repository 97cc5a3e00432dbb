"""What functions did and what it costs: from the log, from metrics, and by which prices."""

from __future__ import annotations

import json

import pytest

from fal_serverless.errors import AwsError, UsageError
from fal_serverless.logs import LogEvent
from fal_serverless.usage import collect, log, metrics, model, prices
from fal_serverless.usage.metrics import Place, Question, Told
from fal_serverless.usage.model import Version, Window
from fal_serverless.usage.prices import Work

NOW = 1_800_000_000
WINDOW = Window(NOW - 2400, NOW, 100)
VERSIONS = {
    ("fal-f", "3"): Version(memory=1024, architecture="x86_64", storage=512, revision="rev-3"),
    ("fal-f", "4"): Version(memory=2048, architecture="arm64", storage=1536, revision="rev-4"),
}
PRICES = prices.Prices(
    request=2e-7,
    storage=3e-8,
    duration={"x86_64": 1e-5, "arm64": 8e-6},
    provisioned={"x86_64": 4e-6, "arm64": None},
    provisioned_duration={"x86_64": 9e-6, "arm64": None},
)


def events(*lines, stream="2026/11/24/[3]a", at=NOW - 50):
    return [LogEvent(f"{n}", int(at * 1000) + n, stream, text) for n, text in enumerate(lines)]


def a_run(*inside, number="r1", report="Duration: 12.30 ms\tBilled Duration: 13 ms", **more):
    return events(
        f"START RequestId: {number} Version: 3\n",
        *inside,
        f"END RequestId: {number}\n",
        f"REPORT RequestId: {number}\t{report}\tMemory Size: 1024 MB\tMax Memory Used: 80 MB\t\n",
        **more,
    )


def test_a_run_as_lambda_writes_it():
    cold = "Duration: 100.50 ms\tBilled Duration: 601 ms\tInit Duration: 500.12 ms"
    (run,) = log.runs("fal-f", a_run("fal-request id-1 web (first)\n", "hi\n", report=cold))
    assert (run.label, run.version, run.cold, run.failed) == ("web", "3", True, False)
    assert (run.duration, run.billed, run.memory) == (100.5, 601, 1024)
    (run,) = log.runs("fal-f", a_run("fal-request id-1 web\n"))
    assert (run.duration, run.billed, run.cold) == (12.3, 13, False)


def test_runs_that_a_function_prints_are_none():
    figures = "Duration: 9.00 ms\tBilled Duration: 9 ms\tMemory Size: 512 MB\tMax Memory Used: 9 MB"
    printed = (
        "START RequestId: other Version: 3\n",
        "fal-request id-9 else (first)\n",
        "END RequestId: other\n",
        f"REPORT RequestId: other\t{figures}\n",
    )
    told = [*a_run("fal-request id-1 web\n", *printed), *a_run(*printed, number="r2", at=NOW - 40)]
    found = log.runs("fal-f", told)
    assert [(run.label, run.duration, run.cold) for run in found] == [
        ("web", 12.3, False),
        ("else", 12.3, True),
    ]


@pytest.mark.parametrize("figure", ["1.2.3", ".", "9" * 400, "1e309", "-5", "nan"])
def test_a_line_like_lambdas_that_says_no_number_is_none(figure):
    printed = f"REPORT RequestId: r0\tDuration: {figure} ms\tBilled Duration: {figure} ms\n"
    (run,) = log.runs("fal-f", a_run("fal-request id-1 web\n", printed))
    assert (run.label, run.duration, run.billed) == ("web", 12.3, 13)


@pytest.mark.parametrize(
    "line",
    [
        "fal-failed 500 web\n",
        "2026-11-24T00:00:00Z r1 Task timed out after 3.00 seconds\n",
        "RequestId: r1 Error: Runtime exited with error: exit status 3\n",
        "[ERROR] BundleError: no\n",
        "Worker process died",
    ],
)
def test_what_counts_as_an_error(line):
    (run,) = log.runs("fal-f", a_run("fal-request id-1 web\n", line))
    assert run.failed


def test_lambdas_own_status_and_tracebacks():
    status = "Duration: 3000 ms\tBilled Duration: 3000 ms\tStatus: timeout"
    assert log.runs("fal-f", a_run("fal-request i web\n", report=status))[0].failed
    # The function may print what it likes, also a traceback that it has dealt with.
    printed = ("fal-request i web\n", "Traceback (most recent call last):\n", "KeyError: 1\n")
    assert not log.runs("fal-f", a_run(*printed))[0].failed
    assert log.runs("fal-f", a_run("Traceback (most recent call last):\n"))[0].failed


def test_who_was_asked_for_is_what_the_runtime_says_first():
    (run,) = log.runs("fal-f", a_run("fal-request i web\n", "fal-request i other (first)\n"))
    assert (run.label, run.cold) == ("web", False)
    # An alias may be called "first", and a request may have no name at all.
    assert log.runs("fal-f", a_run("fal-request i first\n"))[0].label == "first"
    assert log.runs("fal-f", a_run("fal-request i\n"))[0].label == ""


def test_what_has_not_ended_is_no_run():
    assert log.runs("fal-f", a_run("fal-request i web\n")[:2]) == []
    assert log.runs("fal-f", ()) == []


def test_rows_from_the_log():
    found = []
    for n in range(100):
        report = f"Duration: {n + 1}.00 ms\tBilled Duration: {n + 1} ms"
        lines = ["fal-request i web\n", *(["fal-failed 500 web\n"] if n < 3 else [])]
        found += log.runs("fal-f", a_run(*lines, report=report, at=NOW - 2300 + n))
    found += log.runs("fal-f", a_run("fal-request i\n"))
    found += log.runs("fal-f", a_run("fal-request i web\n", at=NOW - 99_999))
    found += log.runs("fal-f", a_run("no\n", stream="2026/11/24/[9]a"))
    rows = {row.label: row for row in log.rows(found, VERSIONS, WINDOW, PRICES, always=["idle"])}
    assert set(rows) == {"web", "idle", "rev-3", "fal-f:9"}
    web = rows["web"]
    assert (web.requests, web.errors, web.cold_starts, web.throttled) == (100, 3, 0, None)
    assert (web.p50, web.p95, web.p99) == (50, 95, 99)
    assert web.gb_seconds == pytest.approx(5.05)
    assert web.cost == pytest.approx(100 * 2e-7 + 5.05 * 1e-5)
    assert web.over_time == (0, 100, *[0] * 22)
    assert (rows["idle"].requests, rows["idle"].cost, rows["idle"].p50) == (0, 0, None)
    # A version that is gone has no architecture, and so no price.
    assert (rows["fal-f:9"].requests, rows["fal-f:9"].cost) == (1, None)
    assert log.rows(found, VERSIONS, WINDOW, None)[0].cost is None


def test_the_most_at_a_time():
    def at(ended, seconds):
        report = f"Duration: {seconds * 1000} ms\tBilled Duration: 1 ms"
        return log.runs("fal-f", a_run("x\n", report=report, at=ended))

    assert log.peak([*at(NOW, 10), *at(NOW - 9, 10), *at(NOW - 5, 1), *at(NOW - 20, 3)]) == 2
    assert log.peak([]) == 0


TOLD = Told({"3": 6000.0, "4": 500.0}, {"web": 2, "other": 1}, {"web": 4})
PLACES = [
    Place("web", "fal-f", "web"),
    Place("other", "fal-f", "other"),
    Place("rev-3", "fal-f", "3"),
]


def test_questions_are_about_names_and_what_ran_for_them():
    asked = metrics.questions(PLACES, {"fal-f": TOLD})
    assert len(asked) == len(set(asked)) == 3 * 6 + 2 + 2 + 1
    assert Question("fal-f", "web", "Duration", "Sum", executed="4") in asked
    assert Question("fal-f", "3", "Duration", "Sum") in asked
    assert metrics.questions(PLACES, {}) == [
        q for q in asked if (q.metric, q.stat) != ("Duration", "Sum")
    ]


def test_rows_from_metrics():
    answers = {
        Question("fal-f", "web", "Invocations", "Sum"): ((NOW - 2400, 30.0), (NOW - 100, 10.0)),
        Question("fal-f", "web", "Errors", "Sum"): ((NOW - 100, 1.0),),
        Question("fal-f", "web", "Throttles", "Sum"): ((NOW - 100, 7.0),),
        Question("fal-f", "web", "Duration", "p50", whole=True): ((NOW - 2400, 11.0),),
        Question("fal-f", "web", "Duration", "p95", whole=True): ((NOW, 20.0), (NOW - 9, 30.0)),
        Question("fal-f", "web", "Duration", "Sum", executed="3"): ((NOW, 3000.0),),
        Question("fal-f", "web", "Duration", "Sum", executed="4"): ((NOW, 400.0),),
        Question("fal-f", "3", "Invocations", "Sum"): ((NOW, 10.0),),
        Question("fal-f", "3", "Duration", "Sum"): ((NOW, 1000.0),),
    }
    web, other, third = metrics.rows(PLACES, answers, {"fal-f": TOLD}, VERSIONS, WINDOW, PRICES)
    assert (web.requests, web.errors, web.throttled, web.cold_starts) == (40, 1 + 4, 7, 2)
    assert web.over_time == (30, *[0] * 22, 10)
    assert (web.p50, web.p95, web.p99) == (11, 30, None)
    # Version 3 is shared three to one, version 4 is the alias's alone: 4.5 s of 1 GB, 0.5 of 2 GB.
    assert web.gb_seconds == pytest.approx(4.5 + 1)
    assert web.marks == {"p95": "≤", "gb_seconds": "~"}
    duration = 4.5 * 1e-5 + 1 * 8e-6
    assert web.cost == pytest.approx(40 * 2e-7 + duration + 0.5 * 3e-8)
    assert (other.requests, other.gb_seconds, other.cost, other.p50) == (0, 0, 0, None)
    assert third.gb_seconds == pytest.approx(1.5)


def test_what_metrics_do_not_say_is_unknown():
    asked = Question("fal-f", "web", "Invocations", "Sum")
    (row,) = metrics.rows(PLACES[:1], {asked: ((NOW, 5.0),)}, {}, VERSIONS, WINDOW, PRICES)
    assert (row.requests, row.gb_seconds, row.cost) == (5, None, None)
    spent = {asked: ((NOW, 5.0),), Question("fal-f", "web", "Duration", "Sum", "9"): ((NOW, 9.0),)}
    gone = {"fal-f": Told({"9": 10.0}, {}, {})}
    (row,) = metrics.rows(PLACES[:1], spent, gone, VERSIONS, WINDOW, PRICES)
    assert (row.gb_seconds, row.cost) == (None, None)


def test_what_insights_counted():
    found = metrics.told(
        [
            {"version": "3", "lines": "10", "billed": "1250.5", "first": "0"},
            {"version": "3", "kind": "request", "label": "web", "lines": "9", "first": "2"},
            {"version": "4", "kind": "request", "label": "web", "lines": "1", "first": "1"},
            {"version": "3", "kind": "failed", "label": "web", "lines": "4", "first": "0"},
            {"version": "4", "lines": "1"},
        ]
    )
    assert found == Told({"3": 1250.5, "4": 0.0}, {"web": 3}, {"web": 4})


def test_emulators_that_do_not_count_are_an_error():
    with pytest.raises(AwsError) as wrong:
        metrics.told([{"@timestamp": "now", "@message": "REPORT"}])
    assert "--source log" in wrong.value.hint


def test_provisioned_concurrency_costs_also_when_nobody_asks():
    kept = Work(
        requests=0,
        seconds=0,
        memory=1024,
        architecture="x86_64",
        kept_seconds=2 * 2400,
        under_provisioned=True,
    )
    found = log.runs(
        "fal-f", a_run("fal-request i web\n", report="Duration: 9 ms\tBilled Duration: 1000 ms")
    )
    (row,) = log.rows(found, VERSIONS, WINDOW, PRICES, always=["web"], kept={"web": kept})
    assert row.cost == pytest.approx(2e-7 + 9e-6 + 4800 * 4e-6)
    assert (
        prices.cost(
            Work(requests=0, seconds=0, memory=1024, architecture="arm64", kept_seconds=1), PRICES
        )
        is None
    )


def test_storage_above_half_a_gigabyte_is_paid_for():
    base = Work(requests=1, seconds=10, memory=1024, architecture="x86_64")
    more = Work(requests=1, seconds=10, memory=1024, architecture="x86_64", storage=1536)
    assert prices.cost(base, PRICES) == pytest.approx(2e-7 + 1e-4)
    assert prices.cost(more, PRICES) - prices.cost(base, PRICES) == pytest.approx(10 * 3e-8)


def test_shipped_prices():
    found, as_of = prices.load("us-east-1")
    assert as_of == "2024-09"
    # A million requests of 100 ms with 1,769 MB, as Lambda's pricing page counts them.
    work = Work(requests=1e6, seconds=1e5, memory=1769, architecture="x86_64")
    assert prices.cost(work, found) == pytest.approx(0.2 + 172_753.90625 * 0.0000166667)
    shipped = json.loads(prices.SHIPPED.read_text(encoding="utf-8"))["regions"]
    assert len(shipped) == 24
    for region in shipped:
        known, _ = prices.load(region)
        assert known.duration["arm64"] < known.duration["x86_64"] < 3e-5
        assert known.provisioned["x86_64"] < known.provisioned_duration["x86_64"]


def test_prices_of_ones_own(tmp_path):
    with pytest.raises(UsageError) as unknown:
        prices.load("mx-central-1")
    assert "--prices" in unknown.value.hint
    assert "FAL_PRICES" in unknown.value.hint
    mine = tmp_path / "prices.json"
    row = {"request": 1e-7, "x86_64": {"duration": 1e-5}}
    mine.write_text(json.dumps({"as_of": "today", "regions": {"mx-central-1": row}}))
    found, as_of = prices.load("mx-central-1", mine)
    assert (found.request, found.duration, as_of) == (
        1e-7,
        {"x86_64": 1e-5, "arm64": None},
        "today",
    )
    assert prices.load("us-east-1", mine)[1] == "2024-09"
    arm = Work(requests=1, seconds=1, memory=128, architecture="arm64")
    assert prices.cost(arm, found) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting"),
        ("[]", "regions"),
        ('{"regions": {"r": 1}}', "no object"),
        ('{"regions": {"r": {}}}', "request"),
        ('{"regions": {"r": {"request": "1"}}}', "not a price"),
        ('{"regions": {"r": {"request": 0.2, "x86_64": {"duration": -1}}}}', "'duration' is -1"),
        ('{"regions": {"r": {"request": 0.2, "arm64": []}}}', "arm64"),
    ],
)
def test_prices_that_cannot_be_read(tmp_path, text, reason):
    mine = tmp_path / "prices.json"
    mine.write_text(text)
    with pytest.raises(UsageError) as wrong:
        prices.load("r", mine)
    assert reason in wrong.value.reason
    with pytest.raises(UsageError, match=r"missing\.json"):
        prices.load("r", tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("days", "step"), [(0.01, 60), (7, 60), (15, 60), (16, 300), (63, 300), (64, 3600), (455, 3600)]
)
def test_windows_have_the_periods_that_cloudwatch_keeps(days, step):
    found = model.window(NOW - days * 86_400, NOW + 0.5)
    assert found.period % step == found.start % step == 0
    assert found.start <= NOW - days * 86_400 < found.start + step
    assert found.bins <= model.BINS
    assert found.start + found.bins * found.period >= found.end
    assert len(found.spread([(NOW, 1)])) == found.bins


def test_percentiles_are_values_that_were_there():
    assert model.percentile([], 50) is None
    assert [model.percentile([7.0], p) for p in (1, 50, 99)] == [7, 7, 7]
    assert [model.percentile([1, 2, 3, 4], p) for p in (50, 75, 76)] == [2, 3, 4]


def test_bars():
    assert model.bars((0, 0)) == ""
    assert model.bars((0, 1, 4, 8)) == " ▁▄█"
    assert model.bars((1000, 1)) == "█▁"


def test_sources():
    assert collect.check_source("", local=True) == "log"
    assert collect.check_source("", local=False) == "metrics"
    assert collect.check_source("log", local=False) == "log"
    with pytest.raises(UsageError) as wrong:
        collect.check_source("metric", local=False)
    assert "'metrics'" in wrong.value.hint
