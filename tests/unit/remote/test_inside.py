"""Decorated functions called inside of another one: in that process, with the same results."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from fal_serverless import isolated
from fal_serverless.errors import MissingDependencyError
from fal_serverless.remote import calls
from fal_serverless.runtime import call


@isolated
def half(x):
    if x % 2:
        raise ValueError(x)
    return x // 2


@isolated(requirements=["far-away>=2"])
def lacking():
    import far_away  # noqa: F401


@isolated
async def later(x):
    await asyncio.sleep(0)
    return x + 1


@pytest.fixture(autouse=True)
def host(monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "fal-env-x")


def test_every_way_to_call_stays_in_the_process():
    assert half(4) == 2
    assert half.submit(4).result() == 2
    assert isinstance(half.submit(3).exception(), ValueError)
    assert list(half.map([2, 4])) == [1, 2]
    found = list(half.map([2, 3], on_error="return"))
    assert (found[0], type(found[1])) == (1, ValueError)
    with pytest.raises(ValueError, match="3"):
        list(half.map([2, 3]))


def test_coroutines_are_waited_for_whether_a_loop_runs_or_not():
    async def outer():
        assert later(1) == 2
        assert await later.aio(1) == 2
        assert await half.aio(4) == 2
        return [item async for item in later.map_aio([1, 2])]

    assert later(1) == 2
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, outer()).result() == [2, 3]


def test_what_the_inner_function_lacks_is_told_with_its_requirements():
    def outer():
        return lacking()

    with pytest.raises(ModuleNotFoundError) as met:
        outer()
    told = {"error": call.described(met.value)}
    with pytest.raises(MissingDependencyError) as caught:
        calls.value_of("outer", told, lambda: None)
    assert "'outer' calls 'lacking'" in str(caught.value)
    assert '["far-away>=2"]' in caught.value.hint
