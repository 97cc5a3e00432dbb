from __future__ import annotations

import pytest

from fal_serverless.gateway.api_gateway import escaped, header_bytes, without_stage, written


@pytest.mark.parametrize(
    ("path", "stage", "left"),
    [
        ("/prod/a", "prod", "/a"),
        ("/prod", "prod", "/"),
        ("/product/a", "prod", "/product/a"),
        ("/a", "prod", "/a"),
        ("/$default/a", "$default", "/$default/a"),
    ],
)
def test_stages_are_no_part_of_paths(path: str, stage: str, left: str) -> None:
    assert without_stage(path, stage) == left


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("/a%20b%2Fc", b"/a%20b%2Fc"),
        ("/a b", b"/a%20b"),
        ("/é?#", b"/%C3%A9%3F%23"),
        ("//a/../b;c=1,2@:!$&'()*+~", b"//a/../b;c=1,2@:!$&'()*+~"),
    ],
)
def test_only_what_cannot_be_in_a_path_is_escaped(path: str, raw: bytes) -> None:
    assert escaped(path) == raw


def test_header_text_becomes_the_bytes_it_stands_for() -> None:
    assert header_bytes("caf\xe9") == b"caf\xe9"
    assert header_bytes("\u2713") == "\u2713".encode()


def test_answers_keep_cookies_apart_and_join_the_rest() -> None:
    headers = [(b"a", b"1"), (b"set-cookie", b"x=1"), (b"a", b"\xe9"), (b"set-cookie", b"y=2")]
    assert written(200, headers, b"\xff") == {
        "statusCode": 200,
        "headers": {"a": "1, é"},
        "cookies": ["x=1", "y=2"],
        "body": "/w==",
        "isBase64Encoded": True,
    }
    assert written(204, [], b"") == {
        "statusCode": 204,
        "headers": {},
        "body": "",
        "isBase64Encoded": False,
    }
