"""What was sent is what usage, usage workers and key list tell of."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_operate import until

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TEXT = """
import os
from fal_serverless import isolated

@isolated(serve=True, machine_type="S")
def counted(text: str = ""):
    if text == "fail":
        raise KeyError(text)
    if text == "die":
        os._exit(3)
    return {}
"""


@pytest.fixture(scope="module")
def keys(stack: Stack):
    words = ("key", "generate", "--scope", "API", "--json")
    made = [stack.run(*words, "--alias", name).json() for name in ("one", "two")]
    return [{"X-Fal-Key-Id": k["key_id"], "X-Fal-Key-Secret": k["key_secret"]} for k in made]


@pytest.fixture(scope="module")
def sent(stack: Stack, keys, tmp_path_factory):
    """The revision, after five requests with one key, and two with the other."""
    file = tmp_path_factory.mktemp("counted") / "mine.py"
    file.write_text(TEXT, encoding="utf-8")
    revision = stack.serve(file, "counted", "--alias", "counted")["revision"]
    one, two = keys
    texts = ("a", "b", "fail", "die", "c")
    statuses = [stack.call("counted", body={"text": t}, headers=one).status for t in texts]
    assert statuses == [200, 200, 500, 502, 200]
    assert stack.call("counted", body={"text": "fail"}, headers=two).status == 500
    assert stack.call(revision, body={}, headers=two).status == 200
    assert stack.call("counted", body={}, headers={**one, "X-Fal-Key-Secret": "no"}).status == 401
    return revision


def test_usage_agrees_with_what_was_sent(stack: Stack, keys, sent):
    ids = [key["X-Fal-Key-Id"] for key in keys]

    def told():
        found = stack.run("usage", "--json").json()
        by_key = {item["key_id"]: item for item in found["keys"]}
        by_name = {item["alias"]: item for item in found["aliases"]}
        whole = [by_key[name]["requests"] for name in ids] == [5, 2]
        return (found, by_name, by_key) if whole and by_name[sent]["requests"] == 1 else None

    found, by_name, by_key = until(told, 30)
    assert found["source"] == "log"
    assert found["prices"] == {"region": "us-east-1", "as_of": "2024-09", "currency": "USD"}
    alias = by_name["counted"]
    assert (alias["requests"], alias["errors"], alias["throttled"]) == (6, 3, None)
    # The first request began an environment, and another one followed the one that died.
    assert alias["cold_starts"] == 2
    assert 0 < alias["p50_ms"] <= alias["p95_ms"] <= alias["p99_ms"]
    assert sum(alias["over_time"]) == 6
    assert alias["gb_seconds"] > 0
    expected = 6 * 2e-7 + alias["gb_seconds"] * 0.0000166667
    assert alias["estimated_cost"] == pytest.approx(expected)
    assert (by_name[sent]["requests"], by_name[sent]["errors"]) == (1, 0)
    assert [(by_key[name]["requests"], by_key[name]["errors"]) for name in ids] == [(5, 2), (2, 1)]
    for name in ("requests", "errors"):
        assert found["total"][name] == sum(item[name] for item in found["aliases"])


def test_usage_for_people(stack: Stack, sent):
    shown = stack.run("usage", "--since", "1h")
    line = next(line for line in shown.output.splitlines() if line.startswith("counted "))
    assert line.split()[:5] == ["counted", "6", "3", "unknown", "2"]
    assert line.rstrip()[-1] in "▁▂▃▄▅▆▇█"
    assert "From the log" in shown.errors
    assert "no free tier" in shown.errors
    free = stack.run("usage", "--no-cost").output
    assert "GB-s" in free
    assert "$" not in free
    assert "cost" not in free


def test_workers(stack: Stack, sent):
    found = stack.run("usage", "workers", "--json").json()
    worker = next(item for item in found["workers"] if item["name"] == "counted")
    assert worker["function"] == f"fal-{stack.user}-counted-z"
    assert (worker["peak"], worker["cold_starts"]) == (1, 2)
    assert (worker["reserved"], worker["provisioned"]) == (None, {})
    assert found["unreserved"] > 0
    assert "counted" in stack.run("usage", "workers").output


def test_what_usage_cannot_do(stack: Stack, tmp_path):
    for words in (
        ("--since", "soon"),
        ("--since", "500d"),
        ("--source", "metric"),
        ("--prices", str(tmp_path / "missing.json")),
    ):
        refused = stack.run("usage", *words, ok=False)
        assert refused.status == 2, words
        assert "Next:" in refused.errors


def test_metrics_of_an_emulator_are_refused_and_not_believed(stack: Stack, sent):
    refused = stack.run("usage", "--source", "metrics", ok=False)
    assert refused.status == 1
    assert "--source log" in refused.errors


def test_keys_show_when_they_were_used_and_what_became_of_them(stack: Stack, keys, sent):
    def listed():
        found = stack.run("key", "list", "--json").json()["keys"]
        return {item["key_id"]: item for item in found}

    name = keys[0]["X-Fal-Key-Id"]
    last = until(lambda: listed()[name]["last_used"], 30)
    ago = time.time() - datetime.fromisoformat(last.replace("Z", "+00:00")).timestamp()
    assert 0 <= ago < 600
    words = ("key", "generate", "--scope", "API", "--json")
    brief = stack.run(*words, "--expires", "1s").json()
    never = stack.run(*words).json()["key_id"]
    stack.run("key", "revoke", never)
    found = until(lambda: f if (f := listed())[brief["key_id"]]["state"] == "expired" else None)
    assert (found[never]["state"], found[never]["last_used"]) == ("revoked", None)
    assert (found[name]["state"], found[name]["expires_at"]) == ("live", None)
    assert "not in the last 90 days" in stack.run("key", "list").output
    for wrong in ("0d", "soon", "200y"):
        assert stack.run(*words, "--expires", wrong, ok=False).status == 2
    assert stack.run("key", "revoke", "nobody", ok=False).status == 3
    made = datetime.fromisoformat(brief["expires_at"].replace("Z", "+00:00"))
    assert made.tzinfo == timezone.utc
