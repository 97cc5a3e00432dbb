"""What cloudpickle writes, loaded by the runtime: the same, and without it where that is enough."""

from __future__ import annotations

import pickle
import subprocess
import sys

import cloudpickle
import pytest

from fal_serverless.runtime.unpickle import loads

SOURCE = """
import math
from dataclasses import dataclass
COUNT = 3
def helper(n, *, k=2):
    'Doc.'
    return n * k * COUNT
def plain(n, m=5): return helper(n) + m + math.floor(1.5)
def again(n): return 1 if n < 2 else n * again(n - 1)
def maker(a):
    def inner(b):
        return a + b + (inner(b - 1) if b > 0 else 0)
    return inner
closed = maker(10)
def yields():
    yield from range(COUNT)
async def later(): return COUNT
class Thing:
    size = COUNT
    def twice(self): return super().__hash__() and self.size * 2
def with_class(): return Thing().twice()
@dataclass
class Point:
    x: int = 1
def with_dataclass(): return Point(2).x
helper.mark = 'attribute'
"""
CASES = [
    ("plain", (1,)),
    ("again", (5,)),
    ("closed", (2,)),
    ("with_class", ()),
    ("with_dataclass", ()),
    ("maker", (1,)),
    ("helper", (1,)),
]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=lambda case: str(case))
def test_the_same_function_as_cloudpickles_own(name, arguments):
    names = {"__name__": "__main__"}
    exec(SOURCE, names)
    pickled = cloudpickle.dumps({"function": names[name], "setup": None})
    mine, theirs = loads(pickled)["function"], pickle.loads(pickled)["function"]
    if name == "maker":
        assert mine(*arguments)(0) == theirs(*arguments)(0) == 1
    else:
        assert mine(*arguments) == theirs(*arguments) == names[name](*arguments)
    for attribute in ("__doc__", "__kwdefaults__", "__defaults__", "__qualname__", "__module__"):
        assert getattr(mine, attribute) == getattr(theirs, attribute)
    assert vars(mine) == vars(theirs)
    assert set(mine.__globals__) == set(theirs.__globals__)


def test_plain_functions_need_no_cloudpickle():
    names = {"__name__": "__main__"}
    exec(SOURCE, names)
    pickled = cloudpickle.dumps([names["again"], names["closed"], names["yields"], names["later"]])
    program = (
        "import sys\nfrom fal_serverless.runtime.unpickle import loads\n"
        f"again, closed, yields, later = loads({pickled!r})\n"
        "print(again(4), closed(1), list(yields()), 'cloudpickle' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "24 21 [0, 1, 2] False\n", ran.stderr
