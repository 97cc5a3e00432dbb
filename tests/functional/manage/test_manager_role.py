"""What the manager asks AWS for is what its role in the template allows, and nothing more."""

from __future__ import annotations

import dataclasses
import re
from fnmatch import fnmatchcase

import boto3
import pytest

from fal_serverless.aws.logs import LambdaLogs
from fal_serverless.publish import splits
from fal_serverless.publish.state import route_of
from tests.fakes import OWNER, a_revision
from tests.support.managed import Managed, calling
from tests.support.moto import KEYS, cloud
from tests.unit.test_template import actions, statements

STACK = "fal-stack"
WRITES = {
    "Put": ("dynamodb:PutItem", "Item"),
    "Delete": ("dynamodb:DeleteItem", "Key"),
    "Update": ("dynamodb:UpdateItem", "Key"),
    "ConditionCheck": ("dynamodb:ConditionCheckItem", "Key"),
}
NAMED = {
    "lambda": ("FunctionName", "function:{}"),
    "cloudwatch": ("AlarmNames", "alarm:{}"),
    "logs": ("logGroupName", "log-group:{}:*"),
}


def asked(service, operation, params):
    """(action, resource) of a request; items of the table are named by their partition key."""
    if operation == "TransactWriteItems":
        for item in params["TransactItems"]:
            ((kind, what),) = item.items()
            action, key = WRITES[kind]
            yield action, what[key]["pk"]["S"]
    elif service == "dynamodb":
        place = params.get("Item") or params.get("Key") or params["ExpressionAttributeValues"]
        yield f"dynamodb:{operation}", (place.get("pk") or place[":pk"])["S"]
    else:
        name, form = NAMED[service]
        value = params[name]
        yield f"{service}:{operation}", form.format(value[0] if isinstance(value, list) else value)


def patterns(statement):
    """Names that a statement is about, without what an ARN begins with."""
    found = statement["Resource"]
    for item in found if isinstance(found, list) else [found]:
        text = item.get("Sub", "").replace("${AWS::StackName}", STACK)
        yield re.sub(r"\$\{AWS::\w+\}", "x", text).removeprefix("arn:x:").partition(":x:x:")[2]
    conditions = statement.get("Condition", {}).get("ForAllValues:StringLike", {})
    yield from conditions.get("dynamodb:LeadingKeys", [])


def allowed():
    """(action, pattern) of all that the role allows; items of the table go by their keys."""
    for statement in statements("ManagerRole"):
        assert statement["Effect"] == "Allow"
        for pattern in filter(None, patterns(statement)):
            for action in actions(statement):
                yield action, pattern


@pytest.fixture
def seen():
    """What was asked for by one round of everything that the API does."""
    with cloud() as aws:
        logs = boto3.client("logs", **KEYS)
        managed = Managed(
            registry=aws.registry,
            functions=aws.functions,
            alarms=aws.alarms,
            logs=LambdaLogs(logs),
        )
        ids = []
        for name in ("f", "g"):
            function = f"fal-{OWNER}-{name}-z"
            aws.make_function(function)
            for _ in range(2):
                version = aws.publish(function)
                revision = dataclasses.replace(
                    a_revision(f"00000000-0000-4000-8000-{len(ids):012}", version, function),
                    name=name,
                )
                aws.registry.add_revision(revision, route_of(revision))
                ids.append(revision.id)
        with calling(managed) as api:
            api.ask("PUT", "/v1/aliases/a", {"revision": ids[0]})
            splits.begin(
                aws.registry,
                aws.functions,
                aws.alarms,
                aws.registry.alias(OWNER, "a"),
                aws.registry.revision(OWNER, ids[1]),
                10,
                now="2026-01-01T00:00:00Z",
                by="arn:me",
                abort_on_errors=5.0,
                stack=STACK,
            )
            found = set()

            def note(params, model, **_):
                service = model.service_model.service_name
                found.update(asked(service, model.name, params))

            clients = (aws.registry, aws.functions, aws.alarms, managed.logs)
            for part in clients:
                part.client.meta.events.register("before-parameter-build", note)
            statuses = [
                api.ask("PUT", "/v1/aliases/new", {"revision": ids[0]}).status_code,
                api.ask("PUT", "/v1/aliases/a", {"revision": ids[2]}).status_code,
                api.ask("PUT", "/v1/aliases/a", {"revision": ids[3]}).status_code,
                api.ask("POST", "/v1/aliases/a/rollback").status_code,
                *(
                    api.get(f"/v1/{path}").status_code
                    for path in ("functions", "revisions", "aliases", "keys", "me")
                ),
                api.get(f"/v1/revisions/{ids[0]}").status_code,
                api.get("/v1/aliases/a").status_code,
                api.get("/v1/logs").status_code,
            ]
        assert set(statuses) == {200}
        yield found


def test_the_role_allows_what_is_asked_for(seen):
    rules = set(allowed())
    for action, resource in seen:
        assert any(
            action == known and fnmatchcase(resource, pattern) for known, pattern in rules
        ), (action, resource)


def test_the_role_allows_nothing_else(seen):
    own_log = {"logs:CreateLogStream", "logs:PutLogEvents"}
    everything = set().union(*map(actions, statements("ManagerRole")))
    assert everything - own_log == {action for action, _ in seen}
