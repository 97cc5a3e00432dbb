"""The AWS boundary: the registry on moto, Lambda's oddities by a strict Stubber."""

from __future__ import annotations

import boto3
import pytest
from botocore import exceptions as boto
from botocore.stub import Stubber
from moto import mock_aws

from fal_serverless.aws.lambdas import LambdaFunctions
from fal_serverless.aws.registry import RegistryTable
from fal_serverless.aws.session import from_botocore, from_client_error, open_session
from fal_serverless.errors import AuthError, AwsError, ConflictError, NotFoundError
from fal_serverless.keys import KeyRecord
from fal_serverless.publish.state import Alias, route_of
from tests import fakes
from tests.fakes import OWNER
from tests.support.moto import a_table


@pytest.fixture
def registry():
    with mock_aws():
        client = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        a_table(client, "t", "pk", "sk")
        yield RegistryTable(client, "t")


def a_revision(number=1):
    return fakes.a_revision(f"00000000-0000-0000-0000-{number:012}", str(number), layers=("arn:1",))


def test_users_are_stable_and_distinct(registry):
    first = registry.user_id("arn:a")
    assert registry.user_id("arn:a") == first
    assert registry.user_id("arn:b") != first
    assert registry.user_id("arn:c", create=False) is None


def test_a_taken_user_id_is_not_given_twice(registry):
    from fal_serverless.users import user_id_candidates

    taken = next(user_id_candidates("arn:a"))
    registry.client.put_item(TableName="t", Item={"pk": {"S": f"USER#{taken}"}, "sk": {"S": "-"}})
    assert registry.user_id("arn:a") != taken


def test_leases(registry):
    assert registry.take_lease("f", "me", 1000.0) is None
    assert registry.take_lease("f", "me", 1001.0) is None
    assert registry.take_lease("f", "you", 1002.0) == "me"
    assert registry.take_lease("f", "you", 1100.0) is None
    registry.drop_lease("f", "me")
    assert registry.take_lease("f", "me", 1101.0) == "you"
    registry.drop_lease("f", "you")
    assert registry.take_lease("f", "me", 1102.0) is None


def test_revisions(registry):
    for number in (1, 2):
        registry.add_revision(a_revision(number), route_of(a_revision(number)))
    assert registry.revisions(OWNER) == (a_revision(2), a_revision(1))
    with pytest.raises(ConflictError):
        registry.add_revision(a_revision(1), route_of(a_revision(1)))
    registry.delete_revision(OWNER, a_revision(1).id)
    registry.delete_revision(OWNER, a_revision(1).id)
    assert registry.revision(OWNER, a_revision(1).id) is None


def test_a_name_that_no_alias_can_have_is_none(registry):
    # Longer than a key of the table may be.
    assert registry.alias("1", "a" * 3_000) is None


def test_aliases_are_conditional(registry):
    revision = a_revision()
    alias = Alias(
        name="web",
        owner=OWNER,
        revision=revision.id,
        function="fal-f",
        auth="public",
        moved_at="now",
        token="1",
        split=("r2", 10),
    )
    route = route_of(revision)
    assert not registry.put_alias(alias, route, expected=None)
    registry.add_revision(revision, route_of(revision))
    assert registry.put_alias(alias, route, expected=None)
    assert not registry.put_alias(alias, route, expected=None)
    assert registry.alias(OWNER, "web") == alias
    assert not registry.update_alias(alias.replace(token="2"), expected="other")
    assert registry.update_alias(alias.replace(token="2"), expected="1")
    assert not registry.delete_alias(OWNER, "web", expected="1")
    assert registry.delete_alias(OWNER, "web", expected="2")
    assert registry.aliases(OWNER) == ()


def test_keys(registry):
    key = KeyRecord(id="k", secret_sha256="0" * 64, owner=OWNER, scope="API", expires_at=5)
    registry.add_key(key, "now")
    assert [item["key_id"] for item in registry.keys(OWNER)] == ["k"]
    assert "secret_sha256" not in registry.keys(OWNER)[0]
    with pytest.raises(NotFoundError):
        registry.revoke_key("7654321", "k")
    with pytest.raises(NotFoundError):
        registry.revoke_key(OWNER, "unknown", 1000.0)
    registry.revoke_key(OWNER, "k", 1000.5)
    registry.revoke_key(OWNER, "k", 2000.5)
    (shown,) = registry.keys(OWNER)
    assert (shown["revoked_at"], shown["ttl"]) == (1000, 1000 + 90 * 86_400)


def test_a_list_of_keys_is_whole_over_many_pages(registry):
    # 300 keys with names of 4,000 bytes are more than DynamoDB gives at once.
    for number in range(300):
        name = f"{number}-".ljust(4000, "x")
        key = KeyRecord(f"k{number:03}", "0" * 64, OWNER, "API", name)
        registry.add_key(key, "now")
    found = registry.keys(OWNER)
    assert [item["key_id"] for item in found] == [f"k{number:03}" for number in range(300)]


@pytest.fixture
def stubbed():
    client = boto3.client(
        "lambda", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stub:
        pauses: list[float] = []
        yield stub, LambdaFunctions(client, sleep=pauses.append), pauses
        stub.assert_no_pending_responses()


def test_a_busy_function_is_waited_for(stubbed):
    stub, functions, pauses = stubbed
    stub.add_client_error("delete_function", "ResourceConflictException", "in progress", 409)
    stub.add_response("delete_function", {}, {"FunctionName": "f"})
    functions.delete("f")
    assert len(pauses) == 1


def test_a_failed_precondition_is_a_conflict(stubbed):
    stub, functions, _ = stubbed
    stub.add_client_error("publish_version", "PreconditionFailedException", "changed", 412)
    with pytest.raises(ConflictError, match="Publishing a version"):
        functions.publish_version("f", code_sha256="a", token="b")


def test_a_function_that_failed_says_why(stubbed):
    stub, functions, _ = stubbed
    stub.add_response("publish_version", {"Version": "1", "CodeSha256": "a"})
    stub.add_response(
        "get_function_configuration",
        {"FunctionName": "f", "State": "Failed", "StateReason": "no role"},
        {"FunctionName": "f", "Qualifier": "1"},
    )
    with pytest.raises(AwsError) as caught:
        functions.publish_version("f", code_sha256="a", token="b")
    assert caught.value.reason == "no role"


def test_what_is_gone_is_deleted(stubbed):
    stub, functions, _ = stubbed
    stub.add_client_error("delete_alias", "ResourceNotFoundException", "gone", 404)
    functions.delete_alias("f", "a")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ExpiredTokenException", AuthError),
        ("UnrecognizedClientException", AuthError),
        ("SignatureDoesNotMatch", AuthError),
        ("AccessDeniedException", AuthError),
        ("ThrottlingException", AwsError),
        ("ResourceNotFoundException", NotFoundError),
        ("ResourceConflictException", ConflictError),
        ("CodeStorageExceededException", AwsError),
        ("SomethingNew", AwsError),
    ],
)
def test_answers_of_aws_become_errors_of_ours(code, kind):
    error = boto.ClientError({"Error": {"Code": code, "Message": "m"}}, "Op")
    found = from_client_error("Doing it", error)
    assert type(found) is kind
    assert found.message == "Doing it failed."
    assert found.reason
    assert found.hint


def test_failures_before_an_answer():
    for error in (boto.NoCredentialsError(), boto.ProfileNotFound(profile="p")):
        assert isinstance(from_botocore("Doing it", error), AuthError)
    unreachable = boto.EndpointConnectionError(endpoint_url="http://x")
    assert isinstance(from_botocore("Doing it", unreachable), AwsError)


def test_an_unknown_profile(monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(AuthError, match="Reading the AWS configuration"):
        open_session(profile="nobody", region="us-east-1")
