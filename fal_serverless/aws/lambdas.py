"""Lambda functions, versions and layers; with aliases it satisfies ``publish.services.Functions``.

Lambda's oddities have their names here: one change at a time (409 until it is applied), versions
that are not made when nothing changed, snapshots that are waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.lambda_aliases import LambdaAliases
from fal_serverless.aws.lambda_calls import POLL_SECONDS, gone_is_fine
from fal_serverless.aws.session import error_code, from_client_error, translated
from fal_serverless.errors import AwsError, ConflictError
from fal_serverless.names import DATA
from fal_serverless.publish.state import LiveFunction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fal_serverless.publish.state import Code, Configuration
    from fal_serverless.spec import Architecture

FIRST_POLL_SECONDS = 0.05
"""Pause between the first polls; later ones wait for a tenth of what was waited so far, so that no
change is noticed later than that, and Lambda's 15 requests a second are left to others."""
READY_TRIES = 1200
"""Polls until a function or version must be ready; images take minutes to be optimised."""
SNAPSHOT_TRIES = 4800
"""Polls until a version's snapshot must be there: its init may take 15 minutes (Lambda SnapStart,
"Runtime hook registration and execution"), and Lambda some for the copies."""


@dataclass
class LambdaFunctions(LambdaAliases):
    """The Lambda service of one account and Region; ``sleep`` is passed in for tests."""

    def layer(self, name: str) -> str | None:
        """ARN of the newest version of a layer, or None."""
        with translated(f"Looking for the layer '{name}'"):
            try:
                found = self.client.list_layer_versions(LayerName=name, MaxItems=1)
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    return None
                raise
        versions = found.get("LayerVersions", [])
        return str(versions[0]["LayerVersionArn"]) if versions else None

    def publish_layer(
        self, name: str, *, bucket: str, key: str, python: str, architecture: Architecture
    ) -> str:
        """Publish a layer's version from the artifact bucket; its ARN."""
        with translated(f"Publishing the layer '{name}'"):
            made = self.client.publish_layer_version(
                LayerName=name,
                Content={"S3Bucket": bucket, "S3Key": key},
                CompatibleRuntimes=[f"python{python}"],
                CompatibleArchitectures=[architecture],
            )
        return str(made["LayerVersionArn"])

    def get(self, function: str) -> LiveFunction | None:
        """The function, or None."""
        with translated(f"Reading the Lambda function '{function}'"):
            try:
                found = self.client.get_function(FunctionName=function)
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    return None
                raise
        return _live(found["Configuration"], found.get("Concurrency", {}))

    def create(
        self, function: str, code: Code, configuration: Configuration, tags: Mapping[str, str]
    ) -> LiveFunction:
        """Create it and wait until it is active.

        Raises:
            ConflictError: it is there already.
        """
        package = {"PackageType": "Image"} if code.image else {"PackageType": "Zip"}
        arguments = {
            **package,
            **_configuration(configuration, image=bool(code.image)),
            "Code": _code(code),
            "Architectures": [configuration.architecture],
            "Tags": dict(tags),
        }
        with translated(f"Creating the Lambda function '{function}'"):
            self._unless_busy(
                lambda: self.client.create_function(FunctionName=function, **arguments),
                conflict=False,
            )
        return self._ready(function)

    def update(self, function: str, code: Code, configuration: Configuration) -> LiveFunction:
        """Change code and configuration, each waited for; code that is there is not sent again."""
        with translated(f"Updating the Lambda function '{function}'"):
            live = self._ready(function)
            if not code.sha256 or live.code_sha256 != code.sha256:
                self._unless_busy(
                    lambda: self.client.update_function_code(
                        FunctionName=function,
                        Architectures=[configuration.architecture],
                        **_code(code),
                    )
                )
                live = self._ready(function)
            arguments = _configuration(configuration, image=bool(code.image))
            if live.snap_start and not configuration.snap_start:
                arguments["SnapStart"] = {"ApplyOn": "None"}
            if live.mounted and configuration.storage is None:
                # What is not said stays as it was.
                arguments |= {"FileSystemConfigs": [], "VpcConfig": _network((), ())}
            self._unless_busy(
                lambda: self.client.update_function_configuration(
                    FunctionName=function, **arguments
                )
            )
            return self._ready(function)

    def publish_version(self, function: str, *, code_sha256: str, token: str) -> str:
        """Publish what is there as a version, waited for with its snapshot; its number.

        Raises:
            ConflictError: the code or configuration is not the expected one any more.
            AwsError: Lambda could not make it ready, or has no snapshot of it.
        """
        with translated(f"Publishing a version of '{function}'"):
            made = self._unless_busy(
                lambda: self.client.publish_version(
                    FunctionName=function, CodeSha256=code_sha256, RevisionId=token
                )
            )
            version = str(made["Version"])
            if made.get("CodeSha256", code_sha256) != code_sha256:
                raise ConflictError(
                    f"Version {version} of '{function}' holds other code.",
                    reason="somebody else updated the function at the same moment",
                    hint="run the command again",
                )
            wanted = made.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions"
            ready = self._ready(function, version, SNAPSHOT_TRIES if wanted else READY_TRIES)
            if wanted and not ready.snapshot:
                raise AwsError(
                    f"Lambda has no snapshot of version {version} of '{function}'.",
                    reason="it is active, and its OptimizationStatus is Off",
                    hint="run the command again, or leave snap_start out; live URLs are untouched",
                )
        return version

    def versions(self, function: str) -> tuple[str, ...]:
        """Numbers of the published versions, oldest first."""
        found = self._pages("list_versions_by_function", "Versions", function)
        return tuple(str(item["Version"]) for item in found if item["Version"] != "$LATEST")

    def delete_version(self, function: str, version: str) -> None:
        """Delete a version; nothing happens when it is gone."""
        with translated(f"Deleting version {version} of '{function}'"), gone_is_fine():
            self._unless_busy(
                lambda: self.client.delete_function(FunctionName=function, Qualifier=version)
            )

    def delete(self, function: str) -> None:
        """Delete the function with all its versions; nothing happens when it is gone."""
        with translated(f"Deleting the Lambda function '{function}'"), gone_is_fine():
            self._unless_busy(lambda: self.client.delete_function(FunctionName=function))

    def names(self, prefix: str) -> tuple[str, ...]:
        """Names of the functions that begin with ``prefix``."""
        with translated("Listing the Lambda functions"):
            pages = self.client.get_paginator("list_functions").paginate()
            return tuple(
                str(item["FunctionName"])
                for page in pages
                for item in page["Functions"]
                if item["FunctionName"].startswith(prefix)
            )

    def role(self, function: str) -> str:
        """ARN of the role that a function runs under."""
        with translated(f"Reading the Lambda function '{function}'"):
            return str(self.client.get_function_configuration(FunctionName=function)["Role"])

    def _ready(self, function: str, version: str = "", tries: int = READY_TRIES) -> LiveFunction:
        place = {"FunctionName": function, **({"Qualifier": version} if version else {})}
        waited = 0.0
        for _ in range(tries):
            try:
                found = self.client.get_function_configuration(**place)
            except ClientError as error:
                raise from_client_error(f"Waiting for '{function}'", error) from error
            state = found.get("State", "Active")
            update = found.get("LastUpdateStatus", "Successful")
            if state == "Failed" or update == "Failed":
                raise AwsError(
                    f"Lambda could not make '{function}' ready.",
                    reason=str(
                        found.get("LastUpdateStatusReason")
                        or found.get("StateReason")
                        or "Lambda gives no reason"
                    ),
                    hint="mend what it says and run the command again; live URLs are untouched",
                )
            if state in ("Active", "Inactive") and update == "Successful":
                return _live(found, {})
            pause = min(POLL_SECONDS, max(FIRST_POLL_SECONDS, waited / 10))
            self.sleep(pause)
            waited += pause
        raise AwsError(
            f"'{function}' is not ready after {tries * POLL_SECONDS:.0f} s.",
            reason="Lambda has not finished applying the last change",
            hint="look at the function in the Lambda console, and run the command again",
        )


def _live(found: Mapping[str, Any], concurrency: Mapping[str, Any]) -> LiveFunction:
    return LiveFunction(
        name=str(found["FunctionName"]),
        code_sha256=str(found.get("CodeSha256", "")),
        token=str(found.get("RevisionId", "")),
        package="image" if found.get("PackageType") == "Image" else "layer",
        reserved=concurrency.get("ReservedConcurrentExecutions"),
        snap_start=found.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions",
        snapshot=found.get("SnapStart", {}).get("OptimizationStatus") == "On",
        mounted=bool(found.get("FileSystemConfigs")),
    )


def _code(code: Code) -> dict[str, str]:
    if code.image:
        return {"ImageUri": code.image}
    return {"S3Bucket": code.bucket, "S3Key": code.key}


def _network(subnets: Iterable[str], groups: Iterable[str]) -> dict[str, list[str]]:
    return {"SubnetIds": list(subnets), "SecurityGroupIds": list(groups)}


def _configuration(configuration: Configuration, *, image: bool) -> dict[str, Any]:
    shared = {
        "Role": configuration.role,
        "MemorySize": configuration.memory,
        "Timeout": configuration.timeout,
        "EphemeralStorage": {"Size": configuration.ephemeral_storage},
        "Environment": {"Variables": dict(configuration.variables)},
        "Description": configuration.description,
    }
    if configuration.log_group:
        shared["LoggingConfig"] = {"LogGroup": configuration.log_group}
    storage = configuration.storage
    if storage is not None:
        shared["FileSystemConfigs"] = [{"Arn": storage.access_point, "LocalMountPath": DATA}]
        shared["VpcConfig"] = _network(storage.subnets, storage.security_groups)
    if image:
        return shared
    if configuration.snap_start:
        shared["SnapStart"] = {"ApplyOn": "PublishedVersions"}
    return {
        **shared,
        "Runtime": f"python{configuration.python}",
        "Handler": configuration.handler,
        "Layers": list(configuration.layers),
    }
