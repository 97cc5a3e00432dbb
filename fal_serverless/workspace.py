"""The parts wired together for one account, Region, stack and user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fal_serverless import stack
from fal_serverless.aws.alarms import MetricAlarms
from fal_serverless.aws.artifacts import ArtifactBucket
from fal_serverless.aws.builds import ImageBuilds
from fal_serverless.aws.cloudformation import Deployer
from fal_serverless.aws.identity import Identity, caller
from fal_serverless.aws.images import ImageRepository, host_of
from fal_serverless.aws.key_uses import KeyUseReader
from fal_serverless.aws.lambdas import LambdaFunctions
from fal_serverless.aws.logs import LambdaLogs
from fal_serverless.aws.registry import RegistryTable
from fal_serverless.aws.scheduler import EventScheduler
from fal_serverless.aws.secrets import SecretStore
from fal_serverless.aws.session import Session, emulator_session, open_session
from fal_serverless.local.embedded import Embedded, data_folder
from fal_serverless.names import DATA
from fal_serverless.publish import Target
from fal_serverless.publish.apply import Progress, Publisher, Silent
from fal_serverless.publish.dockerfiles import Dockerfiles
from fal_serverless.publish.lease import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fal_serverless.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """What commands work with.

    Attributes:
        user: the caller's user id.
        builds: of Dockerfiles, or None where the stack has no builder.
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
    secrets: SecretStore
    key_uses: KeyUseReader
    images: ImageRepository
    builds: ImageBuilds | None
    publisher: Publisher
    scheduler: EventScheduler
    base: str
    local: bool
    data: str = ""

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
        return emulator_session(Embedded(settings.home).endpoint())
    return open_session(profile=settings.profile, region=settings.region)


def connect(settings: Settings, progress: Progress | None = None) -> Workspace:
    """Find the stack and the caller; a caller's first use gives them a user id.

    Raises:
        AuthError: the credentials are missing or not accepted.
        NotFoundError: the stack is not deployed.
    """
    session = session_of(settings)
    identity = caller(session)
    found = Deployer(session).outputs(settings.stack)
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
        secrets=SecretStore(session.client("ssm"), outputs.name, user or ""),
        images=images,
        builds=_builds(session, outputs),
        key_uses=KeyUseReader(session.client("dynamodb"), outputs.requests),
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
        scheduler=EventScheduler(
            client=session.client("scheduler"),
            lambdas=session.client("lambda"),
            group=outputs.schedules,
            role=outputs.schedule_role,
            undelivered=outputs.undelivered_arn,
        ),
        base=_base(settings, outputs),
        local=settings.local,
        data=_data(settings, outputs),
    )


def _data(settings: Settings, outputs: stack.Outputs) -> str:
    if settings.local:
        folder = data_folder(settings.home)
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)
    return DATA if outputs.storage else ""


def _builds(session: Session, outputs: stack.Outputs) -> ImageBuilds | None:
    if not outputs.builder:
        return None
    return ImageBuilds(session.client("codebuild"), session.client("logs"), outputs.builder)


def _base(settings: Settings, outputs: stack.Outputs) -> str:
    if settings.local:
        scheme, _, host = Embedded(settings.home).gateway_url().partition("://")
        return f"{scheme}://{{}}.{host}"
    if outputs.domain:
        return f"https://{{}}.{outputs.domain}"
    return f"{outputs.gateway_url}/{{}}"
