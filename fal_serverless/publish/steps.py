"""The steps of a publish, as values: ``plan`` decides on them, ``apply`` runs them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from pathlib import Path

    from fal_serverless.publish.state import Rule
    from fal_serverless.spec import Auth


class Upload(Frozen, kw_only=True):
    """Put a content-addressed file into the artifact bucket, unless it is there."""

    key: str
    path: Path
    size: int


class PublishLayer(Frozen, kw_only=True):
    """Make a Lambda layer of an uploaded file, unless there is one of that content."""

    name: str
    key: str


class PushImage(Frozen, kw_only=True):
    """Push an image into the stack's repository; what is there already is not sent."""

    digest: str
    size: int


class PutFunction(Frozen, kw_only=True):
    """Give the Lambda function this revision's code and configuration; ``create`` if it is new."""

    function: str
    create: bool
    code_key: str
    layers: tuple[str, ...]
    image: str = ""


class Reserve(Frozen, kw_only=True):
    """Set the reserved concurrency of the Lambda function, or with None remove it."""

    function: str
    count: int | None


class PublishVersion(Frozen, kw_only=True):
    """Freeze what the Lambda function is now as a version, and check that it is ours.

    Attributes:
        snapshot: whether Lambda takes a snapshot of it, which is waited for.
    """

    function: str
    snapshot: bool = False


class RecordRevision(Frozen, kw_only=True):
    """Write the revision and its route into the registry."""

    function: str
    revision: str
    auth: Auth


class MoveAlias(Frozen, kw_only=True):
    """Point an alias at the new revision."""

    alias: str
    function: str
    auth: Auth


class Provision(Frozen, kw_only=True):
    """Keep a number of environments ready for the alias."""

    function: str
    alias: str
    count: int


class ClearAlias(Frozen, kw_only=True):
    """Delete what the alias had before it moved.

    Attributes:
        function: Lambda function whose alias of this name goes, or empty.
        alarm: CloudWatch alarm of a split that ended, or empty.
    """

    alias: str
    function: str = ""
    alarm: str = ""


class SetRule(Frozen, kw_only=True):
    """Write down which revisions of the function stay from now on."""

    rule: Rule


class Prune(Frozen, kw_only=True):
    """Delete the revisions that the function's rule lets go and nothing needs.

    Attributes:
        revisions: ids that will go, by what is known now; it is decided anew.
    """

    rule: Rule
    revisions: tuple[str, ...]


Step = (
    Upload
    | PublishLayer
    | PushImage
    | PutFunction
    | Reserve
    | PublishVersion
    | RecordRevision
    | MoveAlias
    | Provision
    | ClearAlias
    | SetRule
    | Prune
)


def describe(step: Step) -> str:
    """One line for a person, as ``--dry-run`` prints it."""
    match step:
        case Upload() | PublishLayer() | PushImage():
            return _describe_artifact(step)
        case PutFunction():
            verb = "create" if step.create else "update"
            return f"{verb} Lambda function {step.function}"
        case Reserve(count=None):
            return f"remove the reserved concurrency of {step.function}"
        case Reserve():
            return f"reserve {step.count} concurrent environments for {step.function}"
        case PublishVersion():
            waiting = ", and wait for its snapshot" if step.snapshot else ""
            return f"publish a version of {step.function}{waiting}"
        case RecordRevision():
            return f"record revision {step.revision} ({step.auth})"
        case SetRule() | Prune():
            return _describe_retention(step)
        case _:
            return _describe_alias(step)


def _describe_alias(step: MoveAlias | Provision | ClearAlias) -> str:
    match step:
        case MoveAlias():
            return f"point alias {step.alias} at it ({step.auth})"
        case Provision(count=0):
            return f"remove the provisioned concurrency of {step.alias}"
        case Provision():
            return f"keep {step.count} environments ready for {step.alias}"
        case ClearAlias():
            parts = [f"the alias {step.alias} of {step.function}"] if step.function else []
            parts += [f"the alarm {step.alarm}"] if step.alarm else []
            return "delete " + " and ".join(parts)


def _describe_retention(step: SetRule | Prune) -> str:
    match step:
        case SetRule():
            return f"keep {step.rule} of {step.rule.name}, from now on"
        case Prune(revisions=()):
            return f"delete no revision: {step.rule.name} keeps {step.rule}"
        case Prune():
            going = ", ".join(step.revisions)
            return f"delete {len(step.revisions)} old revisions of {step.rule.name}: {going}"


def _describe_artifact(step: Upload | PublishLayer | PushImage) -> str:
    match step:
        case Upload():
            return f"upload {step.key} ({step.size / 1e6:.1f} MB)"
        case PublishLayer():
            return f"publish layer {step.name}"
        case PushImage():
            return f"push image {step.digest[:19]} ({step.size / 1e6:.1f} MB on its base)"
