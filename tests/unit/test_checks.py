"""What the larger checks of the doctor make of the facts."""

from __future__ import annotations

import dataclasses
import json

import pytest

from fal_serverless import doctor, stack
from fal_serverless.checks import account, leftovers
from fal_serverless.checks import stack as checks
from fal_serverless.checks.leftovers import Thing
from fal_serverless.publish.state import Alias
from tests.fakes import a_revision

POLICY = (stack.root() / account.POLICY).read_text(encoding="utf-8")
KNOWN = ("arn:aws-cn:iam::12:role/s-FunctionRole-X", "arn:aws-cn:s3:::s-artifacts-x")


def test_the_policy_becomes_questions_about_things_that_are_there():
    me = "arn:aws-cn:iam::12:role/path/Dev"
    found = account.asks(POLICY, principal=me, region="cn-north-1", stack="s", known=KNOWN)
    by_name = {item.name: item for item in found}
    assert set(by_name) == {item["Sid"] for item in json.loads(POLICY)["Statement"]}
    run_as = by_name["RunAs"]
    assert run_as.actions == ("iam:PassRole",)
    assert run_as.resources == ("arn:aws-cn:iam::12:role/s-FunctionRole-X",)
    assert run_as.context == (("iam:PassedToService", "lambda.amazonaws.com"),)
    assert by_name["Artifacts"].resources[0] == "arn:aws-cn:s3:::s-artifacts-x"
    served = by_name["ServedFunctions"]
    assert served.resources == ("arn:aws-cn:lambda:cn-north-1:12:function:fal-doctor",)
    assert "lambda:CreateFunction" in served.actions
    assert by_name["DoctorRights"].resources == (me,)
    everything = [arn for item in found for arn in item.resources]
    assert not [arn for arn in everything if "<" in arn or "*" in arn]


@pytest.mark.parametrize(
    ("arn", "role"),
    [
        ("arn:aws:sts::1:assumed-role/Dev/me", ("Dev", "arn:aws:iam::1:role/Dev")),
        ("arn:aws:iam::1:user/me", None),
        ("arn:aws:sts::1:federated-user/me", None),
    ],
)
def test_the_role_behind_a_session(arn, role):
    assert account.role_of(arn) == role


def test_permissions_name_what_is_missing_and_what_to_ask_for():
    (fine,) = account.permissions({"Layers": [], "RunAs": []})
    assert fine.state == "ok"
    (missing,) = account.permissions({"Layers": [], "RunAs": ["iam:PassRole"]})
    assert missing.state == "problem"
    assert "iam:PassRole" in missing.detail
    assert "'RunAs'" in missing.next
    (lesser,) = account.permissions({"DoctorDrift": ["cloudformation:DetectStackDrift"]})
    assert lesser.state == "warning"
    blind = account.not_simulated("because")
    assert (blind.state, "because" in blind.detail) == ("warning", True)


@pytest.mark.parametrize(
    ("used", "state"), [(0, "ok"), (79, "ok"), (80, "warning"), (95, "problem"), (101, "problem")]
)
def test_code_storage(used, state):
    found = account.storage(used, 100)
    assert found.state == state
    assert bool(found.next) == (state != "ok")


@pytest.mark.parametrize(
    ("deployed", "digest", "state", "said"),
    [
        ("1.2.0", "d", "ok", "1.2.0"),
        ("1.2.0", "", "ok", "1.2.0"),
        ("1.2.0", "other", "warning", "other sources"),
        ("1.1.9", "d", "warning", "this command of 1.2.0"),
        ("1.10.0", "d", "warning", "newer than this command's"),
        ("", "", "warning", "before stacks told"),
        ("what", "", "warning", "'what'"),
    ],
)
def test_version_of_the_stack(deployed, digest, state, said):
    found = checks.version(deployed, "1.2.0", digest=digest, own_digest="d")
    assert found.state == state
    assert said in found.detail
    if state != "ok":
        assert ("pip install" if "newer" in said else "stack deploy") in found.next
    embedded = checks.version("", "1.2.0", digest="", own_digest="d", embedded=True)
    assert "local start" in embedded.next


def test_drift_is_told_resource_by_resource():
    changed = checks.Drifted(
        resource="Table",
        type="AWS::DynamoDB::Table",
        deleted=False,
        differences=(("BillingMode", "PAY_PER_REQUEST", "P" * 500),),
    )
    gone = checks.Drifted(resource="Queue", type="AWS::SQS::Queue", deleted=True)
    first, second = checks.drift([changed, gone])
    assert (first.state, second.state) == ("warning", "problem")
    assert "BillingMode is PPP" in first.detail
    assert len(first.detail) < 300
    assert "was deleted" in second.detail
    assert [item.state for item in checks.drift([])] == ["ok"]
    assert [item.state for item in checks.drift(None)] == ["warning"]


def an_alias(name: str, revision: str) -> Alias:
    return Alias(
        name=name, owner="1", revision=revision, function="f", auth="private", moved_at="2026"
    )


DAY = leftovers.YOUNG_S


def test_only_what_is_old_and_unneeded_is_left_over():
    things = [Thing("layer", "fal-a", 0), Thing("layer", "fal-b", 0), Thing("log", "young", 10)]
    found = leftovers.unneeded(things, ["fal-b"], now=DAY + 9)
    assert [item.name for item in found] == ["fal-a"]
    assert len(leftovers.unneeded(things, ["fal-b"], now=DAY + 10)) == 2


def test_leftovers_are_told_by_kind():
    things = [Thing("image", f"sha256:{n}", 0) for n in range(5)] + [Thing("log", "l", 0)]
    logs, images = leftovers.leftovers(things, fixed=False)
    assert "1 log groups" in logs.detail
    assert images.detail.startswith("5 images that no revision uses: sha256:0")
    assert images.detail.endswith("…")
    assert {logs.state, images.state} == {"warning"}
    assert "--fix" in logs.next
    assert {item.state for item in leftovers.leftovers(things, fixed=True)} == {"ok"}
    assert leftovers.leftovers([], fixed=False) == []


def test_an_older_runtime_is_worth_a_note():
    ours, older = ("fal-" + letter * 32 for letter in "ab")
    arn = "arn:aws:lambda:eu-west-1:123456789012:layer:{}:1"
    new = a_revision("new", layers=(arn.format(older), arn.format(ours)))
    old = a_revision("old", layers=(arn.format(older),))
    image = dataclasses.replace(a_revision("image"), package="image")
    aliases = [an_alias(name=item.id, revision=item.id) for item in (new, image)]
    current = {new.python: ours}
    everything = [new, old, image]
    assert leftovers.runtimes(everything, aliases, current).state == "ok"
    aliases.append(an_alias(name="behind", revision="old"))
    found = leftovers.runtimes(everything, aliases, current)
    assert found.state == "note"
    assert "1 aliases" in found.detail
    assert "behind" in found.detail


def test_names_fit_into_one_label():
    assert "55 characters" in doctor.names("1234567", ["a" * 55]).detail
    found = doctor.names("1234567", ["a" * 56])
    assert found.state == "problem"
    assert "room for 55" in found.detail
