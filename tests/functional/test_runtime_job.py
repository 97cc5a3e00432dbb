"""Requests from the queue inside the runtime: bodies beside the event, lines while it runs."""

from __future__ import annotations

import json
import sys
import time

import pytest

from fal_serverless.runtime import job
from tests.support.objects import objects


def lines(server):
    return [[line["level"], line["message"]] for line in json.loads(server.objects["/logs"])]


def test_what_is_printed_can_be_seen_while_it_runs():
    with objects() as server:
        journal = job.Journal(f"{server.url}/logs", 0.02)
        with journal.uploading():
            journal.add("STDOUT", "one\ntw")
            deadline = time.monotonic() + 10
            while not server.puts and time.monotonic() < deadline:
                time.sleep(0.01)
            assert lines(server) == [["STDOUT", "one"]]
            journal.add("STDERR", "bad\n")
            journal.add("STDOUT", "o")
        assert lines(server) == [["STDOUT", "one"], ["STDERR", "bad"], ["STDOUT", "two"]]


def test_both_streams_are_printed_and_shown_in_order(capsys):
    with objects() as server:
        with job.shown(f"{server.url}/logs?signed=1"):
            print("a")
            print("b", file=sys.stderr)
        print("after")
        assert json.loads(server.objects["/logs"])[0]["source"] == "USER"
        texts = [line["message"] for line in json.loads(server.objects["/logs"])]
    assert texts == ["a", "b"]
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("a\nafter\n", "b\n")


def test_nothing_printed_is_nothing_uploaded():
    with objects() as server:
        with job.shown(f"{server.url}/logs"):
            pass
        assert server.puts == []


def test_the_last_lines_are_kept_and_long_ones_are_cut():
    journal = job.Journal("http://127.0.0.1:9/")
    for number in range(job.LINES_MAX + 5):
        journal.add("STDOUT", f"{number}\n")
    journal.add("STDOUT", "x" * (2 * job.LINE_MAX + 1) + "\n")
    shown = journal.lines()
    assert "earlier lines" in shown[0]["message"]
    assert len(shown) == job.LINES_MAX + 1
    assert max(len(line["message"]) for line in shown) == job.LINE_MAX
    assert shown[-1]["message"] == "x" * job.LINE_MAX
    for _ in range(job.SIZE_MAX // job.LINE_MAX + 5):
        journal.add("STDOUT", "y" * job.LINE_MAX + "\n")
    shown = journal.lines()
    assert sum(len(line["message"]) for line in shown[1:]) <= job.SIZE_MAX
    assert shown[-1]["message"] == "y" * job.LINE_MAX


def test_a_log_that_cannot_be_uploaded_fails_nothing():
    with objects(status=403) as server, job.shown(f"{server.url}/logs"):
        print("a")


def test_bodies_that_cannot_be_had_fail():
    with objects() as server:
        with pytest.raises(OSError, match="404"):
            job.fetch({"body": f"{server.url}/body"})
        server.objects["/body"] = b"\xff\x00"
        assert job.fetch({"body": f"{server.url}/body"}) == b"\xff\x00"
    assert job.fetch({}) is None
