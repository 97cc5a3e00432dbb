"""``sync_dir``: a folder of this machine in the persistent data of functions.

The file system can only be reached by functions, so that a function takes the files: they travel as
tars by way of the stack's bucket, and what is there already stays at home.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
import tempfile
import uuid
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from fal_serverless.errors import UsageError
from fal_serverless.function import IsolatedFunction
from fal_serverless.hosts import LambdaHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fal_serverless.remote.lambda_host import Runner

ROOT = "/data"
"""How the original names the persistent data; functions find it where ``FAL_DATA_DIR`` says."""
BATCH = 1 << 26
"""Bytes of small files that travel together; a larger file travels alone."""
_CHUNK = 1 << 20
Wanted = dict[str, tuple[int, str]]


def sync_dir(
    local_dir: str | os.PathLike[str],
    remote_dir: str,
    force_upload: bool = False,
    *,
    host: LambdaHost | None = None,
) -> str:
    """Make a folder of the persistent data like a folder of this machine.

    Files that are there as they are here are not sent; files that are not here are deleted there.
    What the folder's ``.gitignore`` names stays here, and is deleted there.

    Args:
        local_dir: the folder.
        remote_dir: path below ``/data``, such as ``/data/models``.
        force_upload: send everything.
        host: which stack; the configured one if it is left out.

    Returns:
        The folder's path for functions.

    Raises:
        UsageError: the folder or path cannot be used, or the stack has no persistent data.
        FalServerlessError: AWS refused a step.
    """
    from fal_serverless.remote import lambda_host
    from fal_serverless.runtime import data

    source, target = Path(local_dir).expanduser(), _target(remote_dir)
    found = files(source)
    where = host or LambdaHost()
    place = lambda_host.data_of(where)
    if not place:
        raise UsageError(
            "This stack has no persistent data.",
            reason="it was deployed without an EFS access point (parameter DataAccessPointArn)",
            hint="run: fal-serverless stack deploy --data-access-point ARN --data-subnets … "
            "--data-security-groups …",
        )
    _say(f"Syncing {local_dir} with {remote_dir}...")
    wanted: Wanted = {name: (path.stat().st_size, _digest(path)) for name, path in found.items()}

    def remote(function: Callable[..., Any]) -> Runner:
        return lambda_host.runner(IsolatedFunction(function, {}), where)

    missing = remote(data.differing)((target, wanted, force_upload), {})
    receive = remote(data.receive)
    for batch in batches({name: wanted[name][0] for name in missing}):
        _send(receive, target, {name: found[name] for name in batch}, wanted)
    gone = remote(data.finish)((target, wanted), {})
    if missing or gone:
        size = sum(wanted[name][0] for name in missing)
        _say(f"Done: {len(missing)} files sent ({size / 1e6:.1f} MB), {gone} deleted")
    else:
        _say(f"{remote_dir} already uploaded and matches {local_dir}")
    return str(PurePosixPath(place) / target)


def files(source: Path) -> dict[str, Path]:
    """The files of a folder by their names in it, without those that its ``.gitignore`` names.

    Raises:
        UsageError: it is no folder, or holds what is neither a file nor a folder.
    """
    if not source.is_dir():
        raise UsageError(
            f"'{source}' is not a folder.",
            reason="it is a file" if source.exists() else "it does not exist",
            hint="name the folder whose files functions need",
        )
    from pathspec import GitIgnoreSpec

    ignore = source / ".gitignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
    ignored = GitIgnoreSpec.from_lines(lines)
    found = {}
    for place, folders, names in os.walk(source):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(place) / name
            relative = path.relative_to(source).as_posix()
            if ignored.match_file(relative):
                continue
            if not path.is_file():
                raise UsageError(
                    f"'{path}' cannot be sent.",
                    reason="it is neither a file nor a folder, or a link to a folder or to nothing",
                    hint="take it away, or name it in the folder's .gitignore",
                )
            found[relative] = path
    return found


def batches(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Names in groups of about ``BATCH`` bytes. Pure."""
    batch: list[str] = []
    weight = 0
    for name, size in sizes.items():
        if batch and weight + size > BATCH:
            yield batch
            batch, weight = [], 0
        batch.append(name)
        weight += size
    if batch:
        yield batch


def _send(receive: Runner, target: str, paths: Mapping[str, Path], wanted: Wanted) -> None:
    key = f"calls/{uuid.uuid4()}/files"
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w", dereference=True) as archive:
            for name, path in paths.items():
                archive.add(path, name, recursive=False)
        file.seek(0)
        receive.remote.put(key, file)
    try:
        url = receive.remote.url("get_object", key)
        receive((target, url, {name: wanted[name] for name in paths}), {})
    finally:
        receive.remote.delete([key])


def _target(remote_dir: str) -> str:
    path = PurePosixPath(remote_dir)
    parts = path.parts[2:]
    if path.parts[:2] != ("/", "data") or not parts or ".." in parts:
        raise UsageError(
            f"remote_dir cannot be {remote_dir!r}.",
            reason=f"it is an absolute path below {ROOT}",
            hint="write for example sync_dir('models', '/data/models')",
        )
    return "/".join(parts)


def _digest(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            hashed.update(block)
    return hashed.hexdigest()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
