"""From a package and what exists now to the steps that publish it. Pure.

``--dry-run`` prints these steps, ``apply`` runs them. Every step can be run again: it looks at
what is there first, or names things by their content.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from fal_serverless.errors import ConflictError, SpecError
from fal_serverless.frozen import Frozen
from fal_serverless.publish.steps import (
    ClearAlias,
    MoveAlias,
    Provision,
    Prune,
    PublishLayer,
    PublishVersion,
    PushImage,
    PutFunction,
    RecordRevision,
    Reserve,
    SetRule,
    Upload,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fal_serverless.publish.state import Alias, LiveFunction, Rule
    from fal_serverless.publish.steps import Step
    from fal_serverless.spec import Auth, FunctionSpec, PackageKind

# An account must keep this much concurrency unreserved (Lambda, "Configuring reserved
# concurrency for a function").
UNRESERVED_MIN = 100


class File(Frozen, kw_only=True):
    """A content-addressed file on this machine.

    Attributes:
        digest: hex, names the content; of a bundle the SHA-256.
        size: bytes of the file.
    """

    digest: str
    path: Path
    size: int

    @property
    def code_sha256(self) -> str:
        """The digest as Lambda gives it: base64."""
        return b64encode(bytes.fromhex(self.digest)).decode()


class Wanted(Frozen, kw_only=True):
    """What is to be published.

    Attributes:
        function: name of the Lambda function.
        layers: in Lambda's order.
        alias: or empty.
        auth: given by the user, or None.
        image: URI with a digest, for image packages.
        image_size: bytes of its own layers.
        rule: which revisions shall stay from now on, or None to leave that as it is.
    """

    spec: FunctionSpec
    function: str
    package: PackageKind
    bundle: File | None
    layers: tuple[File, ...]
    revision: str
    alias: str = ""
    auth: Auth | None = None
    image: str = ""
    image_size: int = 0
    rule: Rule | None = None


class Existing(Frozen, kw_only=True):
    """What is there now.

    Attributes:
        keys: of the artifact bucket, those among the wanted ones that are there.
        layers: names of wanted layers that are published, and their ARNs.
        function: the Lambda function, or None.
        current: whether that function has the wanted bundle already.
        sibling: the one that holds the same function's revisions of the other kind of package,
            layers or image, or None.
        alias: the alias's record, or None.
        image: whether the wanted image is in the repository.
        rule: of the function, or None.
        spared: revisions that the rule (the wanted one, or this) will let go.
        unreserved: concurrency of the account that no function has reserved; read only when
            the plan needs it, None as well when it may not be read.
    """

    keys: frozenset[str]
    layers: Mapping[str, str]
    function: LiveFunction | None
    alias: Alias | None
    unreserved: int | None = None
    current: bool = False
    sibling: LiveFunction | None = None
    image: bool = False
    rule: Rule | None = None
    spared: tuple[str, ...] = ()


def bundle_key(digest: str) -> str:
    """Where a bundle lies in the artifact bucket."""
    return f"bundles/{digest}.zip"


def layer_key(digest: str) -> str:
    """Where a layer lies in the artifact bucket."""
    return f"layers/{digest}.zip"


def layer_name(digest: str) -> str:
    """The Lambda layer of a content; the digest's first half is plenty for one account."""
    return f"fal-{digest[:32]}"


def make_plan(wanted: Wanted, existing: Existing) -> tuple[Step, ...]:
    """The steps, in the order that leaves every live URL working wherever they stop.

    Raises:
        SpecError: a concurrency option cannot be had in this account.
        ConflictError: the alias splits its requests, which excludes provisioned concurrency.
    """
    _check_concurrency(wanted, existing)
    steps: list[Step] = []
    if wanted.bundle is not None:
        steps += _artifacts(wanted, wanted.bundle, existing)
    if wanted.image and not existing.image:
        steps.append(PushImage(digest=wanted.image.rpartition("@")[2], size=wanted.image_size))
    steps.append(
        PutFunction(
            function=wanted.function,
            create=existing.function is None,
            code_key=bundle_key(wanted.bundle.digest) if wanted.bundle else "",
            layers=tuple(layer_name(layer.digest) for layer in wanted.layers),
            image=wanted.image,
        )
    )
    steps += _reservations(wanted, existing)
    auth = effective_auth(wanted.auth, existing.alias)
    steps.append(PublishVersion(function=wanted.function, snapshot=wanted.spec.snap_start))
    steps.append(RecordRevision(function=wanted.function, revision=wanted.revision, auth=auth))
    if wanted.alias:
        steps += _alias_steps(wanted, existing.alias, auth)
    if wanted.rule is not None:
        steps.append(SetRule(rule=wanted.rule))
    rule = wanted.rule or existing.rule
    if rule is not None:
        steps.append(Prune(rule=rule, revisions=existing.spared))
    return tuple(steps)


def effective_auth(given: Auth | None, alias: Alias | None) -> Auth:
    """What guards the new revision: what was asked for, else as the alias has it, else private."""
    if given is not None:
        return given
    return alias.auth if alias is not None else "private"


def _artifacts(wanted: Wanted, bundle: File, existing: Existing) -> list[Step]:
    steps: list[Step] = []
    for layer in wanted.layers:
        if layer_name(layer.digest) in existing.layers:
            continue
        key = layer_key(layer.digest)
        if key not in existing.keys:
            steps.append(Upload(key=key, path=layer.path, size=layer.size))
        steps.append(PublishLayer(name=layer_name(layer.digest), key=key))
    key = bundle_key(bundle.digest)
    if key not in existing.keys and not existing.current:
        steps.append(Upload(key=key, path=bundle.path, size=bundle.size))
    return steps


def _reservations(wanted: Wanted, existing: Existing) -> list[Step]:
    """A function's limit holds for each Lambda function that its revisions live in."""
    count = wanted.spec.max_concurrency
    steps: list[Step] = []
    if count != (existing.function.reserved if existing.function else None):
        steps.append(Reserve(function=wanted.function, count=count))
    if existing.sibling is not None and count != existing.sibling.reserved:
        steps.append(Reserve(function=existing.sibling.name, count=count))
    # The function itself is limited first and freed last: it tells whether the other is to be read.
    return steps if count is not None else steps[::-1]


def _alias_steps(wanted: Wanted, alias: Alias | None, auth: Auth) -> list[Step]:
    steps: list[Step] = [MoveAlias(alias=wanted.alias, function=wanted.function, auth=auth)]
    before = alias.min_concurrency if alias else 0
    moved = alias is not None and alias.function != wanted.function
    count = wanted.spec.min_concurrency
    if count or (before and not moved):
        provision = Provision(function=wanted.function, alias=wanted.alias, count=count)
        # Lambda moves no alias with provisioned environments to a version with a snapshot.
        steps.insert(0 if wanted.spec.snap_start else 1, provision)
    if alias is not None and (moved or alias.retiring or alias.alarm):
        steps.append(
            ClearAlias(
                alias=wanted.alias,
                function=alias.function if moved else alias.retiring,
                alarm=alias.alarm,
            )
        )
    return steps


def _check_concurrency(wanted: Wanted, existing: Existing) -> None:
    spec = wanted.spec
    if spec.min_concurrency and not wanted.alias:
        raise SpecError(
            "min_concurrency needs an alias.",
            reason="provisioned environments belong to an alias, and move with it",
            hint="add --alias, or leave min_concurrency out",
        )
    if spec.max_concurrency is not None and spec.min_concurrency > spec.max_concurrency:
        raise SpecError(
            f"min_concurrency={spec.min_concurrency} is above max_concurrency.",
            reason=f"the function may use {spec.max_concurrency} environments at most",
            hint="lower min_concurrency or raise max_concurrency",
        )
    if spec.min_concurrency and existing.alias is not None and existing.alias.split is not None:
        raise ConflictError(
            f"Alias '{wanted.alias}' splits its requests.",
            reason="Lambda does not combine a split with provisioned concurrency",
            hint=f"run: fal-serverless alias split {wanted.alias} --stop",
        )
    if existing.unreserved is not None:
        _check_account(spec, existing, existing.unreserved)


def _check_account(spec: FunctionSpec, existing: Existing, unreserved: int) -> None:
    functions = [item for item in (existing.function, existing.sibling) if item is not None]
    left = unreserved + sum(item.reserved or 0 for item in functions)
    copies = 2 if existing.sibling is not None else 1
    keeps = f"the account has {left} left in this Region, and {UNRESERVED_MIN} must stay unreserved"
    if spec.max_concurrency is None:
        if spec.min_concurrency > left - UNRESERVED_MIN:
            raise SpecError(
                f"min_concurrency={spec.min_concurrency} cannot be provisioned.",
                reason=keeps,
                hint="lower or drop min_concurrency, or ask AWS for a higher concurrency quota",
            )
    elif spec.max_concurrency * copies > left - UNRESERVED_MIN:
        twice = "; its revisions as layers and as images have as much each" if copies == 2 else ""
        raise SpecError(
            f"max_concurrency={spec.max_concurrency} cannot be reserved.",
            reason=keeps + twice,
            hint="lower or drop max_concurrency, or ask AWS for a higher concurrency quota",
        )
