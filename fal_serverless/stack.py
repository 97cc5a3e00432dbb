"""The stack's own files: found, built for Lambda, and their template pointed at S3."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless.errors import NotFoundError, PackagingError, StackError
from fal_serverless.frozen import Frozen
from fal_serverless.package.archive import Entry, write_zip
from fal_serverless.package.files import sha256_of
from fal_serverless.publish.state import Storage
from fal_serverless.settings import DEFAULT_STACK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PARTS = {"infra/gateway": "function", "infra/guard": "guard", "lambda_layers/gateway": "layer"}
"""Folders that the template names, and what ``infra/build.py`` makes of them."""
NOTHING = "-"
"""Outputs cannot be empty: this stands for nothing."""

_NO_DIGEST = f'SourceDigest: {{ Value: "{NOTHING}" }}'


class Outputs(Frozen, kw_only=True):
    """What the command needs to know of a deployed stack.

    Attributes:
        gateway_url: without a slash at its end.
        domain: of the gateway, or empty.
        requests: table of queued requests.
        queue_url: of SQS.
        builder: name of the CodeBuild project that builds Dockerfiles, or empty.
        guard: ARN of the function that alarms on splits call.
        log_days: how long the logs of functions are kept.
        version: of fal-serverless that it was deployed from; ``""`` before stacks told.
        digest: of the sources that it was deployed from; ``""`` when SAM deployed it.
        manager: name of the Lambda function behind the management API.
        api_url: of the management API.
        schedules: the group of EventBridge Scheduler that schedules are in.
        schedule_role: ARN of the role that schedules invoke functions by.
        undelivered_url: of the queue of runs that could not be handed to Lambda.
        undelivered_arn: of the same queue.
        storage: for persistent data, or None.
    """

    name: str
    table: str
    bucket: str
    role: str
    gateway_function: str
    gateway_url: str
    domain: str
    images: str
    requests: str = ""
    queue_url: str = ""
    guard: str = ""
    builder: str = ""
    log_days: int = 30
    version: str = ""
    digest: str = ""
    manager: str = ""
    api_url: str = ""
    schedules: str = ""
    schedule_role: str = ""
    undelivered_url: str = ""
    undelivered_arn: str = ""
    storage: Storage | None = None


def outputs_of(name: str, values: Mapping[str, str]) -> Outputs:
    """The outputs of a stack.

    Raises:
        StackError: some are missing: it is another stack, or of another version.
    """
    try:
        return Outputs(
            name=name,
            table=values["TableName"],
            bucket=values["ArtifactBucket"],
            role=values["FunctionRoleArn"],
            gateway_function=values["GatewayFunctionName"],
            gateway_url=values["GatewayUrl"].rstrip("/"),
            domain=_given(values["Domain"]),
            images=values["ImageRepositoryUri"],
            requests=values["RequestsTableName"],
            queue_url=values["QueueUrl"],
            guard=values["GuardFunctionArn"],
            builder=_given(values.get("BuildProjectName", NOTHING)),
            log_days=int(values["LogRetentionDays"]),
            version=values.get("Version", ""),
            digest=_given(values.get("SourceDigest", NOTHING)),
            manager=values["ManagerFunctionName"],
            api_url=values["ApiUrl"],
            schedules=values["ScheduleGroup"],
            schedule_role=values["ScheduleRoleArn"],
            undelivered_url=values["ScheduleDeadLettersUrl"],
            undelivered_arn=values["ScheduleDeadLettersArn"],
            storage=_storage(values),
        )
    except (KeyError, ValueError) as error:
        raise StackError(
            f"The stack '{name}' is not one of fal-serverless, or an older one.",
            reason=f"its outputs lack something, or hold something else: {error}",
            hint="choose another with --stack, or run: fal-serverless stack deploy",
        ) from error


def _storage(values: Mapping[str, str]) -> Storage | None:
    access_point = _given(values.get("DataAccessPointArn", NOTHING))
    if not access_point:
        return None
    return Storage(
        access_point=access_point,
        subnets=_listed(values["DataSubnetIds"]),
        security_groups=_listed(values["DataSecurityGroupIds"]),
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _given(value: str) -> str:
    return "" if value == NOTHING else value


def missing(name: str, *, local: bool) -> NotFoundError:
    """The error for a stack that is not there."""
    if local and name != DEFAULT_STACK:
        return NotFoundError(
            f"There is no stack '{name}' on this machine.",
            reason=f"the embedded stack is called '{DEFAULT_STACK}'",
            hint="leave --stack and FAL_STACK out, or, for one in AWS, --local and FAL_PROFILE",
        )
    return NotFoundError(
        f"There is no stack '{name}'.",
        reason="nothing of that name is deployed in this account and Region",
        hint="run: fal-serverless local start"
        if local
        else "run: fal-serverless stack deploy (or choose with --stack and --region)",
    )


def root() -> Path:
    """The folder that holds template.yaml: a checkout's, or the installed package's.

    Raises:
        PackagingError: neither is there.
    """
    package = Path(__file__).resolve().parent
    for folder in (package.parent, package / "_stack"):
        if (folder / "template.yaml").is_file():
            return folder
    raise PackagingError(
        "The stack's template is missing.",
        reason="template.yaml is neither beside the package nor in it",
        hint="install fal-serverless again",
    )


class Part(Frozen, kw_only=True):
    """A built part of the stack: a zip, named by its content."""

    folder: str
    path: Path
    key: str


def build(work: Path, *, python: str, architecture: str) -> tuple[Part, ...]:
    """Build the gateway's and the guard's functions and the layer into ``work``.

    Raises:
        PackagingError: a package could not be fetched or unpacked.
    """
    parts = []
    for folder, what in PARTS.items():
        with tempfile.TemporaryDirectory(dir=work) as temporary:
            _run_build(what, Path(temporary), python, architecture)
            path = work / f"{what}.zip"
            inside = sorted(item for item in Path(temporary).rglob("*") if item.is_file())
            names = {item.relative_to(temporary).as_posix(): Entry(item) for item in inside}
            write_zip(path, names)
        parts.append(Part(folder=folder, path=path, key=f"stack/{sha256_of(path)}.zip"))
    return tuple(parts)


def _run_build(what: str, target: Path, python: str, architecture: str) -> None:
    from uv import find_uv_bin

    folder = str(Path(find_uv_bin()).parent)
    variables = {
        **os.environ,
        "PATH": folder + os.pathsep + os.environ.get("PATH", ""),
        "FAL_PYTHON": python,
        "FAL_ARCHITECTURE": architecture,
    }
    ran = subprocess.run(
        [sys.executable, str(root() / "infra" / "build.py"), what, str(target)],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        lines = [line for line in ran.stderr.splitlines() if line.strip()]
        raise PackagingError(
            f"The gateway's {what} could not be built.",
            reason=" ".join(lines[-3:])[:400] or f"exit status {ran.returncode}",
            hint="check the network and the package index, and run it again",
        )


def point_at(template: str, locations: Mapping[str, str]) -> str:
    """The template with ``folder: s3://…`` in place of its local folders. Pure."""
    for folder, location in locations.items():
        for key in ("CodeUri", "ContentUri"):
            template = template.replace(f"{key}: {folder}\n", f"{key}: {location}\n")
    return template


def deploy(
    deployer: Deployer,
    name: str,
    parameters: Mapping[str, str],
    *,
    python: str,
    architecture: str,
    tell: Callable[[str], None],
    approve: Callable[[Proposal], bool] = lambda _: True,
) -> bool:
    """Build, upload and deploy the stack; False when nothing was changed.

    Args:
        approve: is shown what would change, and says whether to go on; it may raise as well.

    Raises:
        ConflictError: the stack is being changed already.
        StackError: CloudFormation refused or rolled back; the first failure is the reason.
    """
    # Asked first, so that whoever has no credentials does not wait for a build.
    bucket = deployer.bootstrap_bucket()
    with tempfile.TemporaryDirectory(prefix="fal-stack-") as folder:
        tell("build the gateway")
        parts = build(Path(folder), python=python, architecture=architecture)
        locations = {}
        for part in parts:
            tell(f"upload {part.folder} ({part.path.stat().st_size / 1e6:.1f} MB)")
            deployer.upload(bucket, part.key, part.path)
            locations[part.folder] = f"s3://{bucket}/{part.key}"
    template = point_at((root() / "template.yaml").read_text(encoding="utf-8"), locations)
    template = with_digest(template, digest())
    values = {"PythonVersion": python, "Architecture": architecture, **parameters}
    tell(f"deploy {name}")
    proposal = deployer.propose(name, template, values, tell)
    if proposal is None:
        return False
    try:
        go_on = approve(proposal)
    except BaseException:
        deployer.discard(proposal)
        raise
    if go_on:
        deployer.execute(proposal, tell)
    else:
        deployer.discard(proposal)
    return go_on


def with_digest(template: str, value: str) -> str:
    """The template with the digest of what it is deployed from among its outputs. Pure."""
    return template.replace(_NO_DIGEST, _NO_DIGEST.replace(f'"{NOTHING}"', f'"{value}"'))


def digest() -> str:
    """What the stack is made of, as a SHA-256: the template, the parts' sources, the package."""
    folder = root()
    package = folder / "fal_serverless" if (folder / "fal_serverless").is_dir() else folder.parent
    files = [folder / "template.yaml", *sorted((folder / "infra").rglob("*"))]
    files += [*sorted((folder / "lambda_layers").rglob("*")), *sorted(package.glob("*.py"))]
    for part in ("gateway", "aws", "manage", "publish"):
        files += sorted((package / part).rglob("*.py"))
    found = hashlib.sha256()
    for path in files:
        if path.is_file() and path.suffix != ".pyc":
            found.update(path.read_bytes())
    return found.hexdigest()


if TYPE_CHECKING:
    from fal_serverless.aws.cloudformation import Deployer
    from fal_serverless.changes import Proposal
