"""Lambda functions that run whatever their owner sends: one for each set of requirements."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless import package, publish
from fal_serverless.package import bundle as bundles
from fal_serverless.package.archive import Entry
from fal_serverless.publish.lease import lease
from fal_serverless.publish.plan import bundle_key, layer_key, layer_name
from fal_serverless.publish.state import Code

if TYPE_CHECKING:
    from fal_serverless.package.layer import Layer
    from fal_serverless.publish import Target
    from fal_serverless.spec import FunctionSpec
    from fal_serverless.workspace import Workspace

HANDLER = "fal_serverless.runtime.call.handler"
PREFIX = "fal-env-"


def ensure(spec: FunctionSpec, space: Workspace, cache: Path) -> str:
    """The name of the Lambda function for ``spec``; it is made when it is not there.

    Raises:
        RequirementsError: the requirements have no answer for the target.
        PackageTooLargeError: they are above Lambda's limit.
        AwsError: AWS refused a step.
    """
    publisher = space.publisher
    layers = package.environment_layers(spec, cache=cache, progress=publisher.progress)
    name = function_name(spec, space.target, [layer.digest for layer in layers])
    if publisher.functions.get(name) is not None:
        return name
    space.secrets.require(spec.secrets)
    space.logs.keep(name, space.outputs.log_days)
    with lease(publisher.registry, name, publisher.clock):
        if publisher.functions.get(name) is None:
            _create(name, spec, space, [_layer(layer, spec, space) for layer in layers])
    return name


def function_name(spec: FunctionSpec, target: Target, layers: list[str]) -> str:
    """``fal-env-<digest>`` of everything that makes two environments differ. Pure."""
    environment = spec.environment
    facts = [
        target.owner,
        target.stack,
        layers,
        environment.python,
        environment.architecture,
        spec.memory,
        spec.timeout,
        spec.ephemeral_storage,
        list(spec.environment_variables),
        list(spec.secrets),
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


def _create(name: str, spec: FunctionSpec, space: Workspace, layers: list[str]) -> None:
    publisher, target = space.publisher, space.target
    variables = {
        **publish.variables(spec, target, revision=""),
        "FAL_SECRETS": ",".join(spec.secrets),
    }
    publish.check_environment(spec, variables)
    with tempfile.TemporaryDirectory(prefix="fal-env-") as work:
        # Lambda wants a package, and the layers hold everything.
        about = json.dumps({"python": spec.environment.python}).encode()
        bundle = bundles.write(Path(work), {"environment.json": Entry(about)})
        key = bundle_key(bundle.sha256)
        if not publisher.artifacts.has(key):
            publisher.artifacts.upload(key, bundle.path)
    configuration = publish.configuration(
        spec,
        target,
        handler=HANDLER,
        layers=tuple(layers),
        variables=variables,
        description="fal-serverless environment of remote calls",
    )
    code = Code(bucket=publisher.artifacts.bucket, key=key)
    publisher.functions.create(name, code, configuration, {"fal-serverless:owner": target.owner})
