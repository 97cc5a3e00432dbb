"""What publishing knows: records of the registry, live Lambda functions. Frozen values."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fal_serverless.spec import Architecture, Auth, Mode, PackageKind

LEASE_SECONDS = 20
"""How long a lease outlives its holder; holders renew it every quarter of that."""
HISTORY_MAX = 20
"""Former revisions that an alias remembers, newest first."""
EVENTS_MAX = 100
"""Events that an alias remembers, newest first; a record has 400 KB (DynamoDB), an event 0.3."""


class Revision(Frozen, kw_only=True):
    """One immutable publication of a function.

    Attributes:
        id: lower-case UUID, also the label of its own URL.
        owner: user id.
        name: of the decorated function.
        function: name of the Lambda function.
        version: Lambda version number.
        auth: of the revision's own URL.
        timeout: seconds.
        memory: MB.
        lock: digest of the resolved requirements, empty without any.
        bundle: SHA-256 of the function's bundle, hex.
        size: bytes, unzipped, bundle and layers together.
        created_at: ISO 8601, UTC.
        image: digest of its image, for image packages.
        snap_start: whether its environments begin from a snapshot.
        base: what that image begins with, by digest.
    """

    id: str
    owner: str
    name: str
    function: str
    version: str
    auth: Auth
    mode: Mode
    timeout: int
    memory: int
    python: str
    architecture: Architecture
    package: PackageKind
    lock: str
    bundle: str
    layers: tuple[str, ...]
    size: int
    message: str
    created_at: str
    image: str = ""
    snap_start: bool = False
    base: str = ""


class Move(Frozen, kw_only=True):
    """A revision that an alias pointed at before, since when, and what moved it away."""

    revision: str
    at: str
    by: str = "serve"


class Event(Frozen, kw_only=True):
    """One change of an alias.

    Attributes:
        at: ISO 8601, UTC.
        action: ``serve``, ``set`` and ``rollback`` move it; ``split`` and ``stop`` are a split's
            begin and end, ``abort`` is its end by its alarm.
        by: AWS principal of who did it, or ``alarm``.
        revision: that the alias points at since, or still.
        split: (revision, percent) of the split that began or ended.
    """

    at: str
    action: str
    by: str
    revision: str
    split: tuple[str, int] | None = None


class Alias(Frozen, kw_only=True):
    """A name that points at a revision, as the registry has it.

    Attributes:
        token: changes with each write; a write is conditional on the token that was read.
        history: former revisions, newest first.
        events: who changed it when, newest first.
        split: (revision, percent) of a second revision that gets part of the requests, or None.
        abort_on_errors: percentage of failed requests that ends the split, or None.
        alarm: CloudWatch alarm that watches the split, or is still to be deleted; or empty.
        retiring: Lambda function whose alias of this name is still to be deleted, or empty.
        min_concurrency: provisioned environments.
    """

    name: str
    owner: str
    revision: str
    function: str
    auth: Auth
    moved_at: str
    token: str = ""
    history: tuple[Move, ...] = ()
    events: tuple[Event, ...] = ()
    split: tuple[str, int] | None = None
    abort_on_errors: float | None = None
    alarm: str = ""
    retiring: str = ""
    min_concurrency: int = 0

    @property
    def targets(self) -> tuple[str, ...]:
        """Ids of the revisions that requests are sent to."""
        return (self.revision, self.split[0]) if self.split else (self.revision,)

    def after(self, event: Event, **changes: Any) -> Alias:
        """A renewed copy that remembers ``event``."""
        return self.renewed(events=(event, *self.events)[:EVENTS_MAX], **changes)

    def renewed(self, **changes: Any) -> Alias:
        """A copy with a token of its own and other values, as each write has it."""
        return self.replace(token=uuid.uuid4().hex, **changes)


class Route(Frozen, kw_only=True):
    """What the gateway needs to answer for one label.

    Attributes:
        label: an alias or a revision id.
        qualifier: Lambda alias or version.
        timeout: seconds.
    """

    owner: str
    label: str
    function: str
    qualifier: str
    auth: Auth
    mode: Mode
    timeout: int
    revision: str


class Storage(Frozen, kw_only=True):
    """A file system for persistent data, and the network from which it is reached.

    Attributes:
        access_point: ARN of an EFS access point.
        subnets: ids.
        security_groups: ids.
    """

    access_point: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]


class Configuration(Frozen, kw_only=True):
    """The configuration of a Lambda function.

    Attributes:
        memory: MB.
        timeout: seconds.
        ephemeral_storage: MB.
        layers: ARNs in order, for zip packages.
        variables: environment variables.
        snap_start: whether Lambda takes a snapshot of each version.
        storage: mounted at ``DATA``, or None.
    """

    role: str
    handler: str
    python: str
    architecture: Architecture
    memory: int
    timeout: int
    ephemeral_storage: int
    layers: tuple[str, ...]
    variables: Mapping[str, str]
    description: str = ""
    log_group: str = ""
    snap_start: bool = False
    storage: Storage | None = None


class LiveFunction(Frozen, kw_only=True):
    """A Lambda function as it is now.

    Attributes:
        code_sha256: base64, as Lambda gives it.
        token: Lambda's RevisionId; calls can be conditional on it.
        reserved: reserved concurrency, or None.
        snap_start: whether Lambda takes a snapshot of each version.
        snapshot: of a version: whether Lambda has one.
        mounted: whether it has a file system.
    """

    name: str
    code_sha256: str
    token: str
    package: PackageKind = "layer"
    reserved: int | None = None
    snap_start: bool = False
    snapshot: bool = False
    mounted: bool = False


KEEP_MAX = 1_000_000
KEEP_DAYS_MAX = 36_500
"""A rule's largest numbers; DynamoDB keeps 38 digits, and nobody a revision for longer."""


class Rule(Frozen, kw_only=True):
    """Which revisions of a function stay; the others go after a publish, unless they are needed.

    Attributes:
        name: of the decorated function.
        keep: how many of its newest stay.
        keep_days: how long each stays.
        by: AWS principal of who set it; ``at``: when, ISO 8601, UTC.
    """

    owner: str
    name: str
    keep: int = 0
    keep_days: int = 0
    by: str = ""
    at: str = ""

    def __str__(self) -> str:
        parts = [f"the {self.keep} newest"] if self.keep else []
        parts += [f"what is younger than {self.keep_days} days"] if self.keep_days else []
        return " and ".join(parts)


class Watched(Frozen, kw_only=True):
    """What an alarm looks at: one version, as one alias reaches it.

    Attributes:
        percent: of the requests of a minute; the alarm goes off when more fail.
    """

    function: str
    alias: str
    version: str
    percent: float


class Code(Frozen, kw_only=True):
    """Where Lambda finds a function's code: an object in the artifact bucket, or an image.

    Attributes:
        sha256: of the object, base64 as Lambda gives it, or ``""`` where it is not known.
    """

    bucket: str = ""
    key: str = ""
    image: str = ""
    sha256: str = ""


def route_of(revision: Revision) -> Route | None:
    """The route of a revision's own URL; what is neither served nor exposed has none."""
    if revision.mode == "call":
        return None
    return Route(
        owner=revision.owner,
        label=revision.id,
        function=revision.function,
        qualifier=revision.version,
        auth=revision.auth,
        mode=revision.mode,
        timeout=revision.timeout,
        revision=revision.id,
    )


def newest_first(revisions: Iterable[Revision]) -> tuple[Revision, ...]:
    """Revisions by creation time, the newest first."""
    return tuple(sorted(revisions, key=lambda item: item.created_at, reverse=True))
