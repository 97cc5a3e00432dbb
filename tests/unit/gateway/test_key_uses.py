"""Counting the requests of keys: nothing is written for each, and nothing written twice."""

from __future__ import annotations

import threading

from fal_serverless.gateway.uses import WRITES_MAX, Background, KeyUses, Use

DAY = 20_000 * 86_400
NAMED = "2024-10-04"


class Written(list):
    def __init__(self) -> None:
        self.fails = False

    def __call__(self, use: Use) -> None:
        if self.fails:
            raise OSError("DynamoDB is away")
        self.append(use)


class Clock:
    time = float(DAY)

    def __call__(self) -> float:
        return self.time


def test_the_first_request_is_written_at_once_and_then_once_a_minute():
    written, clock = Written(), Clock()
    uses = KeyUses(written, now=clock)
    assert uses.count("k", 200)
    uses.flush()
    assert written == [Use("k", NAMED, 1, 0, DAY)]
    for seconds in (1, 30, 59):
        clock.time = DAY + seconds
        assert not uses.count("k", 500 if seconds == 30 else 422)
    clock.time = DAY + 60
    assert uses.count("other", 200)
    uses.flush()
    assert written[1:] == [Use("k", NAMED, 3, 1, DAY + 59), Use("other", NAMED, 1, 0, DAY + 60)]
    uses.flush()
    assert len(written) == 3


def test_days_are_apart():
    written, clock = Written(), Clock()
    clock.time = DAY + 86_399.5
    uses = KeyUses(written, now=clock)
    uses.count("k", 200)
    clock.time = DAY + 86_400
    uses.count("k", 200)
    uses.flush()
    assert [(use.day, use.requests) for use in written] == [(NAMED, 1), ("2024-10-05", 1)]


def test_what_cannot_be_written_is_kept_and_told(caplog):
    written, clock = Written(), Clock()
    uses = KeyUses(written, now=clock)
    written.fails = True
    uses.count("a", 200)
    uses.count("b", 200)
    uses.flush()
    uses.count("a", 503)
    assert "the use of 2 keys is not written yet: DynamoDB is away" in caplog.text
    written.fails = False
    uses.flush()
    assert sorted(written, key=lambda use: use.key_id) == [
        Use("a", NAMED, 2, 1, DAY),
        Use("b", NAMED, 1, 0, DAY),
    ]


def test_a_request_waits_for_some_writes_only_and_the_next_one_for_more():
    written, clock = Written(), Clock()
    uses = KeyUses(written, now=clock)
    for number in range(WRITES_MAX + 2):
        uses.count(f"k{number}", 200)
    uses.flush()
    assert len(written) == WRITES_MAX
    assert uses.count("k0", 200)
    uses.flush()
    assert len(written) == WRITES_MAX + 3
    assert not uses.count("k0", 200)


def test_a_request_does_not_wait_for_a_slow_table():
    clock = Clock()
    written: list[str] = []

    def write(use: Use) -> None:
        written.append(use.key_id)
        clock.time += 0.6

    uses = KeyUses(write, now=clock)
    for name in "abcd":
        uses.count(name, 200)
    uses.flush()
    assert written == ["a", "b"]
    assert uses.count("a", 200)
    uses.flush(everything=True)
    assert sorted(written[2:]) == ["a", "c", "d"]


def test_the_background_writes_the_rest_when_it_ends():
    told = threading.Event()
    written: list[Use] = []

    def write(use: Use) -> None:
        written.append(use)
        told.set()

    uses = KeyUses(write, now=Clock())
    background = Background(uses, 0.01)
    uses.count("k", 200)
    assert told.wait(30)
    background.stop()
    quiet = Background(uses, 3600)
    uses.count("late", 200)
    quiet.stop()
    assert [use.key_id for use in written] == ["k", "late"]


def test_counts_of_many_threads_add_up():
    written = Written()
    uses = KeyUses(written, now=Clock())

    def work() -> None:
        for _ in range(500):
            if uses.count("k", 200):
                uses.flush()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    uses.flush()
    assert sum(use.requests for use in written) == 2000
