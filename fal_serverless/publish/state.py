"""What publishing knows and asks for: records of the registry, live Lambda functions, protocols.

Values are frozen; the protocols are satisfied by ``fal_serverless.aws`` and by the doubles of the
tests.
"""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from fal_serverless.package.image import BuiltImage
    from fal_serverless.publish.schedules import Schedule
    from fal_serverless.spec import Architecture, Auth, Mode, PackageKind

LEASE_SECONDS = 20
"""How long a lease outlives its holder; holders renew it every quarter of that."""
HISTORY_MAX = 20
"""Former revisions that an alias remembers, newest first."""
EVENTS_MAX = 100
"""Events that an alias remembers, newest first; a record has 400 KB (DynamoDB), an event 0.3."""


@dataclass(frozen=True, kw_only=True)
class Revision:
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


@dataclass(frozen=True, kw_only=True)
class Move:
    """A revision that an alias pointed at before, since when, and what moved it away."""

    revision: str
    at: str
    by: str = "serve"


@dataclass(frozen=True, kw_only=True)
class Event:
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


@dataclass(frozen=True, kw_only=True)
class Alias:
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

    def replace(self, **changes: Any) -> Alias:
        """A copy with other values."""
        return dataclasses.replace(self, **changes)

    def after(self, event: Event, **changes: Any) -> Alias:
        """A renewed copy that remembers ``event``."""
        return self.renewed(events=(event, *self.events)[:EVENTS_MAX], **changes)

    def renewed(self, **changes: Any) -> Alias:
        """A copy with a token of its own and other values, as each write has it."""
        return self.replace(token=uuid.uuid4().hex, **changes)


@dataclass(frozen=True, kw_only=True)
class Route:
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


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A file system for persistent data, and the network from which it is reached.

    Attributes:
        access_point: ARN of an EFS access point.
        subnets: ids.
        security_groups: ids.
    """

    access_point: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Configuration:
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


@dataclass(frozen=True, kw_only=True)
class LiveFunction:
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


@dataclass(frozen=True, kw_only=True)
class Rule:
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


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What an alarm looks at: one version, as one alias reaches it.

    Attributes:
        percent: of the requests of a minute; the alarm goes off when more fail.
    """

    function: str
    alias: str
    version: str
    percent: float


@dataclass(frozen=True, kw_only=True)
class Code:
    """Where Lambda finds a function's code: an object in the artifact bucket, or an image."""

    bucket: str = ""
    key: str = ""
    image: str = ""


class Images(Protocol):
    """The stack's image repository."""

    def has(self, digest: str) -> bool:
        """Whether an image is there."""

    def push(self, built: BuiltImage, tell: Callable[[int], None]) -> None:
        """Push one; ``tell`` is told of bytes sent."""

    def delete(self, digests: Iterable[str]) -> None:
        """Delete images; nothing happens when they are gone."""


class Logs(Protocol):
    """The logs of Lambda functions."""

    def delete(self, function: str) -> None:
        """Delete a function's log; nothing happens when it is gone."""


class BaseImages(Protocol):
    """Images in the stack's repository that others begin with."""

    def tagged(self, tag: str) -> str:
        """The name, with its digest, of the image that has a tag; ``""`` when none has."""


class Builds(Protocol):
    """Builds Dockerfiles."""

    def run(
        self,
        context: str,
        *,
        tag: str,
        dockerfile: str,
        architecture: str,
        tell: Callable[[str], None],
    ) -> None:
        """Build a context (``bucket/key`` of a zip) into the repository's ``tag``, and wait."""


class Artifacts(Protocol):
    """The stack's artifact bucket."""

    bucket: str

    def has(self, key: str) -> bool:
        """Whether the object is there."""

    def upload(self, key: str, path: Path, progress: Callable[[int], None] | None = None) -> None:
        """Put a file there; ``progress`` is told the bytes sent since it was last called."""


class Functions(Protocol):
    """Lambda functions, versions, aliases and layers."""

    def layer(self, name: str) -> str | None:
        """ARN of the newest version of a layer, or None."""

    def publish_layer(
        self, name: str, *, bucket: str, key: str, python: str, architecture: Architecture
    ) -> str:
        """Publish a layer's version; its ARN."""

    def get(self, function: str) -> LiveFunction | None:
        """The function, or None."""

    def create(
        self, function: str, code: Code, configuration: Configuration, tags: Mapping[str, str]
    ) -> LiveFunction:
        """Create it and wait until it is active.

        Raises:
            ConflictError: it is there already.
        """

    def update(self, function: str, code: Code, configuration: Configuration) -> LiveFunction:
        """Change code and configuration, each waited for."""

    def publish_version(self, function: str, *, code_sha256: str, token: str) -> str:
        """Publish what is there as a version, waited for with its snapshot; its number.

        Raises:
            ConflictError: the code or configuration is not the expected one any more.
        """

    def versions(self, function: str) -> tuple[str, ...]:
        """Numbers of the published versions."""

    def delete_version(self, function: str, version: str) -> None:
        """Delete a version; nothing happens when it is gone."""

    def delete(self, function: str) -> None:
        """Delete the function with all its versions; nothing happens when it is gone."""

    def aliases(self, function: str) -> Mapping[str, str]:
        """Alias names and the versions they point at."""

    def put_alias(
        self, function: str, name: str, version: str, split: tuple[str, int] | None = None
    ) -> None:
        """Create or move an alias; ``split`` is (version, percent) of a second version."""

    def alias_token(self, function: str, name: str) -> str:
        """What changes with each change of the Lambda alias.

        Raises:
            NotFoundError: there is no such alias.
        """

    def weigh_alias(
        self, function: str, name: str, split: tuple[str, int] | None, *, token: str = ""
    ) -> None:
        """Begin or end a split of a Lambda alias, which goes on pointing where it does.

        Raises:
            ConflictError: the alias is not the one of ``token`` any more.
        """

    def delete_alias(self, function: str, name: str) -> None:
        """Delete an alias; nothing happens when it is gone."""

    def set_reserved(self, function: str, count: int | None) -> None:
        """Set or remove the reserved concurrency of the whole function."""

    def set_provisioned(self, function: str, qualifier: str, count: int) -> None:
        """Set (or with 0 remove) the provisioned concurrency of an alias or version."""

    def unreserved(self) -> int:
        """How much of the account's concurrency no function has reserved."""


class Alarms(Protocol):
    """Alarms on the errors of a split's second revision."""

    def put(self, name: str, watched: Watched) -> None:
        """Make an alarm that calls the stack's guard."""

    def delete(self, name: str) -> None:
        """Delete an alarm; nothing happens when it is gone."""


class Registry(Protocol):
    """The stack's table, as publishing uses it."""

    def take_lease(self, name: str, holder: str, now: float) -> str | None:
        """None when taken or renewed; otherwise who holds it."""

    def drop_lease(self, name: str, holder: str) -> None:
        """Release it if it is still the holder's."""

    def revision(self, owner: str, revision: str) -> Revision | None:
        """One revision, or None."""

    def revisions(self, owner: str) -> tuple[Revision, ...]:
        """All of a user's, newest first."""

    def add_revision(self, revision: Revision, route: Route | None) -> None:
        """Record a revision and its route, if it has one, at once.

        Raises:
            ConflictError: the revision is there already.
        """

    def delete_revision(self, owner: str, revision: str) -> None:
        """Remove a revision and its route."""

    def alias(self, owner: str, name: str) -> Alias | None:
        """One alias, or None."""

    def aliases(self, owner: str) -> tuple[Alias, ...]:
        """All of a user's, by name."""

    def put_alias(self, alias: Alias, route: Route, *, expected: str | None) -> bool:
        """Write an alias and its route at once.

        False when its token is not ``expected`` any more (None: new), or its revision is gone.
        """

    def update_alias(self, alias: Alias, *, expected: str) -> bool:
        """Write the alias's record alone if its token is still ``expected``."""

    def delete_alias(self, owner: str, name: str, *, expected: str) -> bool:
        """Remove an alias and its route at once if its token is still ``expected``."""

    def rule(self, owner: str, name: str) -> Rule | None:
        """Which revisions of a function stay, or None when all do."""

    def rules(self, owner: str) -> tuple[Rule, ...]:
        """All of a user's, by name."""

    def put_rule(self, rule: Rule) -> None:
        """Write a rule."""

    def delete_rule(self, owner: str, name: str) -> None:
        """Remove a rule; nothing happens when there is none."""

    def schedules(self, owner: str) -> tuple[Schedule, ...]:
        """All of a user's, by name and expression."""


def newest_first(revisions: Iterable[Revision]) -> tuple[Revision, ...]:
    """Revisions by creation time, the newest first."""
    return tuple(sorted(revisions, key=lambda item: item.created_at, reverse=True))
