"""What lies in an account beside a stack: layers, log groups, images, alarms, parameters.

Some of it belongs to what is served, some is left over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws import records
from fal_serverless.aws.images import ImageRepository
from fal_serverless.aws.logs import log_group
from fal_serverless.aws.session import error_code, translated
from fal_serverless.checks import leftovers
from fal_serverless.checks.leftovers import Thing
from fal_serverless.errors import NotFoundError
from fal_serverless.inventory import our_layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fal_serverless.aws.session import Session

PARAMETERS_AT_A_TIME = 10  # SSM API reference, DeleteParameters
ALARMS_AT_A_TIME = 100  # CloudWatch API reference, DeleteAlarms


@dataclass(frozen=True)
class Leftovers:
    """Lists and deletes them, everything of all pages; deleting what is gone is no error."""

    session: Session

    def function_versions(self) -> tuple[Mapping[str, Any], ...]:
        """Every version of every Lambda function of the Region, as Lambda describes them."""
        found = self._all("lambda", "list_functions", "Functions", FunctionVersion="ALL")
        return tuple(found)

    def layers(self, prefix: str) -> tuple[Mapping[str, Any], ...]:
        """Layers whose names begin so: ``LayerName`` and their ``LatestMatchingVersion``."""
        found = self._all("lambda", "list_layers", "Layers")
        return tuple(item for item in found if item["LayerName"].startswith(prefix))

    def delete_layer(self, name: str) -> None:
        """Delete all versions of a layer; functions that use one keep it."""
        client = self.session.client("lambda")
        for item in self._all("lambda", "list_layer_versions", "LayerVersions", LayerName=name):
            with translated(f"Deleting the layer '{name}'"):
                client.delete_layer_version(LayerName=name, VersionNumber=item["Version"])

    def log_groups(self, prefix: str) -> tuple[Mapping[str, Any], ...]:
        """Log groups whose names begin so: ``logGroupName``, ``creationTime`` (milliseconds)."""
        return tuple(
            self._all("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
        )

    def delete_log_group(self, name: str) -> None:
        """Delete a log group."""
        with translated(f"Deleting the log '{name}'"):
            try:
                self.session.client("logs").delete_log_group(logGroupName=name)
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise

    def images(self, repository: str) -> tuple[Mapping[str, Any], ...]:
        """Images of an ECR repository: ``imageDigest``, ``imagePushedAt``; none without one."""
        try:
            return tuple(
                self._all("ecr", "describe_images", "imageDetails", repositoryName=repository)
            )
        except NotFoundError:
            return ()

    def image_digests(self, versions: Iterable[Mapping[str, Any]]) -> set[str]:
        """Digests of the images that versions of functions run from."""
        client = self.session.client("lambda")
        digests = set()
        for item in versions:
            if item.get("PackageType") != "Image":
                continue
            with translated(f"Reading the Lambda function '{item['FunctionName']}'"):
                code = client.get_function(
                    FunctionName=item["FunctionName"], Qualifier=item["Version"]
                )["Code"]
            uri = code.get("ResolvedImageUri") or code.get("ImageUri", "")
            digests.add(uri.rpartition("@")[2])
        return digests

    def alarms(self, prefix: str) -> tuple[str, ...]:
        """Names of the metric alarms that begin so."""
        found = self._all("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=prefix)
        return tuple(str(item["AlarmName"]) for item in found)

    def delete_alarms(self, names: Sequence[str]) -> None:
        """Delete alarms."""
        client = self.session.client("cloudwatch")
        with translated("Deleting the alarms"):
            for start in range(0, len(names), ALARMS_AT_A_TIME):
                client.delete_alarms(AlarmNames=list(names[start : start + ALARMS_AT_A_TIME]))

    def parameters(self, path: str) -> tuple[str, ...]:
        """Names of the SSM parameters under a path, without their values."""
        found = self._all("ssm", "get_parameters_by_path", "Parameters", Path=path, Recursive=True)
        return tuple(str(item["Name"]) for item in found)

    def delete_parameters(self, names: Sequence[str]) -> None:
        """Delete SSM parameters."""
        client = self.session.client("ssm")
        with translated("Deleting the secrets"):
            for start in range(0, len(names), PARAMETERS_AT_A_TIME):
                client.delete_parameters(Names=list(names[start : start + PARAMETERS_AT_A_TIME]))

    def items(self, table: str, kinds: Iterable[str]) -> tuple[Mapping[str, Any], ...]:
        """Records of a registry whose ``sk`` begin with one of ``kinds``, of all users."""
        wanted = list(kinds)
        values = {f":k{number}": {"S": kind} for number, kind in enumerate(wanted)}
        condition = " OR ".join(f"begins_with(sk, {name})" for name in values)
        found = self._all(
            "dynamodb",
            "scan",
            "Items",
            TableName=table,
            FilterExpression=condition,
            ExpressionAttributeValues=values,
            ConsistentRead=True,
        )
        return tuple(found)

    def _all(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        client = self.session.client(service)
        with translated(f"Listing what is there ({operation})"):
            pages = client.get_paginator(operation).paginate(**arguments)
            return [item for page in pages for item in page.get(key, [])]


def unneeded(
    session: Session, *, user: str, table: str, repository: str, now: float
) -> tuple[Thing, ...]:
    """Layers of anybody, logs of this user and images of this stack that nothing needs.

    Raises:
        AuthError: the caller may not list something.
    """
    found = Leftovers(session)
    versions = found.function_versions()
    revisions = [records.from_item(item) for item in found.items(table, ("REV#",))]
    arns = (layer["Arn"] for item in versions for layer in item.get("Layers", ()))
    used = {name for name in map(our_layer, arns) if name}
    logs = {log_group(item["FunctionName"]) for item in versions}
    logs |= {log_group(str(item["function"])) for item in revisions}
    things = [
        Thing("layer", item["LayerName"], _epoch(item["LatestMatchingVersion"]["CreatedDate"]))
        for item in found.layers("fal-")
        if our_layer(item["LatestMatchingVersion"]["LayerVersionArn"])
    ]
    things += [
        Thing("log", item["logGroupName"], item["creationTime"] / 1000)
        for item in found.log_groups(log_group(f"fal-{user}-"))
    ]
    needed = {*used, *logs, *(str(item.get("image", "")) for item in revisions)}
    images = [
        Thing("image", item["imageDigest"], item["imagePushedAt"].timestamp())
        for item in found.images(repository)
    ]
    if leftovers.unneeded(images, needed, now):
        # Only now: this asks Lambda for each version that runs from an image.
        needed |= found.image_digests(versions)
    return leftovers.unneeded([*things, *images], needed, now)


def delete(session: Session, things: Iterable[Thing], repository: str) -> None:
    """Delete what nothing needs."""
    found = Leftovers(session)
    images = []
    for item in things:
        if item.kind == "layer":
            found.delete_layer(item.name)
        elif item.kind == "log":
            found.delete_log_group(item.name)
        else:
            images.append(item.name)
    ImageRepository(session.client("ecr"), f"/{repository}").delete(images)


def _epoch(text: str) -> float:
    """Seconds of Lambda's dates: ``2026-11-25T08:00:00.000+0000``."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
