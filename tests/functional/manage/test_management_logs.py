"""Logs by the management API: whose, of what, in pages that fit into an answer."""

from __future__ import annotations

import pytest

from fal_serverless.logs import LogEvent
from tests.fakes import OWNER
from tests.support.managed import Managed, calling

FUNCTION = f"fal-{OWNER}-f-z"


@pytest.fixture
def managed():
    return Managed()


@pytest.fixture
def api(managed):
    with calling(managed) as caller:
        yield caller


def request_lines(request, *said, version="1"):
    return (
        f"START RequestId: {request} Version: {version}",
        f"fal-request mine-{request}",
        *said,
        f"END RequestId: {request}",
        f"REPORT RequestId: {request}",
    )


def test_logs(managed, api):
    managed.serve(1, alias="a")
    managed.serve(2, name="g")
    managed.say(FUNCTION, *request_lines("r1", "hello"))
    managed.say(FUNCTION, *request_lines("r2", "Traceback (most recent call last):"), start=100)
    managed.say(f"fal-{OWNER}-g-z", "from g\n", start=50)

    def messages(**query):
        found = api.get("/v1/logs", params=query).json()
        assert found["next_cursor"] is None
        return [event["message"] for event in found["events"]]

    assert len(messages()) == 11
    assert messages(target="g") == ["from g"]
    assert messages(target="a") == messages(target="f")
    assert len(messages(target="f")) == 10
    assert messages(request="mine-r1")[::-1] == list(request_lines("r1", "hello"))
    assert messages(request="r1") == messages(request="mine-r1")
    assert messages(errors="true") == messages(request="r2")
    assert messages(errors="true", request="r1") == []
    assert messages(since="10m") == []
    assert api.get("/v1/logs?target=b").status_code == 404
    event = api.get("/v1/logs?request=r2&limit=1").json()["events"][0]
    assert (event["message"], event["request"]) == ("REPORT RequestId: r2", "r2")
    found, sizes = api.everything("/v1/logs", "events", limit=3)
    assert ([item["message"] for item in found], sizes) == (messages(), [3, 3, 3, 2])
    found, sizes = api.everything("/v1/logs", "events", limit=2, errors="true")
    assert ([item["message"] for item in found], sizes) == (messages(errors="true"), [2, 2, 1])


def test_logs_of_another_version_of_the_alias(managed, api):
    managed.serve(1)
    managed.serve(2, alias="a")
    managed.say(FUNCTION, "of one")
    managed.say(FUNCTION, "of two", stream="2026/01/01/[2]b")
    events = api.get("/v1/logs?target=a").json()["events"]
    assert [event["message"] for event in events] == ["of two"]


def test_logs_larger_than_an_answer(managed, api):
    managed.serve(1)
    quote = '"' * 190_000
    managed.say(FUNCTION, *(quote for _ in range(20)), "x" * 200_001)
    found, sizes = api.everything("/v1/logs", "events")
    assert [len(item["message"]) for item in found[1:]] == [190_000] * 20
    assert found[0]["message"].endswith("x … (1 characters more)")
    assert len(sizes) > 2


def test_times_of_events_are_as_lambda_wrote_them(managed, api):
    managed.serve(1)
    at = int(managed.clock.now() * 1000) - 5
    managed.logs.events[FUNCTION] = [LogEvent("e", at, "s[1]", "m")]
    (event,) = api.get("/v1/logs").json()["events"]
    assert event == {"time": at, "message": "m", "request": None, "stream": "s[1]"}
