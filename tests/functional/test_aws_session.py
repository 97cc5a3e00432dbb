"""Clients of our own way to load botocore's models: the same as botocore's own clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import botocore.session
import pytest
from botocore.exceptions import MissingServiceIdError, UnknownServiceError
from botocore.loaders import create_loader

from fal_serverless.aws.botocore_session import BotocoreSession, Models

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = ("cloudformation", "dynamodb", "lambda", "s3", "sts")
KINDS = ("service-2", "endpoint-rule-set-1", "paginators-1", "waiters-2")


@pytest.mark.parametrize("service", SERVICES)
def test_models_are_those_of_botocore(service):
    theirs, ours = create_loader(), Models(create_loader().search_paths)
    assert service in ours.list_available_services("service-2")
    for kind in KINDS:
        # sts, for one, has no waiters.
        if service in theirs.list_available_services(kind):
            expected = theirs.load_service_model(service, kind)
            found = ours.load_service_model(service, kind)
            # As text, so that the order counts as well.
            assert json.dumps(found) == json.dumps(expected)


def test_clients_do_what_those_of_botocore_do():
    place = {"region_name": "eu-central-1"}
    theirs = botocore.session.Session().create_client("sts", **place)
    ours = BotocoreSession(region="eu-central-1", keys=("a", "b")).client("sts")
    assert ours.meta.endpoint_url == theirs.meta.endpoint_url
    assert ours.meta.method_to_api_mapping == theirs.meta.method_to_api_mapping


def test_what_nobody_knows():
    loader = Models(create_loader().search_paths)
    for service, kind in (("no-such-service", "service-2"), ("sts", "waiters-2")):
        with pytest.raises(UnknownServiceError):
            loader.load_service_model(service, kind)


def test_models_of_the_users_own_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "mine" / "2020-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text('{"metadata": {"protocol": "json"}}')
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    loader = Models(create_loader(str(tmp_path)).search_paths)
    assert loader.load_service_model("mine", "service-2") == {"metadata": {"protocol": "json"}}
    session = BotocoreSession(region="eu-central-1", keys=("a", "b"))
    # Found, and refused for what it lacks.
    with pytest.raises(MissingServiceIdError):
        session.client("mine")
