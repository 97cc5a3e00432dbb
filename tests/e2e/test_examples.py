"""Every example, served and called."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import EXAMPLES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.network]


def test_flask(stack: Stack):
    stack.serve(EXAMPLES / "flask_app.py", "flask_app", "--alias", "flask", "--auth", "public")
    answer = stack.call("flask", "GET", "/?str=a%20b")
    assert (answer.status, answer.json()) == (200, {"result": "a b"})
    assert stack.call("flask", "GET", "/missing").status == 404


def test_fastapi_with_lifespan(stack: Stack):
    stack.serve(EXAMPLES / "fastapi_app.py", "items", "--alias", "items", "--auth", "public")
    answer = stack.call("items", "GET", "/items/apple")
    assert (answer.status, answer.json()) == (200, {"name": "apple", "count": 3})


def test_helpers_and_a_model(stack: Stack):
    stack.serve(EXAMPLES / "with_helpers" / "app.py", "quote", "--alias", "quote")
    answer = stack.call("quote", body={"item": "pear", "count": 4}, headers=stack.key)
    assert (answer.status, answer.json()) == (200, {"item": "pear", "total": 3.0})
    refused = stack.call("quote", body={"item": "pear", "count": 0}, headers=stack.key)
    assert refused.status == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "count"]


@pytest.mark.slow
def test_house_prices(stack: Stack):
    served = stack.serve(EXAMPLES / "house_prices.py", "predict", "--alias", "predict")
    assert served["package"] == "layer"
    answer = stack.call("predict", body={"age": 10, "rooms": 4}, headers=stack.key)
    assert answer.status == 200
    assert 380 < answer.json()["price"] < 440
