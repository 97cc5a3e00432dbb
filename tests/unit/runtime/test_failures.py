"""Failed answers as a metric: which are counted, and how CloudWatch reads the line."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from fal_serverless import logs
from fal_serverless.logs import LogEvent
from fal_serverless.runtime import failures


def context(qualifier="predict"):
    arn = "arn:aws:lambda:eu-west-1:111122223333:function:fal-1-f-z"
    return SimpleNamespace(
        function_name="fal-1-f-z",
        function_version="7",
        invoked_function_arn=f"{arn}:{qualifier}" if qualifier else arn,
    )


def test_a_failure_is_a_line_of_the_embedded_metric_format(capsys):
    failures.note(context())
    line = json.loads(capsys.readouterr().out)
    (metric,) = line["_aws"]["CloudWatchMetrics"]
    assert metric["Namespace"] == "FalServerless"
    assert metric["Metrics"] == [{"Name": "Failures", "Unit": "Count"}]
    (dimensions,) = metric["Dimensions"]
    assert {name: line[name] for name in dimensions} == {
        "FunctionName": "fal-1-f-z",
        "Resource": "fal-1-f-z:predict",
        "ExecutedVersion": "7",
    }
    assert line["Failures"] == 1
    assert line["_aws"]["Timestamp"] > 1_700_000_000_000


@pytest.mark.parametrize("qualifier", ["7", "$LATEST", ""])
def test_requests_that_came_by_no_alias_are_not_counted(qualifier, capsys):
    failures.note(context(qualifier))
    failures.note(None)
    assert capsys.readouterr().out == ""


def test_the_line_is_not_shown_as_something_the_function_printed(capsys):
    failures.note(context())
    event = LogEvent("1", 0, "s", capsys.readouterr().out)
    assert logs.is_metric(event)
    assert not logs.is_metric(LogEvent("1", 0, "s", '{"_aws": "mine"}'))
