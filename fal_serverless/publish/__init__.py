"""From a package to a live revision.

A publish first looks: which artifacts, layers and Lambda function exist already, and what the
alias points at (``look``). From that and the package it decides (``plan.make_plan``, pure), and
``--dry-run`` ends there. Then it acts (``apply.apply``):

1. what is named by its content goes up: the bundle, unless Lambda has this code already, and layers
   that no function has used yet;
2. the Lambda function's lease is taken, then the alias's, so that publishers never interleave;
   what a dead one left behind is cleared;
3. code, if it is another, and configuration are changed, each waited for. ``FAL_REVISION`` differs,
   because Lambda makes no version of a function that has not changed;
4. a version is published under the expected code digest, and waited for;
5. the revision and its own route are recorded together;
6. the Lambda alias is made or moved, then the alias's record and route switch together; the
   alias that another Lambda function had under this name, and the alarm of a split, go last;
7. the leases end;
8. where the function has a rule about old revisions, those that it lets go are deleted.

It may stop anywhere: every URL that worked still leads to a published version, and running the
command again finishes the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_serverless.background import begin
from fal_serverless.errors import AuthError, SpecError
from fal_serverless.frozen import Frozen
from fal_serverless.names import DATA_VARIABLE, HANDLER, lambda_function_name
from fal_serverless.publish.apply import Outcome, Publisher, apply, revision_time
from fal_serverless.publish.plan import (
    Existing,
    File,
    Wanted,
    bundle_key,
    layer_key,
    layer_name,
    make_plan,
)
from fal_serverless.publish.prune import chosen
from fal_serverless.publish.retention import spared
from fal_serverless.publish.state import Configuration, Revision
from fal_serverless.spec import no_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.package import Package
    from fal_serverless.publish.state import Rule, Storage
    from fal_serverless.publish.steps import Step
    from fal_serverless.spec import Auth, FunctionSpec

ASK_BYTES = 1 << 20
"""Size of bundles from which it is asked whether the bucket has them; less is sent as quickly."""
ENVIRONMENT_MAX_BYTES = 4096  # Lambda quotas: all environment variables of a function together


class Target(Frozen, kw_only=True):
    """Where a publish goes.

    Attributes:
        owner: user id.
        by: AWS principal of the caller, for the history of aliases.
        stack: name of the CloudFormation stack.
        role: ARN of the role that user functions run under.
        images: URI of the image repository.
        local: whether it is the embedded stack, where functions share one machine.
        data: folder of persistent data as functions see it; ``""`` where there is none.
        storage: what is mounted there, or None on the embedded stack.
    """

    owner: str
    stack: str
    role: str
    images: str = ""
    local: bool = False
    by: str = ""
    data: str = ""
    storage: Storage | None = None


class Prepared(Frozen, kw_only=True):
    """A publish that is decided, and not begun."""

    wanted: Wanted
    existing: Existing
    plan: tuple[Step, ...]


def want(
    package: Package,
    target: Target,
    *,
    revision: str,
    alias: str = "",
    auth: Auth | None = None,
    rule: Rule | None = None,
) -> Wanted:
    """What publishing ``package`` under ``alias`` asks for.

    Raises:
        SpecError: the function's environment variables are more than Lambda takes, or it has to
            be an image, or to have persistent data, and has snap_start.
    """
    spec = package.spec
    check_environment(spec, variables(spec, target, revision))
    if spec.snap_start and target.storage is not None:
        raise no_snapshot(
            "functions of this stack have persistent data, and Lambda takes none of those",
            "leave snap_start out, or publish to a stack without a DataAccessPointArn",
        )
    if package.image is not None:
        if spec.snap_start:
            raise no_snapshot(
                f"'{spec.name}' becomes an image ({package.why}), and Lambda takes none of images",
                "make its requirements smaller, or leave snap_start out",
            )
        return Wanted(
            spec=spec,
            function=lambda_function_name(target.owner, spec.name, package.kind),
            package=package.kind,
            bundle=None,
            layers=(),
            revision=revision,
            alias=alias,
            auth=auth,
            image=f"{target.images}@{package.image.digest}",
            image_size=package.image.size,
            rule=rule,
        )
    return Wanted(
        spec=spec,
        function=lambda_function_name(target.owner, spec.name, package.kind),
        package=package.kind,
        bundle=File(
            digest=package.bundle.sha256, path=package.bundle.path, size=package.bundle.size
        ),
        layers=tuple(
            File(digest=layer.digest, path=layer.path, size=layer.size) for layer in package.layers
        ),
        revision=revision,
        alias=alias,
        auth=auth,
        rule=rule,
    )


def look(wanted: Wanted, publisher: Publisher, owner: str) -> Existing:
    """What exists now of what ``wanted`` needs; reads only."""
    registry, functions = publisher.registry, publisher.functions
    # None of these needs to know what another finds.
    artifacts = begin(_artifacts, wanted, publisher)
    layers = {layer.digest: begin(_layer, layer.digest, publisher) for layer in wanted.layers}
    alias = begin(registry.alias, owner, wanted.alias) if wanted.alias else None
    kept = begin(registry.rule, owner, wanted.spec.name)
    limited = wanted.spec.max_concurrency is not None or wanted.spec.min_concurrency > 0
    unreserved = begin(_unreserved, publisher) if limited else None
    function = functions.get(wanted.function)
    # Limits of both are set together, so that one without a limit tells of the other.
    other = wanted.spec.max_concurrency is not None or function is None or function.reserved
    sibling = functions.get(_sibling(wanted, owner)) if other else None
    found = {digest: layer.result() for digest, layer in layers.items()}
    stored = {layer_key(digest) for digest, layer in found.items() if layer.stored}
    rule = kept.result()
    there = artifacts.result()
    return Existing(
        keys=frozenset(stored | there.keys),
        layers={layer_name(digest): layer.arn for digest, layer in found.items() if layer.arn},
        function=function,
        current=bool(
            wanted.bundle and function and function.code_sha256 == wanted.bundle.code_sha256
        ),
        alias=alias.result() if alias is not None else None,
        sibling=sibling,
        unreserved=unreserved.result() if unreserved is not None else None,
        image=there.image,
        rule=rule,
        spared=_spared(wanted, wanted.rule or rule, publisher, owner),
    )


class _Layer(Frozen, kw_only=True):
    """What is there of a layer: the ARN of a version of it, or else perhaps its zip."""

    arn: str | None
    stored: bool = False


def _layer(digest: str, publisher: Publisher) -> _Layer:
    arn = publisher.functions.layer(layer_name(digest))
    return _Layer(arn=arn, stored=arn is None and publisher.artifacts.has(layer_key(digest)))


class _Artifacts(Frozen, kw_only=True):
    """Which of a function's own artifacts are there."""

    keys: frozenset[str] = frozenset()
    image: bool = False


def _artifacts(wanted: Wanted, publisher: Publisher) -> _Artifacts:
    if wanted.bundle is not None:
        key = bundle_key(wanted.bundle.digest)
        there = wanted.bundle.size >= ASK_BYTES and publisher.artifacts.has(key)
        return _Artifacts(keys=frozenset([key] if there else []))
    digest = wanted.image.rpartition("@")[2]
    return _Artifacts(image=bool(digest and publisher.images and publisher.images.has(digest)))


def _sibling(wanted: Wanted, owner: str) -> str:
    """The Lambda function that revisions of the other kind of package live in."""
    other = "layer" if wanted.package == "image" else "image"
    return lambda_function_name(owner, wanted.spec.name, other)


def _unreserved(publisher: Publisher) -> int | None:
    """The account's concurrency that is not reserved, or None when it may not be read."""
    try:
        return publisher.functions.unreserved()
    except AuthError:
        # IAM grants this for every function or for none; Lambda itself refuses what is too much.
        return None


def _spared(wanted: Wanted, rule: Rule | None, publisher: Publisher, owner: str) -> tuple[str, ...]:
    """Ids of revisions that the function's rule will let go."""
    if rule is None:
        return ()
    # The new revision will be one of those that stay.
    less = rule.replace(keep=max(0, rule.keep - 1))
    now = publisher.clock.now()
    found = chosen(
        publisher.registry,
        owner,
        lambda revisions, needed: spared(revisions, needed, [less], now),
        alias=wanted.alias,
        new=wanted.revision,
    )
    return tuple(item.id for item in found)


def prepare(wanted: Wanted, publisher: Publisher, owner: str) -> Prepared:
    """Look and decide; nothing is changed.

    Raises:
        SpecError: a concurrency option cannot be had in this account.
        ConflictError: the alias is split, which excludes provisioned concurrency.
    """
    existing = look(wanted, publisher, owner)
    return Prepared(wanted=wanted, existing=existing, plan=make_plan(wanted, existing))


def publish(
    prepared: Prepared, package: Package, publisher: Publisher, target: Target, *, message: str = ""
) -> Outcome:
    """Do what was decided.

    Raises:
        ConflictError: somebody else kept or changed the function.
        AwsError: AWS refused a step; every URL that worked still does.
    """
    wanted = prepared.wanted
    spec = wanted.spec

    def configure(layers: tuple[str, ...]) -> Configuration:
        return configuration(
            spec,
            target,
            handler=HANDLER,
            layers=layers,
            variables=variables(spec, target, wanted.revision),
            description=f"fal-serverless {spec.name} {wanted.revision}",
        )

    def record(version: str, layers: tuple[str, ...], auth: Auth) -> Revision:
        return Revision(
            id=wanted.revision,
            owner=target.owner,
            name=spec.name,
            function=wanted.function,
            version=version,
            auth=auth,
            mode=spec.mode,
            timeout=spec.timeout,
            memory=spec.memory,
            python=spec.environment.python,
            architecture=spec.environment.architecture,
            package=wanted.package,
            lock=package.lock.digest if package.lock else "",
            bundle=package.bundle.sha256,
            layers=layers,
            size=package.unzipped,
            message=message,
            created_at=revision_time(publisher.clock),
            image=package.image.digest if package.image else "",
            snap_start=spec.snap_start,
            base=package.image.base if package.image else "",
        )

    return apply(
        prepared.plan,
        wanted,
        publisher,
        owner=target.owner,
        by=target.by,
        layers=dict(prepared.existing.layers),
        configure=configure,
        record=record,
        image=package.image,
    )


def configuration(
    spec: FunctionSpec,
    target: Target,
    *,
    handler: str,
    layers: tuple[str, ...],
    variables: Mapping[str, str],
    description: str,
) -> Configuration:
    """The configuration of a Lambda function that runs what ``spec`` describes."""
    return Configuration(
        role=target.role,
        handler=handler,
        python=spec.environment.python,
        architecture=spec.environment.architecture,
        memory=spec.memory,
        timeout=spec.timeout,
        ephemeral_storage=spec.ephemeral_storage,
        layers=layers,
        variables=variables,
        description=description,
        # Calls from Python run the unpublished version, of which there is no snapshot.
        snap_start=spec.snap_start and spec.mode != "call",
        storage=target.storage,
    )


def variables(spec: FunctionSpec, target: Target, revision: str) -> Mapping[str, str]:
    """Environment variables of a revision's Lambda function."""
    ours = {"FAL_REVISION": revision, "FAL_USER": target.owner, "FAL_STACK": target.stack}
    if target.local:
        ours["FAL_LOCAL"] = "1"
    if target.data:
        ours[DATA_VARIABLE] = target.data
    return {**dict(spec.environment_variables), **ours}


def check_environment(spec: FunctionSpec, values: Mapping[str, str]) -> None:
    """Raises SpecError when the variables are more than Lambda takes."""
    size = sum(len(key.encode()) + len(value.encode()) for key, value in values.items())
    if size > ENVIRONMENT_MAX_BYTES:
        raise SpecError(
            f"The environment of '{spec.name}' is too large.",
            reason=f"it has {size:,} bytes, and Lambda takes {ENVIRONMENT_MAX_BYTES:,}",
            hint="put what is large into files=[…], and what is secret into a secret",
        )
