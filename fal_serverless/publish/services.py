"""What publishing asks for: protocols that ``fal_serverless.aws`` and doubles of tests satisfy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from fal_serverless.package.image import BuiltImage
    from fal_serverless.publish.schedules import Schedule
    from fal_serverless.publish.state import (
        Alias,
        Code,
        Configuration,
        LiveFunction,
        Revision,
        Route,
        Rule,
        Watched,
    )
    from fal_serverless.spec import Architecture


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
        """Change code and configuration, each waited for; code that is there is not sent again."""

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
