"""Programs that call decorated functions, as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def ran(stack: Stack, folder, text: str) -> subprocess.CompletedProcess[str]:
    file = folder / "program.py"
    file.write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(file)], env=stack.environ, capture_output=True, text=True, timeout=240
    )


ORIGINAL = """
from fal_serverless import FalServerlessHost, LocalHost, cached, isolated
import beside

@isolated(requirements=["pyjokes"])
def tell_joke() -> str:
    import pyjokes
    return pyjokes.get_joke()

@cached
def weights():
    print("loading weights")
    return [1, 2]

@cached
def model():
    return sum(weights())

@isolated(host=FalServerlessHost())
def predict(x):
    return model() * x + beside.one()

@isolated
def calling(x):
    return predict(x) + 1

if __name__ == "__main__":
    assert len(tell_joke()) > 5
    assert [predict(2), predict(3), calling(4)] == [7, 10, 14]
    local = LocalHost()
    assert len(tell_joke.on(host=local)()) > 5
    assert predict.on(host=local)(5) == 16
    futures = [predict.submit(number) for number in range(8)]
    assert [future.result() for future in futures] == [3 * n + 1 for n in range(8)]
    print("all is well")
"""


def test_programs_of_the_original_run_unchanged(stack: Stack, tmp_path):
    (tmp_path / "beside.py").write_text("def one():\n    return 1\n", encoding="utf-8")
    found = ran(stack, tmp_path, ORIGINAL)
    assert found.returncode == 0, found.stderr
    assert found.stdout.endswith("all is well\n")
    assert "loading weights" in found.stdout


FAILING = """
from fal_serverless import LocalHost, isolated
from fal_serverless.errors import FalServerlessError

class Mine(Exception):
    pass

@isolated
def raising(x):
    return x / 0 if x else fail()

def fail():
    raise Mine("of my own")

@isolated
def ending():
    import os
    os._exit(3)

@isolated(timeout=1)
def slow():
    import time
    time.sleep(20)

if __name__ == "__main__":
    for host in (None, LocalHost()):
        for function, arguments in ((raising, (1,)), (raising, (0,)), (ending, ()), (slow, ())):
            try:
                (function.on(host=host) if host else function)(*arguments)
            except Exception as error:
                print(type(error).__name__, "x / 0" in str(error.__cause__))
    raising(0)
"""


def test_errors_are_the_same_on_both_hosts_and_point_at_the_source(stack: Stack, tmp_path):
    found = ran(stack, tmp_path, FAILING)
    once = [
        "ZeroDivisionError True",
        "Mine True",
        "RemoteCrashError False",
        "RemoteTimeoutError False",
    ]
    assert found.stdout.splitlines() == once * 2
    assert found.returncode == 1
    assert 'raise Mine("of my own")' in found.stderr
    assert f'File "{tmp_path / "program.py"}", line 13, in fail' in found.stderr


TALKING = """
import sys
from fal_serverless import LocalHost, isolated

@isolated
def talking(go):
    import pathlib, sys, time
    print("first line")
    print("to stderr", file=sys.stderr)
    while not pathlib.Path(go).exists():
        time.sleep(0.05)
    print("last line")

@isolated
def dying():
    import os, time
    print("about to die", flush=True)
    time.sleep(2.5)
    os._exit(1)

if __name__ == "__main__":
    words = sys.argv[1:]
    host = {"host": LocalHost()} if words.pop(0) == "local" else {}
    if words:
        talking.on(**host).submit(words[0]).result()
    else:
        dying.on(**host)()
"""


@pytest.mark.parametrize("host", ["lambda", "local"])
def test_output_appears_while_the_call_runs(stack: Stack, tmp_path, host):
    file, go = tmp_path / "talking.py", tmp_path / "go"
    file.write_text(TALKING, encoding="utf-8")
    words = [sys.executable, str(file), host, str(go)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(words, env=stack.environ, text=True, **streams) as program:
        try:
            # The function ends only after its lines were read here.
            assert program.stdout is not None
            early = {program.stdout.readline() for _ in range(2)}
            go.touch()
            late = program.stdout.read()
        finally:
            program.kill()
    assert early == {"[talking 1] first line\n", "[talking 1] to stderr\n"}
    assert late == "[talking 1] last line\n"


@pytest.mark.parametrize("host", ["lambda", "local"])
def test_what_a_dead_call_printed_is_not_lost(stack: Stack, tmp_path, host):
    file = tmp_path / "talking.py"
    file.write_text(TALKING, encoding="utf-8")
    words = [sys.executable, str(file), host]
    found = subprocess.run(words, env=stack.environ, capture_output=True, text=True, timeout=120)
    assert found.stdout == "about to die\n"
    assert "RemoteCrashError" in found.stderr


FAN_OUT = """
import asyncio
from fal_serverless import isolated
from fal_serverless.errors import RemoteCrashError

@isolated
def work(n):
    if n % 10 == 3:
        raise ValueError(n)
    if n % 20 == 7:
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n

def endless():
    n = 0
    while True:
        yield n
        n += 1

async def both():
    return await asyncio.gather(work.aio(4), work.aio(5))

async def later():
    for n in (1, 2, 3):
        yield n

async def all_of():
    found = [item async for item in work.map_aio(later(), on_error="return")]
    assert type(found.pop()) is ValueError
    some = sorted([item async for item in work.map_aio([1, 2, 4], ordered=False)])
    async for first in work.map_aio(endless(), concurrency=2):
        break
    return found, some, first

if __name__ == "__main__":
    counts = {}
    for n, found in enumerate(work.map(range(200), concurrency=8, on_error="return")):
        kind = type(found).__name__
        counts[kind] = counts.get(kind, 0) + 1
        assert kind != "int" or found == n * n
        assert kind != "ValueError" or found.args == (n,)
    print(sorted(counts.items()))
    squares = work.map(endless(), concurrency=2)
    print(next(squares), next(squares), next(squares))
    squares.close()
    try:
        list(work.map(range(10), concurrency=2))
    except ValueError as error:
        print("raised", error)
    print(sorted(work.map([1, 2, 4], ordered=False)))
    print(asyncio.run(both()))
    print(asyncio.run(all_of()))
"""


def test_fan_out_accounts_for_every_item(stack: Stack, tmp_path):
    found = ran(stack, tmp_path, FAN_OUT)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == [
        "[('RemoteCrashError', 10), ('ValueError', 20), ('int', 170)]",
        "0 1 4",
        "raised 3",
        "[1, 4, 16]",
        "[16, 25]",
        "([1, 4], [1, 4, 16], 0)",
    ]


LARGE = """
import os
from fal_serverless import isolated

@isolated(secrets=["REMOTE_SECRET"], environment={"COLOUR": "blue"})
def doubled(content):
    return content * 2, os.environ["COLOUR"], len(os.environ["REMOTE_SECRET"])

if __name__ == "__main__":
    content = os.urandom(12_000_000)
    found, colour, size = doubled(content)
    assert found == content * 2
    print(colour, size)
"""


def test_large_data_secrets_and_nothing_left_behind(stack: Stack, tmp_path):
    stack.run("secret", "set", "REMOTE_SECRET", "four")
    found = ran(stack, tmp_path, LARGE)
    assert found.returncode == 0, found.stderr
    assert found.stdout == "blue 4\n"


SYNCED = """
import os, pathlib
from fal_serverless import LocalHost, isolated, sync_dir

@isolated
def read(folder):
    root = pathlib.Path(folder)
    assert root.is_relative_to(os.environ["FAL_DATA_DIR"])
    return sorted((p.name, p.read_text()) for p in root.rglob("*.txt"))

if __name__ == "__main__":
    here = pathlib.Path(__file__).parent / "texts"
    folder = sync_dir(here, "/data/texts")
    print(read(folder), read.on(host=LocalHost())(folder))
    (here / "b.txt").write_text("new")
    sync_dir(here, "/data/texts")
    print(read(folder))
    sync_dir(here, "/data/texts")
"""


def test_a_folder_becomes_persistent_data(stack: Stack, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("old", encoding="utf-8")
    found = ran(stack, tmp_path, SYNCED)
    assert found.returncode == 0, found.stderr
    one, both = [("a.txt", "old")], [("a.txt", "old"), ("b.txt", "new")]
    assert found.stdout == f"{one} {one}\n{both}\n"
    assert found.stderr.count("1 files sent") == 2
    assert "already uploaded and matches" in found.stderr
