"""The management API against its own OpenAPI document, by schemathesis, with every check it has."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from fal_serverless.manage.app import create_app, document_of
from tests.fakes import OWNER
from tests.support.managed import SECRET, Managed, listening

CONFIG = {
    "seed": 1,
    "headers": {"Authorization": f"Key admin:{SECRET}"},
    "checks": {"enabled": True},
    "generation": {
        "mode": "all",
        "max-examples": 15,
        "deterministic": True,
        "database": "none",
        "no-shrink": True,
    },
}
# Addressed as a stack without a domain is.
schema = schemathesis.openapi.from_dict(
    document_of(create_app(Managed().stack()), "/api"), config=SchemathesisConfig.from_dict(CONFIG)
)


@pytest.fixture(scope="module")
def managed():
    managed = Managed()
    for number in (1, 2, 3):
        managed.serve(number, alias="predict")
        managed.serve(10 + number, name="other")
    managed.say("fal-1234567-f-z", "START RequestId: r1 Version: 1", "hello", "END RequestId: r1")
    return managed


@pytest.fixture(scope="module")
def address(managed):
    with listening(managed) as url:
        yield url + "/api"


@schema.parametrize()
def test_every_operation(case, address):
    case.call_and_validate(base_url=address)


def test_what_lists_tell_of_can_be_asked_for(address, managed):
    """Operations one after the other, each with what the answers before it named."""

    class Workflow(schema.as_state_machine()):
        def get_call_kwargs(self, case):
            return {"base_url": address}

    Workflow.run(
        settings=settings(
            max_examples=10,
            stateful_step_count=8,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
    )
    events = managed.registry.alias(OWNER, "predict").events
    assert "key admin" in {event.by for event in events}
