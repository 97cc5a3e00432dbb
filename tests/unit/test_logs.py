"""Reading Lambda's log: which lines belong to which request, and which requests failed."""

from __future__ import annotations

import pytest

from fal_serverless import logs
from fal_serverless.errors import UsageError
from fal_serverless.logs import LogEvent, choose

LINES = (
    ("a", "INIT_START Runtime Version: python:3.12"),
    ("a", "START RequestId: r1 Version: 3"),
    ("b", "START RequestId: r2 Version: 3"),
    ("a", "fal-request mine"),
    ("b", "hello from two"),
    ("a", "hello from one"),
    ("b", "Traceback (most recent call last):"),
    ("b", "END RequestId: r2"),
    ("a", "END RequestId: r1"),
    ("b", "REPORT RequestId: r2 Duration: 1 ms"),
    ("a", "REPORT RequestId: r1 Duration: 1 ms"),
    ("a", "between two requests"),
)
EVENTS = [
    LogEvent(str(number), 1000 + number, f"2026/11/24/[3]{stream}", message)
    for number, (stream, message) in enumerate(LINES)
]


def test_lines_belong_to_the_request_of_their_own_stream():
    found = list(logs.attributed(EVENTS))
    requests = [event.request for event in found]
    assert requests == ["", *["r1", "r2", "r1", "r2", "r1", "r2", "r2", "r1", "r2", "r1"], ""]


def test_what_a_function_prints_is_its_own_even_if_it_looks_like_lambdas():
    lines = [
        "REPORT RequestId: r0 Duration: 5 ms",
        "START RequestId: r1 Version: 3",
        "START RequestId: other Version: 9",
        "said by another",
        "END RequestId: other",
        "REPORT RequestId: other Duration: 1 ms",
        "END RequestId: r1",
        "REPORT RequestId: r1 Duration: 2 ms",
        "START RequestId: r2 Version: 3",
        "REPORT RequestId: r1 Duration: 3 ms",
        "END RequestId: r2",
        "REPORT RequestId: r2 Duration: 3 ms",
        "between two requests",
        # It died, and nobody wrote down that it ended.
        "START RequestId: r3 Version: 3",
        "START RequestId: r4 Version: 3",
        "END RequestId: r4",
    ]
    events = [LogEvent(str(n), n, "s", line) for n, line in enumerate(lines)]
    found = [event.request for event in logs.attributed(events)]
    assert found == ["r0", *["r1"] * 7, *["r2"] * 4, "", "r3", "r4", "r4"]


def test_one_request_by_either_id():
    found = list(logs.attributed(EVENTS))
    by_lambda = choose(found, request="r1", errors=False)
    assert [event.message for event in by_lambda][1:3] == ["fal-request mine", "hello from one"]
    assert choose(found, request="mine", errors=False) == by_lambda
    assert choose(found, request="another", errors=False) == []
    assert choose(found, request="min", errors=False) == []


def test_errors_are_whole_requests():
    found = choose(list(logs.attributed(EVENTS)), request="", errors=True)
    assert {event.request for event in found} == {"r2"}
    assert "hello from two" in [event.message for event in found]


def test_errors_of_init_are_found():
    failed = LogEvent("x", 1, "s", "ModuleNotFoundError: No module named 'numpy'")
    assert choose([failed], request="", errors=True) == [failed]


def test_an_id_that_begins_like_another_is_another():
    elder = [
        LogEvent("1", 1, "s", "fal-request mine-10\n", "r1"),
        LogEvent("2", 2, "s", "fal-request mine-1\n", "r2"),
    ]
    assert [event.id for event in choose(elder, request="mine-1", errors=False)] == ["2"]


def test_an_init_that_failed_is_not_that_of_another_environment():
    events = [
        LogEvent("1", 1, "well", "INIT_START"),
        LogEvent("2", 2, "ill", "INIT_START"),
        LogEvent("3", 3, "ill", "ValueError: no model"),
        LogEvent("4", 4, "ill", "a line of a request", "r1"),
    ]
    assert [event.id for event in choose(events, request="", errors=True)] == ["2", "3"]


def test_shown_and_versions():
    assert logs.shown(LogEvent("1", 86_400_007, "s", "hi\n")) == "1970-01-02 00:00:00.007 hi"
    assert logs.stream_version("2026/11/24/[17]abc") == "17"
    assert logs.stream_version("plain") == ""


def test_events_of_several_functions_come_in_order():
    found = logs.collect(read, {"g": "", "f": "3"}, 7)
    assert [event.time for event in found] == [999, *range(1000, 1012)]
    assert found[1].request == ""
    assert found[2].request == "r1"
    assert logs.collect(read, {"g": "3"}, 7) == []


def read(function, start):
    assert start == 7
    return EVENTS if function == "f" else [LogEvent("x", 999, "2026/11/24/[4]c", "elder")]


def test_how_long_ago():
    assert logs.beginning("1h", 7200.5) == 3_600_500
    assert logs.beginning("99y", 7200.0) == 0
    with pytest.raises(UsageError, match="not a duration"):
        logs.beginning("0m", 0)


@pytest.mark.parametrize(
    "said", ["Runtime exited with error: exit status 3", "Worker process died", "fal-failed 502 a"]
)
def test_a_death_is_an_error_on_lambda_and_on_the_emulator(said):
    begun, died = LogEvent("1", 1, "s", "fal-request a", "r1"), LogEvent("2", 2, "s", said, "r1")
    well = LogEvent("3", 3, "s", "fal-request b", "r2")
    assert choose([begun, died, well], request="", errors=True) == [begun, died]
