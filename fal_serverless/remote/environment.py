"""Lambda functions that run whatever their owner sends: one for each set of requirements."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless import publish
from fal_serverless.errors import SpecError
from fal_serverless.package import environment as environments
from fal_serverless.publish.lease import lease
from fal_serverless.publish.plan import bundle_key, layer_key, layer_name
from fal_serverless.publish.state import Code

if TYPE_CHECKING:
    from fal_serverless.package.bundle import Bundle
    from fal_serverless.package.image import BuiltImage
    from fal_serverless.package.layer import Layer
    from fal_serverless.publish import Target
    from fal_serverless.spec import FunctionSpec
    from fal_serverless.workspace import Workspace

HANDLER = "fal_serverless.runtime.call.handler"
PREFIX = "fal-env-"


def ensure(
    spec: FunctionSpec, space: Workspace, cache: Path, *, folder: Path, base: str = ""
) -> str:
    """The name of the Lambda function for ``spec``; it is made when it is not there.

    Args:
        folder: of the function's file.
        base: image of functions that name none, ``""`` for AWS's own.

    Raises:
        RequirementsError: the requirements have no answer for the target.
        SpecError: it would be an image, where none can run.
        AwsError: AWS refused a step.
    """
    publisher = space.publisher
    base = spec.base or base
    dockerfiles = space.dockerfiles(folder) if spec.dockerfile else None
    found = environments.needs(spec, cache=cache, progress=publisher.progress)
    names = found.names(dockerfiles.tag(spec) if dockerfiles else base)
    name = function_name(spec, space.target, names)
    if publisher.functions.get(name) is not None:
        return name
    if found.why and space.local:
        raise _nothing_runs_images(spec, found.why)
    space.secrets.require(spec.secrets)
    space.logs.keep(name, space.outputs.log_days)
    with lease(publisher.registry, name, publisher.clock):
        if publisher.functions.get(name) is None:
            with tempfile.TemporaryDirectory(prefix="fal-env-") as work:
                bundle = environments.placeholder(spec, Path(work))
                if found.why:
                    built = environments.image(
                        spec,
                        found,
                        bundle,
                        handler=HANDLER,
                        cache=cache,
                        base=dockerfiles.base(spec) if dockerfiles else base,
                        owner=space.user,
                        connect=space.images.repository,
                    )
                    _create(name, spec, space, _pushed(built, space), [])
                else:
                    layers = [_layer(layer, spec, space) for layer in found.layers]
                    _create(name, spec, space, _uploaded(bundle, space), layers)
    return name


def function_name(spec: FunctionSpec, target: Target, needs: list[str]) -> str:
    """``fal-env-<digest>`` of everything that makes two environments differ. Pure."""
    environment = spec.environment
    facts = [
        target.owner,
        target.stack,
        needs,
        environment.python,
        environment.architecture,
        spec.memory,
        spec.timeout,
        spec.ephemeral_storage,
        list(spec.environment_variables),
        list(spec.secrets),
        target.data,
        asdict(target.storage) if target.storage else None,
    ]
    return PREFIX + hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _layer(layer: Layer, spec: FunctionSpec, space: Workspace) -> str:
    name, key = layer_name(layer.digest), layer_key(layer.digest)
    publisher = space.publisher
    arn = publisher.functions.layer(name)
    if arn is not None:
        return arn
    if not publisher.artifacts.has(key):
        publisher.artifacts.upload(key, layer.path)
    return publisher.functions.publish_layer(
        name,
        bucket=publisher.artifacts.bucket,
        key=key,
        python=spec.environment.python,
        architecture=spec.environment.architecture,
    )


def _pushed(built: BuiltImage, space: Workspace) -> Code:
    if not space.images.has(built.digest):
        space.images.push(built, space.publisher.progress.advance)
    return Code(image=f"{space.target.images}@{built.digest}")


def _uploaded(bundle: Bundle, space: Workspace) -> Code:
    artifacts, key = space.publisher.artifacts, bundle_key(bundle.sha256)
    if not artifacts.has(key):
        artifacts.upload(key, bundle.path)
    return Code(bucket=artifacts.bucket, key=key)


def _create(name: str, spec: FunctionSpec, space: Workspace, code: Code, layers: list[str]) -> None:
    target = space.target
    variables = {
        **publish.variables(spec, target, revision=""),
        "FAL_SECRETS": ",".join(spec.secrets),
    }
    publish.check_environment(spec, variables)
    configuration = publish.configuration(
        spec,
        target,
        handler=HANDLER,
        layers=tuple(layers),
        variables=variables,
        description="fal-serverless environment of remote calls",
    )
    tags = {"fal-serverless:owner": target.owner}
    space.publisher.functions.create(name, code, configuration, tags)


def _nothing_runs_images(spec: FunctionSpec, why: str) -> SpecError:
    return SpecError(
        f"'{spec.name}' cannot be called on the embedded stack.",
        reason=f"its environment becomes an image, and the emulator runs none: {why}",
        hint="call it on AWS, or on this machine with .on(host=LocalHost())",
    )
