"""Serve mode without Lambda: arguments in, answers out."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from fal_serverless.package.describe import describe
from fal_serverless.runtime.encode import UnencodableError, encode
from fal_serverless.runtime.events import PAYLOAD_MAX, Answer, Request, event_of, request_of
from fal_serverless.runtime.loader import Loaded
from fal_serverless.runtime.serve import Serve
from fal_serverless.runtime.validate import InvalidError, convert

VALUES = [
    None,
    True,
    False,
    0,
    1,
    2,
    -7,
    1.0,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "a",
    "1",
    " 2 ",
    "-3",
    "1.0",
    "1.5",
    "1_000",
    "true",
    "OFF",
    "nan",
    [],
    [1],
    {},
    {"a": 1},
    10**30,
]


@pytest.mark.parametrize("kind", [str, int, float, bool, list, dict])
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_types_convert_as_pydantic_does(kind, value):
    try:
        expected = TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        with pytest.raises(InvalidError) as caught:
            convert(value, kind.__name__, nullable=False)
        assert (caught.value.kind, caught.value.message) == (
            error.errors()[0]["type"],
            error.errors()[0]["msg"],
        )
    else:
        found = convert(value, kind.__name__, nullable=False)
        assert type(found) is type(expected)
        assert repr(found) == repr(expected)


def serve(function):
    described = describe(function, function.__name__)
    spec = {"name": function.__name__, "arguments": described.arguments}
    return Serve(Loaded(spec, function, json.dumps(described.openapi).encode(), "rev"))


def post(function, body=b"{}", query="", method="POST", path="/"):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = serve(function).answer(Request(method, path, query, [], raw), 30)
    return answer.status, (json.loads(answer.body) if answer.body else None)


def plain(a, b=2):
    return [a, b]


def typed(a: int, b: float | None = None):
    return [a, b]


class Item(BaseModel):
    name: str
    count: int = 1


def model(item: Item):
    return item


def several(item: Item, extra: list[int]):
    return {"item": item, "extra": extra}


def anything(**rest):
    return rest


def first_only(a: int, /, b: int = 0):
    return a - b


def test_arguments():
    assert post(plain, {"a": "x"}) == (200, ["x", 2])
    assert post(plain, b"", "a=%C3%A9&b=") == (200, ["é", ""])
    assert post(typed, {"a": "4", "b": "1e3"}) == (200, [4, 1000.0])
    assert post(typed, {"a": 1}, "a=9") == (200, [1, None])
    assert post(model, {"name": "n"}) == (200, {"name": "n", "count": 1})
    assert post(several, {"item": {"name": "n"}, "extra": ["1"]}) == (
        200,
        {"item": {"name": "n", "count": 1}, "extra": [1]},
    )
    assert post(anything, {"x": 1}) == (200, {"x": 1})
    assert post(first_only, {"a": 5, "b": 2}) == (200, 3)


@pytest.mark.parametrize(
    ("function", "body", "kind", "where"),
    [
        (plain, {}, "missing", ["body", "a"]),
        (plain, {"a": 1, "z": 2}, "extra_forbidden", ["body", "z"]),
        (typed, {"a": "x"}, "int_parsing", ["body", "a"]),
        (typed, {"a": 1.5}, "int_from_float", ["body", "a"]),
        (model, {"name": 1}, "string_type", ["body", "name"]),
        (several, {"item": {}, "extra": []}, "missing", ["body", "item", "name"]),
        (plain, [1], "dict_type", ["body"]),
        (plain, b"{", "json_invalid", ["body", 1]),
        (plain, b"\xff", "json_invalid", ["body", 0]),
    ],
)
def test_refused_arguments(function, body, kind, where):
    status, answer = post(function, body)
    assert status == 422
    assert (answer["detail"][0]["type"], answer["detail"][0]["loc"]) == (kind, where)


def test_methods_and_paths():
    assert post(plain, method="GET")[0] == 405
    assert post(plain, path="/other")[0] == 404
    assert post(plain, method="OPTIONS")[0] == 204
    assert post(plain, method="GET", path="/openapi.json")[1]["openapi"] == "3.1.0"
    page = serve(plain).answer(Request("GET", "/docs", "", [], b""), 30)
    assert b"<script src" not in page.body


def test_what_the_function_raises():
    def fails():
        raise KeyError("k")

    def leaves():
        raise SystemExit(3)

    def not_a_number():
        return {"a": [1.0, float("nan")]}

    async def waits(a: int):
        return a + 1

    assert post(fails) == (500, {"detail": "'k'", "error_type": "KeyError"})
    assert post(leaves)[1]["error_type"] == "SystemExit"
    # In a thread: asyncio.run would take away the main thread's event loop, which is not ours.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(post, waits, {"a": 1}).result() == (200, 2)
    status, answer = post(not_a_number)
    assert status == 500
    assert "the result['a'][1]" in answer["detail"]


def test_encoding():
    class Color(enum.Enum):
        RED = "red"

    @dataclasses.dataclass
    class Point:
        x: int
        at: datetime.date

    value = {
        "point": Point(1, datetime.date(2024, 1, 2)),
        "color": Color.RED,
        "id": uuid.UUID(int=1),
        "price": decimal.Decimal("1.10"),
        "set": {1},
        3: b"\x00\xff",
    }
    body, kind = encode(value)
    assert kind == "application/json"
    assert json.loads(body) == {
        "point": {"x": 1, "at": "2024-01-02"},
        "color": "red",
        "id": str(uuid.UUID(int=1)),
        "price": "1.10",
        "set": [1],
        "3": base64.b64encode(b"\x00\xff").decode(),
    }
    assert encode(b"\x00") == (b"\x00", "application/octet-stream")
    with pytest.raises(UnencodableError, match="object"):
        encode([object()])


def test_events():
    event = {
        "rawPath": "/a%20b",
        "rawQueryString": "x=1&x=2",
        "headers": {"host": "h"},
        "cookies": ["a=1", "b=2"],
        "requestContext": {"http": {"method": "PUT", "sourceIp": "1.2.3.4"}},
        "body": base64.b64encode(b"\xff").decode(),
        "isBase64Encoded": True,
    }
    request = request_of(event)
    assert (request.method, request.path, request.body) == ("PUT", "/a%20b", b"\xff")
    assert request.header("cookie") == "a=1; b=2"
    answer = Answer(200, b"\xff", [("Set-Cookie", "a"), ("set-cookie", "b"), ("X", "1")])
    result = event_of(answer, "rev")
    assert result["cookies"] == ["a", "b"]
    assert result["isBase64Encoded"] is True
    assert ["x-fal-revision", "rev"] in result["fal"]["headers"]
    large = event_of(Answer(200, b"x" * PAYLOAD_MAX), "rev")
    assert large["statusCode"] == 502
    assert f"{PAYLOAD_MAX:,}" in large["body"]


def test_what_is_awaited_is_what_inspect_calls_awaitable():
    import inspect
    import types

    from fal_serverless.runtime.serve import _awaitable

    async def coroutine():
        return 1

    @types.coroutine
    def older():
        yield

    class Custom:
        def __await__(self):
            yield

    made = coroutine()
    for value in (made, older(), (item for item in ()), Custom(), Custom, 1, None):
        assert _awaitable(value) == inspect.isawaitable(value)
    made.close()
