"""The parts wired together for one account, Region, stack and user."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fal_serverless import stack
from fal_serverless.aws.alarms import MetricAlarms
from fal_serverless.aws.artifacts import ArtifactBucket
from fal_serverless.aws.cloudformation import Deployer
from fal_serverless.aws.identity import Identity, caller
from fal_serverless.aws.images import ImageRepository, host_of
from fal_serverless.aws.lambdas import LambdaFunctions
from fal_serverless.aws.logs import LambdaLogs
from fal_serverless.aws.registry import RegistryTable
from fal_serverless.aws.session import Session, emulator_session, open_session
from fal_serverless.background import begin
from fal_serverless.names import DATA
from fal_serverless.publish import Target
from fal_serverless.publish.apply import Progress, Publisher, Silent
from fal_serverless.publish.lease import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fal_serverless.aws.builds import ImageBuilds
    from fal_serverless.aws.key_uses import KeyUseReader
    from fal_serverless.aws.scheduler import EventScheduler
    from fal_serverless.aws.secrets import SecretStore
    from fal_serverless.publish.dockerfiles import Dockerfiles
    from fal_serverless.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """What commands work with; parts that few of them need are imported when one does.

    Attributes:
        user: the caller's user id.
        base: how URLs are made of ``<userid>-<label>``, with ``{}`` in its place.
        data: folder of persistent data as functions see it; ``""`` where there is none.
    """

    session: Session
    outputs: stack.Outputs
    identity: Identity
    user: str
    registry: RegistryTable
    functions: LambdaFunctions
    logs: LambdaLogs
    images: ImageRepository
    publisher: Publisher
    base: str
    local: bool
    data: str = ""

    @cached_property
    def secrets(self) -> SecretStore:
        """The user's secrets."""
        from fal_serverless.aws.secrets import SecretStore

        return SecretStore(self.session.client("ssm"), self.outputs.name, self.user)

    @cached_property
    def key_uses(self) -> KeyUseReader:
        """What keys did."""
        from fal_serverless.aws.key_uses import KeyUseReader

        return KeyUseReader(self.session.client("dynamodb"), self.outputs.requests)

    @cached_property
    def scheduler(self) -> EventScheduler:
        """What runs functions by itself."""
        from fal_serverless.aws.scheduler import EventScheduler

        return EventScheduler(
            client=self.session.client("scheduler"),
            lambdas=self.session.client("lambda"),
            group=self.outputs.schedules,
            role=self.outputs.schedule_role,
            undelivered=self.outputs.undelivered_arn,
        )

    @cached_property
    def builds(self) -> ImageBuilds | None:
        """Builds of Dockerfiles, or None where the stack has no builder."""
        from fal_serverless.aws.builds import ImageBuilds

        if not self.outputs.builder:
            return None
        client = self.session.client
        return ImageBuilds(client("codebuild"), client("logs"), self.outputs.builder)

    @property
    def target(self) -> Target:
        """Where publishes go."""
        return Target(
            owner=self.user,
            stack=self.outputs.name,
            role=self.outputs.role,
            images=self.outputs.images,
            local=self.local,
            by=self.identity.principal,
            data=self.data,
            storage=self.outputs.storage,
        )

    def dockerfiles(
        self, folder: Path, *, tell: Callable[[str], None] = lambda _: None, dry: bool = False
    ) -> Dockerfiles:
        """What builds the bases of functions whose file lies in ``folder``.

        Args:
            tell: is told each line of a build's log.
            dry: only look.
        """
        from fal_serverless.publish.dockerfiles import Dockerfiles

        return Dockerfiles(
            images=self.images,
            artifacts=self.publisher.artifacts,
            builds=self.builds,
            folder=folder,
            tell=tell,
            dry=dry,
        )

    def url(self, label: str) -> str:
        """The best address of an alias or revision that the stack has."""
        return self.base.format(f"{self.user}-{label}")


def session_of(settings: Settings) -> Session:
    """The session that the settings ask for.

    Raises:
        NotFoundError: the embedded stack is wanted, and does not run.
        AuthError: there is no such profile.
    """
    if settings.local:
        from fal_serverless.local.embedded import Embedded

        return emulator_session(Embedded(settings.home).endpoint())
    return open_session(profile=settings.profile, region=settings.region)


def connect(settings: Settings, progress: Progress | None = None) -> Workspace:
    """Find the stack and the caller; a caller's first use gives them a user id.

    Raises:
        AuthError: the credentials are missing or not accepted.
        NotFoundError: the stack is not deployed.
    """
    session = session_of(settings)
    outcome = begin(Deployer(session).outputs, settings.stack)
    # First, since without credentials there is no word of a stack either.
    identity = caller(session)
    found = outcome.result()
    if found is None:
        raise stack.missing(settings.stack, local=settings.local)
    outputs = stack.outputs_of(settings.stack, found)
    registry = RegistryTable(session.client("dynamodb"), outputs.table)
    user = registry.user_id(identity.principal)
    functions = LambdaFunctions(session.client("lambda"))
    logs = LambdaLogs(session.client("logs"))
    images = ImageRepository(session.client("ecr"), outputs.images, host_of(session.endpoint_url))
    return Workspace(
        session=session,
        outputs=outputs,
        identity=identity,
        user=user or "",
        registry=registry,
        functions=functions,
        logs=logs,
        images=images,
        publisher=Publisher(
            artifacts=ArtifactBucket(session.client("s3"), outputs.bucket),
            functions=functions,
            registry=registry,
            alarms=MetricAlarms(session.client("cloudwatch"), outputs.guard),
            clock=SystemClock(),
            images=images,
            logs=logs,
            progress=progress or Silent(),
        ),
        base=_base(settings, outputs),
        local=settings.local,
        data=_data(settings, outputs),
    )


def _data(settings: Settings, outputs: stack.Outputs) -> str:
    if settings.local:
        from fal_serverless.local.embedded import data_folder

        folder = data_folder(settings.home)
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)
    return DATA if outputs.storage else ""


def _base(settings: Settings, outputs: stack.Outputs) -> str:
    if settings.local:
        from fal_serverless.local.embedded import Embedded

        scheme, _, host = Embedded(settings.home).gateway_url().partition("://")
        return f"{scheme}://{{}}.{host}"
    if outputs.domain:
        return f"https://{{}}.{outputs.domain}"
    return f"{outputs.gateway_url}/{{}}"
