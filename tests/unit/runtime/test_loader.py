"""What must not be unpickled is refused before it is."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys

import pytest

from fal_serverless.runtime.handler import Runtime
from fal_serverless.runtime.loader import BundleError, load

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


class Bomb:
    def __reduce__(self):
        return (sys.exit, ("unpickled",))


def bundle(folder, content, **changes):
    pickled = pickle.dumps(content)
    spec = {
        "format": 1,
        "name": "f",
        "mode": "serve",
        "python": HERE,
        "architecture": "x86_64",
        "native": False,
        "pickle_sha256": hashlib.sha256(pickled).hexdigest(),
        "arguments": {},
        **changes,
    }
    (folder / "function.pkl").write_bytes(pickled)
    (folder / "spec.json").write_text(json.dumps(spec))
    return folder


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"python": "3.9"}, "pickled by Python 3.9"),
        ({"format": 99}, "bundle format 99"),
        ({"architecture": "sparc", "native": True}, "for sparc"),
        ({"pickle_sha256": "0" * 64}, "not the file"),
    ],
)
def test_refused_before_it_is_unpickled(tmp_path, changes, told):
    with pytest.raises(BundleError, match=told):
        load(bundle(tmp_path, Bomb(), **changes))


def test_a_failed_load_is_told_with_each_request(tmp_path):
    runtime = Runtime(bundle(tmp_path, Bomb()))
    with pytest.raises(BundleError, match="SystemExit: unpickled"):
        runtime.handle({}, None)


def test_loads(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    loaded = load(bundle(tmp_path, {"function": len, "setup": None}))
    assert loaded.function([1]) == 1
