"""What ``function schedule`` refuses before it looks for a stack."""

from __future__ import annotations

import pytest

from fal_serverless.cli.main import execute

JOBS = """
from fal_serverless import isolated

@isolated()
def nightly(n: int = 2):
    pass

@isolated()
def needs(a, b=1):
    pass

@isolated(exposed_port=8000)
def site():
    pass
"""


@pytest.mark.parametrize(
    ("expression", "name", "told"),
    [
        ("0 0 L * *", "nightly", "28-31"),
        ("0 0 */2 * 1", "nightly", "0 0 1-31/2 * 1"),
        ("* * * *", "nightly", "five are needed"),
        ("0 0 13 * FRI", "needs", "it needs a"),
        ("0 0 13 * FRI", "site", "web server"),
        ("0 0 13 * FRI", "nothing", "nothing"),
    ],
)
def test_a_refusal_says_what_why_and_what_to_do(tmp_path, capsys, expression, name, told):
    file = tmp_path / "jobs.py"
    file.write_text(JOBS, encoding="utf-8")
    assert execute(["function", "schedule", expression, str(file), name]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
    begun = [line.strip().partition(":")[0] for line in printed.err.splitlines()]
    assert begun == ["Error", "Why", "Next"]


def test_an_unknown_package_kind_is_refused(tmp_path, capsys):
    words = ["function", "schedule", "@daily", str(tmp_path / "f.py"), "f", "--package", "zip"]
    assert execute(words) == 2
    assert "auto, layer or image" in capsys.readouterr().err
