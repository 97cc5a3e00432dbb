"""Load on a server of this machine: the same request over and over, on connections kept open.

A process of its own, bounded in number and time. ``python -m tests.benchmarks.load PORT
CONNECTIONS REQUESTS < RAW_REQUEST`` prints requests a second, milliseconds of each request in
order, and how many did not get a 200.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

LIMIT_S = 120


@dataclass(frozen=True)
class Loaded:
    """What came of it; latencies in milliseconds."""

    rate: float
    latencies: list[float]
    failed: int

    def percentile(self, part: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)]

    @property
    def median(self) -> float:
        return statistics.median(self.latencies)


class Caller(asyncio.Protocol):
    """One connection: the next request goes out when an answer is whole."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._got = bytearray()

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if self._work.left <= 0:
            self._transport.close()
            return
        self._work.left -= 1
        self._sent = time.perf_counter()
        self._transport.write(self._work.request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._got[:end]).lower()
        size = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(self._got) < end + 4 + size:
            return
        self._got.clear()
        self._work.done(head.startswith(b"http/1.1 200"), time.perf_counter() - self._sent)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._work.lost(self._got)


class Work:
    """Requests left, and what came of those that are done."""

    def __init__(self, request: bytes, connections: int, count: int) -> None:
        self.request = request
        self.left = count
        self.count = count
        self.latencies: list[float] = []
        self.good = 0
        self.open = connections
        self.over = asyncio.Event()

    def done(self, good: bool, seconds: float) -> None:
        self.good += good
        self.latencies.append(seconds * 1e3)

    def lost(self, got: bytearray) -> None:
        self.open -= 1
        if not self.open:
            self.over.set()


async def run(port: int, connections: int, count: int, request: bytes) -> None:
    work = Work(request, connections, count)
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Caller(work), "127.0.0.1", port)
    await asyncio.wait_for(work.over.wait(), LIMIT_S)
    rate = len(work.latencies) / (time.perf_counter() - start)
    print(json.dumps([rate, work.latencies, work.count - work.good]))


def load(port: int, connections: int, count: int, request: bytes) -> Loaded:
    words = [sys.executable, "-m", "tests.benchmarks.load", str(port), str(connections), str(count)]
    ran = subprocess.run(words, input=request, capture_output=True, timeout=LIMIT_S + 30)
    if ran.returncode:
        raise RuntimeError(ran.stderr.decode()[-500:])
    return Loaded(*json.loads(ran.stdout))


if __name__ == "__main__":
    asyncio.run(run(*map(int, sys.argv[1:]), sys.stdin.buffer.read()))
