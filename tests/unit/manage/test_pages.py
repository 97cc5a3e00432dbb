"""Lists in pages: nothing twice, nothing left out, whatever comes and goes in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_serverless.logs import LogEvent
from fal_serverless.manage.pages import newest_events, page
from fal_serverless.manage.space import base_of


def names(items, *, limit, cursor=None, descending=False):
    return page(items, str, limit=limit, cursor=cursor, descending=descending)


def every_page(ask, bound=200):
    found, cursor = [], None
    for _ in range(bound):
        shown, cursor = ask(cursor)
        found.append(shown)
        if cursor is None:
            return found
    raise AssertionError("the pages do not end")


@given(st.sets(st.text("ab-1", max_size=4)), st.integers(1, 5), st.booleans())
def test_pages_hold_everything_once(items, limit, descending):
    pages = every_page(
        lambda cursor: names(items, limit=limit, cursor=cursor, descending=descending)
    )
    assert [item for shown in pages for item in shown] == sorted(items, reverse=descending)
    assert all(len(shown) == limit for shown in pages[:-1])
    assert pages == [[]] or all(pages)


def test_what_comes_and_goes_between_two_pages():
    shown, cursor = names(["a", "b", "c", "d"], limit=2)
    assert (shown, cursor) == (["a", "b"], "b")
    assert names(["a", "aa", "c", "d"], limit=2, cursor=cursor) == (["c", "d"], None)
    assert names(["a"], limit=2, cursor="zzz") == ([], None)


def events(*times):
    return [
        LogEvent(str(number), time, "s", f"m{number}") for number, time in enumerate(sorted(times))
    ]


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(1, 6), st.integers(1, 5))
def test_pages_of_events_hold_everything_once(times, limit, room):
    log = events(*times)
    pages = every_page(
        lambda cursor: newest_events(log, lambda _: 1, limit=limit, cursor=cursor, room=room)
    )
    assert [item for shown in pages for item in shown] == log[::-1]
    assert all(len(shown) == min(limit, room) for shown in pages[:-1])


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(1, 6))
def test_a_log_that_grows_between_two_pages(times, limit):
    log = events(*times)
    shown, cursor = newest_events(log, lambda _: 1, limit=limit, cursor=None, room=99)
    later = [*log, LogEvent("new", 6, "s", "new")]
    if cursor:
        more, _ = newest_events(later, lambda _: 1, limit=99, cursor=cursor, room=99)
        assert shown + more == log[::-1]


def test_an_event_larger_than_a_page_is_shown_alone():
    log = events(1, 2, 3)
    sizes = {"m0": 1, "m1": 50, "m2": 1}
    pages = every_page(
        lambda cursor: newest_events(
            log, lambda event: sizes[event.message], limit=9, cursor=cursor, room=10
        )
    )
    assert [[event.message for event in shown] for shown in pages] == [["m2"], ["m1"], ["m0"]]


@pytest.mark.parametrize(
    ("host", "prefix", "base"),
    [
        ("api.gateway.example.com", "", "https://{}.gateway.example.com"),
        ("API.gateway.localhost:8080", "", "https://{}.gateway.localhost:8080"),
        (
            "x.execute-api.eu-west-1.amazonaws.com",
            "/api",
            "https://x.execute-api.eu-west-1.amazonaws.com/{}",
        ),
        ("{0}.{x}", "/api", "https://0.x/{}"),
    ],
)
def test_addresses_of_functions_by_the_way_that_the_caller_came(host, prefix, base):
    assert base_of(host, "https", prefix) == base
    assert base_of(host, "https", prefix).format("1-a")
