"""What nothing needs any more, found and deleted on moto; what is needed stays."""

from __future__ import annotations

import time

import pytest
from moto import mock_aws

from fal_serverless.aws import leftovers
from fal_serverless.checks.leftovers import YOUNG_S
from tests.functional.test_stack_inventory import FOREIGN, MINE, SHARED, Account

MANIFEST = (
    '{{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", '
    '"config": {{"digest": "sha256:{0}", "size": 1}}, '
    '"layers": [{{"digest": "sha256:{0}", "size": 1}}]}}'
)


@pytest.fixture
def account():
    with mock_aws():
        yield Account()


def an_image(account: Account, name: str) -> str:
    client = account.session.client("ecr")
    client.put_image(repositoryName="images", imageManifest=MANIFEST.format(name), imageTag=name)
    found = client.describe_images(repositoryName="images", imageIds=[{"imageTag": name}])
    return found["imageDetails"][0]["imageDigest"]


def test_old_things_that_nothing_needs(account):
    client = account.session.client("logs")
    account.session.client("ecr").create_repository(repositoryName="images")
    account.table()
    used = account.layer(MINE)
    account.layer(SHARED)
    account.layer(FOREIGN)
    # Another version of a function, and somebody else's, needs it as well.
    account.function("fal-2-b-z", "other", used)
    account.session.client("lambda").publish_version(FunctionName="fal-2-b-z")
    account.function("fal-1-a-z", "mine")
    for name in ("fal-1-recorded-z", "fal-1-gone-z", "fal-2-gone-z"):
        client.create_log_group(logGroupName=f"/aws/lambda/{name}")
    kept, lost = an_image(account, "a" * 64), an_image(account, "b" * 64)
    account.put("USER#2", "REV#x", function="fal-1-recorded-z", image=kept)

    def look(now: float):
        found = leftovers.unneeded(
            account.session, user="1", table="registry", repository="images", now=now
        )
        return {(item.kind, item.name) for item in found}, found

    assert look(time.time())[0] == set()
    named, found = look(time.time() + YOUNG_S + 60)
    assert named == {
        ("layer", SHARED),
        ("log", "/aws/lambda/fal-1-gone-z"),
        ("image", lost),
    }
    leftovers.delete(account.session, found, "images")
    assert look(time.time() + YOUNG_S + 60)[0] == set()
    left = leftovers.Leftovers(account.session)
    assert {item["LayerName"] for item in left.layers("")} == {MINE, FOREIGN}
    assert [item["imageDigest"] for item in left.images("images")] == [kept]
    assert left.images("no-such") == ()
