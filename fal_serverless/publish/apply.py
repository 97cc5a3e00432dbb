"""Runs a plan against AWS, step by step, and says what it did."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from fal_serverless.errors import ConflictError, FalServerlessError, NotFoundError
from fal_serverless.frozen import Frozen
from fal_serverless.publish import aliases, steps
from fal_serverless.publish.lease import leases
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
    from fal_serverless.publish.state import Alias, Configuration
    from fal_serverless.publish.steps import Step
    from fal_serverless.publish.sweep import Swept
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


class Done(Frozen, kw_only=True):
    """One step that was run, and how long it took."""

    step: str
    seconds: float


class Outcome(Frozen, kw_only=True):
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
    swept: Swept | None = None
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
    # Function before alias, always, so that two publishers cannot wait for each other.
    names = [wanted.function] + ([f"{owner}-{wanted.alias}"] if wanted.alias else [])
    with leases(publisher.registry, names, publisher.clock, waiting=_waiting(publisher)) as held:
        run.swept = sweep(publisher.registry, publisher.functions, owner, wanted.function)
        for step in guarded:
            for item in held:
                item.check()
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
            _reserve(step, run, functions)
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
                known=_known(run),
                make=True,
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
    bundle = run.wanted.bundle
    code = Code(
        bucket=publisher.artifacts.bucket,
        key=step.code_key,
        sha256=bundle.code_sha256 if bundle is not None else "",
    )
    if step.image:
        code = Code(image=step.image)
    if not step.create:
        try:
            return publisher.functions.update(step.function, code, configuration)
        except NotFoundError:
            # Deleted with its last revision after this plan was made.
            pass
    tags = {"fal-serverless:owner": run.owner, "fal-serverless:name": run.wanted.spec.name}
    try:
        return publisher.functions.create(step.function, code, configuration, tags)
    except ConflictError:
        # Made by a publisher that died after this plan was made.
        return publisher.functions.update(step.function, code, configuration)


def _reserve(step: steps.Reserve, run: _Run, functions: Functions) -> None:
    functions.set_reserved(step.function, step.count)
    if run.live is None or run.live.name != step.function:
        return
    # Lambda may count this as a change; that the code is still ours is for it to check.
    found = functions.get(step.function)
    if found is not None:
        run.live = run.live.replace(token=found.token)


def _publish_version(step: steps.PublishVersion, run: _Run, publisher: Publisher) -> None:
    if run.live is None or run.swept is None:
        raise AssertionError("a version is published after its function was put, under its lease")
    # Lambda itself refuses to make a version of anything else than this code and configuration.
    version = publisher.functions.publish_version(
        step.function, code_sha256=run.live.code_sha256, token=run.live.token
    )
    if version in run.swept.recorded:
        raise ConflictError(
            f"Lambda made no new version of '{step.function}'.",
            reason=f"it answered with version {version}, which is another revision",
            hint="run the command again",
        )
    auth = run.wanted.auth
    run.revision = run.record(version, run.arns, effective_auth(auth, _known(run)))


def _known(run: _Run) -> Alias | None:
    """The wanted alias as it was read under its lease, or None without one."""
    return run.swept.aliases.get(run.wanted.alias) if run.swept is not None else None


def _recorded(run: _Run) -> Revision:
    if run.revision is None:
        raise AssertionError("the version is published before its revision is recorded")
    return run.revision


def revision_time(clock: Clock) -> str:
    """Now, as the registry writes it: ISO 8601 in UTC with microseconds."""
    from datetime import datetime, timezone

    moment = datetime.fromtimestamp(clock.now(), tz=timezone.utc)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
