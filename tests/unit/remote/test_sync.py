"""A folder here and a folder of the persistent data: what is sent, what goes, what is refused."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

from fal_serverless import sync
from fal_serverless.errors import UsageError
from fal_serverless.runtime import data
from tests.support.objects import objects


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.setenv("FAL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "models"


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "here"
    for name, text in (("a.bin", "one"), ("deep/er/b.bin", "two"), ("skip.log", "no")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / ".gitignore").write_text("*.log\n")
    return folder


def packed(paths):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", dereference=True) as archive:
        for name, path in paths.items():
            archive.add(path, name, recursive=False)
    return file.getvalue()


def synced(folder, *, force=False):
    """What ``sync_dir`` does, with a server in S3's place: what was sent, and how many went."""
    found = sync.files(folder)
    wanted = {name: (path.stat().st_size, sync._digest(path)) for name, path in found.items()}
    missing = data.differing("models", wanted, force)
    with objects() as server:
        server.objects["/files"] = packed({name: found[name] for name in missing})
        data.receive("models", f"{server.url}/files", wanted)
    return sorted(missing), data.finish("models", wanted)


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file() and path.name != data.INDEX
    }


def test_only_what_changed_is_sent_and_what_is_gone_goes(here, there):
    assert synced(here) == ([".gitignore", "a.bin", "deep/er/b.bin"], 0)
    assert contents(there) == {".gitignore": "*.log\n", "a.bin": "one", "deep/er/b.bin": "two"}
    assert synced(here) == ([], 0)
    (here / "a.bin").write_text("uno")
    (here / "deep" / "er" / "b.bin").unlink()
    assert synced(here) == (["a.bin"], 1)
    assert contents(there) == {".gitignore": "*.log\n", "a.bin": "uno"}
    assert not (there / "deep").exists()
    assert synced(here, force=True) == ([".gitignore", "a.bin"], 0)


def test_files_that_others_changed_or_whose_index_is_lost_are_read_again(here, there):
    synced(here)
    (there / data.INDEX).write_text("nonsense")
    assert synced(here) == ([], 0)
    (there / "a.bin").write_text("ONE")
    assert synced(here) == (["a.bin"], 0)


def test_links_stay_inside_and_modes_travel(here, there, tmp_path):
    (here / "run.sh").write_text("#!/bin/sh\n")
    (here / "run.sh").chmod(0o755)
    (here / "link").symlink_to(here / "a.bin")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.bin").write_text("kept")
    (there / "deep").mkdir(parents=True)
    (there / "deep" / "er").symlink_to(outside)
    (there / "a.bin").mkdir()
    synced(here)
    assert os.access(there / "run.sh", os.X_OK)
    assert (there / "link").read_text() == "one"
    assert not (there / "link").is_symlink()
    assert (there / "deep" / "er" / "b.bin").read_text() == "two"
    assert (outside / "b.bin").read_text() == "kept"


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", ".", "a/../../up"])
def test_nothing_leaves_the_folder(there, name):
    with pytest.raises(ValueError, match="not inside"):
        data.differing("models", {name: (1, "")}, False)


def test_an_archive_that_is_not_as_announced_is_refused(here, there):
    with objects() as server:
        server.objects["/files"] = packed({"a.bin": here / "a.bin"})
        for wanted in ({}, {"a.bin": (3, "0" * 64)}):
            with pytest.raises(OSError, match=r"announced|changed"):
                data.receive("models", f"{server.url}/files", wanted)
    assert not list(there.rglob("*.bin"))
    assert not list(there.rglob(".fal-*"))


def test_small_files_travel_together_and_large_ones_alone():
    sizes = {"a": 1, "b": sync.BATCH - 1, "c": 1, "d": sync.BATCH * 3, "e": 1, "f": 1}
    assert list(sync.batches(sizes)) == [["a", "b"], ["c"], ["d"], ["e", "f"]]
    assert list(sync.batches({})) == []


@pytest.mark.parametrize(
    "path", ["models", "/models", "/data", "/data/", "/data/../x", "/database"]
)
def test_paths_below_data_alone(here, path):
    with pytest.raises(UsageError, match="remote_dir"):
        sync.sync_dir(here, path)


def test_what_is_no_file_is_refused(here, tmp_path):
    with pytest.raises(UsageError, match="is not a folder"):
        sync.sync_dir(here / "a.bin", "/data/models")
    (here / "loop").symlink_to(here)
    with pytest.raises(UsageError, match="cannot be sent"):
        sync.files(here)
