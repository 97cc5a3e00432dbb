"""Runs a plan against AWS, step by step, and says what it did."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from fal_serverless.errors import ConflictError, FalServerlessError
from fal_serverless.publish import aliases, steps
from fal_serverless.publish.lease import Held, lease
from fal_serverless.publish.plan import effective_auth
from fal_serverless.publish.prune import prune
from fal_serverless.publish.retention import spared
from fal_serverless.publish.state import Code, LiveFunction, Revision, route_of
from fal_serverless.publish.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from fal_serverless.package.image import BuiltImage
    from fal_serverless.publish.lease import Clock
    from fal_serverless.publish.plan import Wanted
    from fal_serverless.publish.services import Alarms, Artifacts, Functions, Images, Logs, Registry
    from fal_serverless.publish.state import Configuration
    from fal_serverless.publish.steps import Step
    from fal_serverless.spec import Auth

PRUNE_PATIENCE_SECONDS = 10
"""How long old revisions are waited for: whoever publishes the function now prunes it as well."""


class Progress(Protocol):
    """Is told what happens, for a person to see."""

    def begin(self, text: str, total: int | None = None) -> None:
        """A step begins; ``total`` is its size in bytes, when known."""

    def advance(self, count: int) -> None:
        """So many bytes more are done."""

    def end(self, seconds: float) -> None:
        """The step is done."""


class Silent:
    """Progress that nobody watches."""

    def begin(self, text: str, total: int | None = None) -> None:
        """Nothing."""

    def advance(self, count: int) -> None:
        """Nothing."""

    def end(self, seconds: float) -> None:
        """Nothing."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """One step that was run, and how long it took."""

    step: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a publish made.

    Attributes:
        notes: what did not work after the revision was live.
    """

    revision: Revision
    steps: tuple[Done, ...]
    notes: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Publisher:
    """The collaborators of a publish."""

    artifacts: Artifacts
    functions: Functions
    registry: Registry
    alarms: Alarms
    clock: Clock
    images: Images | None = None
    logs: Logs | None = None
    progress: Progress = field(default_factory=Silent)


@dataclass(kw_only=True)
class _Run:
    """What one run of a plan has learned so far."""

    wanted: Wanted
    owner: str
    by: str
    configure: Callable[[tuple[str, ...]], Configuration]
    record: Callable[[str, tuple[str, ...], Auth], Revision]
    layers: dict[str, str]
    held: list[Held] = field(default_factory=list)
    live: LiveFunction | None = None
    revision: Revision | None = None
    arns: tuple[str, ...] = ()
    image: BuiltImage | None = None


def apply(
    plan: tuple[Step, ...],
    wanted: Wanted,
    publisher: Publisher,
    *,
    owner: str,
    by: str,
    layers: dict[str, str],
    configure: Callable[[tuple[str, ...]], Configuration],
    record: Callable[[str, tuple[str, ...], Auth], Revision],
    image: BuiltImage | None = None,
) -> Outcome:
    """Run ``plan``; artifacts go up first, then the leases are held; old revisions go at the end.

    Args:
        plan: from ``make_plan``.
        wanted: what the plan was made of.
        publisher: the collaborators.
        owner: user id.
        by: AWS principal of who publishes.
        layers: ARNs of layers that exist already, by name.
        configure: makes the Lambda configuration of the layers' ARNs.
        record: makes the revision of (version, layer ARNs, auth).
        image: what a step that pushes one sends.

    Raises:
        ConflictError: somebody else kept the function, or changed it again and again.
        AwsError: AWS refused a step; every URL that worked still does.
    """
    run = _Run(
        wanted=wanted,
        owner=owner,
        by=by,
        configure=configure,
        record=record,
        layers=dict(layers),
        image=image,
    )
    first = (steps.Upload, steps.PublishLayer, steps.PushImage)
    free = [step for step in plan if isinstance(step, first)]
    last = (steps.SetRule, steps.Prune)
    later = [step for step in plan if isinstance(step, last)]
    guarded = [step for step in plan if step not in free and step not in later]
    done = [_timed(step, run, publisher) for step in free]
    with ExitStack() as stack:
        names = [wanted.function] + ([f"{owner}-{wanted.alias}"] if wanted.alias else [])
        # Always in this order, function before alias, so that two publishers cannot wait for
        # each other.
        for name in names:
            run.held.append(
                stack.enter_context(
                    lease(publisher.registry, name, publisher.clock, waiting=_waiting(publisher))
                )
            )
        sweep(publisher.registry, publisher.functions, owner, wanted.function)
        for step in guarded:
            for held in run.held:
                held.check()
            done.append(_timed(step, run, publisher))
    if run.revision is None:
        raise AssertionError("a plan always records a revision")
    notes = []
    for step in later:
        try:
            done.append(_timed(step, run, publisher))
        except FalServerlessError as error:
            # What was published is live; old revisions may go with the next publish.
            notes.append(f"{steps.describe(step)}: {error.message} {error.reason}")
    return Outcome(revision=run.revision, steps=tuple(done), notes=tuple(notes))


def _waiting(publisher: Publisher) -> Callable[[str], None]:
    def tell(name: str) -> None:
        publisher.progress.begin(f"wait for another publisher of {name}")
        publisher.progress.end(0.0)

    return tell


def _timed(step: Step, run: _Run, publisher: Publisher) -> Done:
    text = steps.describe(step)
    total = step.size if isinstance(step, (steps.Upload, steps.PushImage)) else None
    publisher.progress.begin(text, total)
    start = time.perf_counter()
    _perform(step, run, publisher)
    seconds = time.perf_counter() - start
    publisher.progress.end(seconds)
    return Done(step=text, seconds=round(seconds, 3))


def _perform(step: Step, run: _Run, publisher: Publisher) -> None:
    functions = publisher.functions
    match step:
        case steps.Upload():
            publisher.artifacts.upload(step.key, step.path, publisher.progress.advance)
        case steps.PublishLayer():
            run.layers[step.name] = functions.publish_layer(
                step.name,
                bucket=publisher.artifacts.bucket,
                key=step.key,
                python=run.wanted.spec.environment.python,
                architecture=run.wanted.spec.environment.architecture,
            )
        case steps.PushImage():
            if publisher.images is None or run.image is None:
                raise AssertionError("an image is pushed where there is one, and a repository")
            publisher.images.push(run.image, publisher.progress.advance)
        case steps.PutFunction():
            run.live = _put_function(step, run, publisher)
        case steps.Reserve():
            functions.set_reserved(step.function, step.count)
        case steps.PublishVersion():
            _publish_version(step, run, publisher)
        case steps.RecordRevision():
            revision = _recorded(run)
            publisher.registry.add_revision(revision, route_of(revision))
        case steps.MoveAlias() | steps.Provision() | steps.ClearAlias():
            _perform_alias(step, run, publisher)
        case steps.SetRule():
            publisher.registry.put_rule(step.rule)
        case steps.Prune():
            rule, now = step.rule, publisher.clock.now()
            prune(
                publisher,
                run.owner,
                lambda revisions, needed: spared(revisions, needed, [rule], now),
                patience=PRUNE_PATIENCE_SECONDS,
            )


def _perform_alias(
    step: steps.MoveAlias | steps.Provision | steps.ClearAlias, run: _Run, publisher: Publisher
) -> None:
    registry, functions = publisher.registry, publisher.functions
    match step:
        case steps.MoveAlias():
            aliases.move(
                registry,
                functions,
                _recorded(run),
                step.alias,
                auth=step.auth,
                now=revision_time(publisher.clock),
                action="serve",
                by=run.by,
                min_concurrency=run.wanted.spec.min_concurrency,
            )
        case steps.Provision():
            functions.set_provisioned(step.function, step.alias, step.count)
        case steps.ClearAlias():
            alias = registry.alias(run.owner, step.alias)
            if alias is not None:
                aliases.clear(registry, functions, publisher.alarms, alias)


def _put_function(step: steps.PutFunction, run: _Run, publisher: Publisher) -> LiveFunction:
    run.arns = tuple(run.layers[name] for name in step.layers)
    configuration = run.configure(run.arns)
    code = Code(bucket=publisher.artifacts.bucket, key=step.code_key, image=step.image)
    if step.image:
        code = Code(image=step.image)
    if publisher.functions.get(step.function) is None:
        tags = {"fal-serverless:owner": run.owner, "fal-serverless:name": run.wanted.spec.name}
        try:
            return publisher.functions.create(step.function, code, configuration, tags)
        except ConflictError:
            # Made by a publisher that died after this plan was made.
            pass
    return publisher.functions.update(step.function, code, configuration)


def _publish_version(step: steps.PublishVersion, run: _Run, publisher: Publisher) -> None:
    if run.live is None:
        raise AssertionError("a version is published after its function was put")
    live = publisher.functions.get(step.function)
    if live is None or live.code_sha256 != run.live.code_sha256:
        raise ConflictError(
            f"The Lambda function '{step.function}' changed while it was published.",
            reason="its code is not the code that was just sent",
            hint="find who else updates it, and run the command again",
        )
    version = publisher.functions.publish_version(
        step.function, code_sha256=live.code_sha256, token=live.token
    )
    recording = publisher.registry.revisions(run.owner)
    if any(item.function == step.function and item.version == version for item in recording):
        raise ConflictError(
            f"Lambda made no new version of '{step.function}'.",
            reason=f"it answered with version {version}, which is another revision",
            hint="run the command again",
        )
    auth = run.wanted.auth
    route_auth = auth if auth is not None else _planned_auth(run, publisher)
    run.revision = run.record(version, run.arns, route_auth)


def _planned_auth(run: _Run, publisher: Publisher) -> Auth:
    alias = publisher.registry.alias(run.owner, run.wanted.alias) if run.wanted.alias else None
    return effective_auth(None, alias)


def _recorded(run: _Run) -> Revision:
    if run.revision is None:
        raise AssertionError("the version is published before its revision is recorded")
    return run.revision


def revision_time(clock: Clock) -> str:
    """Now, as the registry writes it: ISO 8601 in UTC with microseconds."""
    from datetime import datetime, timezone

    moment = datetime.fromtimestamp(clock.now(), tz=timezone.utc)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
