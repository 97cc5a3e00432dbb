"""Specs: options in, a frozen value or a clear error out."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from fal_serverless.errors import FalServerlessError, SpecError
from fal_serverless.spec import MACHINE_TYPES, build_spec, host_python, machine_memory


def test_defaults() -> None:
    spec = build_spec("predict", {})
    assert (spec.mode, spec.memory, spec.timeout, spec.port) == ("call", 512, 30, None)
    assert spec.environment.python == host_python()


def test_modes() -> None:
    assert build_spec("f", {"serve": True}).mode == "serve"
    spec = build_spec("f", {"exposed_port": 8080})
    assert (spec.mode, spec.port) == ("port", 8080)


def test_equal_options_make_equal_specs() -> None:
    one = build_spec("f", {"environment": {"B": "2", "A": "1"}})
    two = build_spec("f", {"environment": {"A": "1", "B": "2"}})
    assert one == two
    assert hash(one) == hash(two)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"requirments": []}, "did you mean 'requirements'"),
        ({"serve": True, "exposed_port": 8080}, "keep one"),
        ({"serve": "yes"}, "serve=True"),
        ({"exposed_port": 80}, "1,024 to 65,535"),
        ({"exposed_port": True}, "1,024"),
        ({"kind": "conda"}, "virtualenv"),
        ({"kind": "virtualen"}, "did you mean 'virtualenv'"),
        ({"machine_type": "GPU-T4"}, "no GPUs"),
        ({"machine_type": "XXL"}, "did you mean 'XL'"),
        ({"machine_type": 64}, "128 to 10,240 MB"),
        ({"machine_type": 1.5}, "number of MB"),
        ({"timeout": 901}, "1 to 900 s"),
        ({"ephemeral_storage": 100}, "512 to 10,240 MB"),
        ({"architecture": "amd64"}, "x86_64"),
        ({"architecture": "arm"}, "arm64"),
        ({"python_version": "2.7"}, "Lambda runs Python"),
        ({"environment": {"FAL_X": "1"}}, "another name"),
        ({"environment": {"AWS_REGION": "1"}}, "another name"),
        ({"environment": {"A": 1}}, "values strings"),
        ({"environment": ["A"]}, "dict"),
        ({"secrets": "TOKEN"}, "secrets=['TOKEN']"),
        ({"files": [""]}, "non-empty"),
        ({"keep_alive": -1}, "seconds"),
        ({"max_concurrency": 0}, "1 to"),
    ],
)
def test_bad_options_say_why_and_what_to_do(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as caught:
        build_spec("f", options)
    assert words in str(caught.value)


def test_another_python_is_refused_with_the_reason() -> None:
    other = "3.12" if host_python() != "3.12" else "3.13"
    with pytest.raises(SpecError, match="pickled"):
        build_spec("f", {"python_version": other})


def test_machine_types() -> None:
    for name, memory in MACHINE_TYPES.items():
        assert machine_memory(name) == memory
    assert machine_memory(2048) == 2048
    assert machine_memory("2048") == 2048


def test_errors_survive_pickling() -> None:
    error = SpecError("a", reason="b", hint="c")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, FalServerlessError)
    assert (again.message, again.reason, again.hint) == ("a", "b", "c")
