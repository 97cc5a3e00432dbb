from __future__ import annotations

from dataclasses import replace

import pytest

from fal_serverless.gateway.target import Target, normal_host, resolve, split_absolute

DOMAIN = "gateway.localhost"
UUID = "21847a72-93e6-4227-ae6f-56bf3a90142d"


@pytest.mark.parametrize(
    ("host", "path", "target"),
    [
        ("12-call.gateway.localhost", "/", Target("12", "call", "/")),
        ("12-CALL.Gateway.LOCALHOST:8080", "/a//b%2Fc", Target("12", "call", "/a//b%2Fc")),
        ("12-call.gateway.localhost.:80", "/", Target("12", "call", "/")),
        (f"12-{UUID}.gateway.localhost", "/x", Target("12", UUID, "/x")),
        # A target's own host has no other targets in its paths.
        ("12-call.gateway.localhost", "/13-other/x", Target("12", "call", "/13-other/x")),
        ("run.gateway.localhost", "/12/call/x", Target("12", "call", "/x")),
        ("run.gateway.localhost", "/12-call/x", None),
        ("queue.gateway.localhost", "/12/call/a", Target("12", "call", "/a")),
        ("queue.gateway.localhost", "/12-call/a", None),
        ("localhost", "/queue/12/call/x", Target("12", "call", "/x")),
        ("gateway.localhost", "/12-call/x", Target("12", "call", "/x")),
        ("localhost:8080", "/12-call", Target("12", "call", "/")),
        ("localhost:8080", "/12-call/", Target("12", "call", "/")),
        ("localhost:8080", "/12-call//x/%2e%2e", Target("12", "call", "//x/%2e%2e")),
        ("a.execute-api.eu-central-1.amazonaws.com", "/12-a", Target("12", "a", "/")),
        # Another domain's subdomain is any host.
        ("13-other.example.com", "/12-call/", Target("12", "call", "/")),
        ("12-call.other.gateway.localhost", "/13-x/", Target("13", "x", "/")),
        ("[::1]:8080", "/12-call/", Target("12", "call", "/")),
        ("", "/12-call/", Target("12", "call", "/")),
        ("localhost", f"/trigger/12/{UUID}/a/b", Target("12", UUID, "/a/b")),
        ("localhost", "/trigger/12/call/a", None),
        ("localhost", "/12/call/a%20b", Target("12", "call", "/a%20b")),
        ("localhost", "/12/call", Target("12", "call", "/")),
        ("localhost", "/run/12/call/x", Target("12", "call", "/x")),
        ("api.gateway.localhost:8080", "/v1/me", Target("", "api", "/v1/me")),
        ("api.gateway.localhost", "/12-call/x", Target("", "api", "/12-call/x")),
        ("12-call.gateway.localhost", "/api/v1/me", Target("12", "call", "/api/v1/me")),
        ("localhost", "/api", Target("", "api", "/")),
        ("localhost", "/api/v1/me", Target("", "api", "/v1/me")),
        ("localhost", "/apiv1", None),
        ("localhost", "/", None),
        ("localhost", "", None),
        ("localhost", "*", None),
        ("localhost", "/12", None),
        ("localhost", "/12/", None),
        ("localhost", "/12-", None),
        ("localhost", "/12-a_b/", None),
        ("localhost", "/x-call/", None),
        ("localhost", "/1-2/call/", Target("1", "2", "/call/")),
        ("localhost", "/12-" + "a" * 61, None),
        ("localhost", "/12-" + "a" * 60, Target("12", "a" * 60, "/")),
    ],
)
def test_addresses(host: str, path: str, target: Target | None) -> None:
    found = resolve(host, path, DOMAIN)
    assert (replace(found, prefix="", queue=False) if found else None) == target


def test_without_a_domain_only_paths_name_targets() -> None:
    assert resolve("12-call.gateway.localhost", "/", "") is None
    assert resolve("12-call.", "/13-x/y", "") == Target("13", "x", "/y", "/13-x")


@pytest.mark.parametrize(
    ("host", "path", "prefix", "queue"),
    [
        ("12-call.gateway.localhost", "/a", "", False),
        ("localhost", "/12-call/a", "/12-call", False),
        ("localhost", "/12/call/a", "/12/call", False),
        ("localhost", f"/trigger/12/{UUID}/a", f"/trigger/12/{UUID}", False),
        ("localhost", "/run/12/call", "/run/12/call", False),
        ("localhost", "/queue/12/call/", "/queue/12/call", True),
        ("run.gateway.localhost", "/12/call/a", "/12/call", False),
        ("queue.gateway.localhost", "/12/call/a", "/12/call", True),
    ],
)
def test_what_stands_before_the_path(host: str, path: str, prefix: str, queue: bool) -> None:
    found = resolve(host, path, DOMAIN)
    assert found is not None
    assert (found.prefix, found.queue) == (prefix, queue)


def test_a_domain_may_be_written_in_any_way() -> None:
    assert resolve("1-a.example.com", "/", ".Example.COM.") == Target("1", "a", "/")


def test_names() -> None:
    assert Target("", "api", "/").name == "api"
    assert Target("12", "call", "/x").name == "12-call"
    assert normal_host(" A.B:1 ") == "a.b"


@pytest.mark.parametrize(
    ("target", "split"),
    [
        ("/a", (None, "/a")),
        ("http://h:1/a/b", ("h:1", "/a/b")),
        ("HTTPS://h", ("h", "/")),
        ("*", (None, "*")),
    ],
)
def test_request_targets_may_be_whole_urls(target: str, split: tuple[str | None, str]) -> None:
    assert split_absolute(target) == split
