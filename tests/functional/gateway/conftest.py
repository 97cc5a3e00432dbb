from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gateway_fakes import AwsStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def aws() -> Iterator[AwsStandIn]:
    stand_in = AwsStandIn()
    yield stand_in
    stand_in.close()
