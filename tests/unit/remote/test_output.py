"""What calls print: kept, uploaded while they run, and printed here once each."""

from __future__ import annotations

import json
import sys
import threading

import pytest

from fal_serverless.remote.output import Follower, Printer
from fal_serverless.runtime.capture import captured
from fal_serverless.runtime.output import OUTPUT_MAX, Output, shown
from tests.support.objects import objects


def test_the_last_is_kept_and_all_is_printed(capsys):
    output = Output()
    with captured(output.add):
        print("a" * OUTPUT_MAX)
        print("the end", file=sys.stderr)
    told = output.told()
    assert sum(len(text) for _, text in told["output"]) == OUTPUT_MAX
    assert told["output_from"] == len("a\nthe end\n") - 1
    assert output.end == OUTPUT_MAX + len("\nthe end\n")
    assert told["output"][-1] == ["err", "the end\n"]
    assert len(capsys.readouterr().out) == OUTPUT_MAX + 1


def test_output_can_be_seen_while_the_call_runs(capsys):
    output, printer = Output(), Printer()
    with objects() as server, shown(output, f"{server.url}/output", 0.01):
        output.add("out", "one\ntw")
        seen = threading.Event()

        def read(key, mark):
            found = server.objects.get(key)
            seen.set() if found else None
            return (found, str(found)) if found and str(found) != mark else None

        with Follower(read, pause=0.01).following("/output", printer):
            assert seen.wait(10)
        output.add("out", "o\n")
    printer.show(output.told())
    printer.end()
    assert capsys.readouterr().out == "one\ntwo\n"


def test_calls_that_end_soon_upload_nothing_and_ask_for_nothing():
    output, asked = Output(), []
    with (
        objects() as server,
        shown(output, f"{server.url}/output"),
        Follower(lambda key, mark: asked.append(key)).following("k", Printer()),
    ):
        output.add("out", "short\n")
    assert (server.puts, asked) == ([], [])


def told(text, start=0, stream="out"):
    return {"output": [[stream, text]], "output_from": start}


def test_each_line_is_printed_once_and_after_its_label(capsys):
    printer = Printer("f 1")
    assert printer.show(told("one\ntw"))
    assert capsys.readouterr().out == "[f 1] one\n"
    assert not printer.show(told("one\ntw"))
    assert printer.show(told("o\nthree", 6))
    assert capsys.readouterr().out == "[f 1] two\n"
    printer.end()
    printer.end()
    assert capsys.readouterr().out == "[f 1] three\n"


def test_without_a_label_pieces_are_printed_as_they_come(capsys):
    printer = Printer()
    printer.show(told("50%\r"))
    printer.show(told("50%\r100%"))
    printer.end()
    assert capsys.readouterr().out == "50%\r100%"


def test_what_was_lost_between_is_said(capsys):
    printer = Printer()
    printer.show(told("abc"))
    printer.show(told("xyz\n", 1_003))
    printed = capsys.readouterr()
    assert printed.out == "abcxyz\n"
    assert printed.err == "(1,000 characters of output are only in the log)\n"


@pytest.mark.parametrize("cut", range(1, 12))
def test_accounts_that_overlap_in_any_way_print_the_same(capsys, cut):
    whole = [["out", "abc\n"], ["err", "def\n"], ["out", "ghi\n"]]
    printer, left = Printer(), cut
    first = []
    for stream, text in whole:
        first.append([stream, text[:left]])
        left = max(0, left - len(text))
    printer.show({"output": first, "output_from": 0})
    printer.show(json.loads(json.dumps({"output": whole, "output_from": 0})))
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("abc\nghi\n", "def\n")
