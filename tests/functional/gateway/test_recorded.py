"""The gateway gives the answers that it gave, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest
from recorded import answered, cases

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_recorded_answers(case: dict[str, Any]) -> None:
    assert answered(case) == {"answer": case["answer"], "sent": case["sent"]}
