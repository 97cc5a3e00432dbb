"""What fails while an environment starts is in the log, and among its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_operate import until

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BROKEN = """
from fal_serverless import isolated

def prepare():
    print("loading the model")
    raise ValueError("there is no model")

@isolated(serve=True, setup_function=prepare)
def broken():
    return 1
"""


def test_what_fails_while_it_loads_is_among_the_errors(stack: Stack, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(BROKEN, encoding="utf-8")
    stack.serve(file, "broken", "--alias", "broken", "--auth", "public")
    headers = {"X-Fal-Request-Id": "load-1"}
    assert stack.call("broken", body={}, headers=headers).status in (500, 502)

    def messages() -> list[str]:
        found = stack.run("function", "logs", "broken", "--errors", "--json").json()["events"]
        told = [event["message"] for event in found]
        return told if any("there is no model" in text for text in told) else []

    found = until(messages)
    assert any("ValueError" in text for text in found)
    assert any("loading the model" in text for text in found)
