"""Deploying, reading and deleting the stack by CloudFormation."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.artifacts import ArtifactBucket
from fal_serverless.aws.identity import caller
from fal_serverless.aws.session import error_code, from_client_error, translated
from fal_serverless.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from fal_serverless.aws.session import Session

POLL_SECONDS = 2.0
TRIES = 900
"""Polls until an operation must have ended; certificates and domains take many minutes."""
_NO_CHANGE = ("didn't contain changes", "No updates are to be performed", "no changes")


@dataclass
class Deployer:
    """CloudFormation and S3 of one account and Region; ``sleep`` is passed in for tests."""

    session: Session
    sleep: Callable[[float], None] = time.sleep
    poll: float = POLL_SECONDS

    def outputs(self, name: str) -> dict[str, str] | None:
        """A stack's outputs, or None when there is no such stack."""
        found = self._describe(name)
        if found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS":
            return None
        return {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}

    def status(self, name: str) -> str | None:
        """CloudFormation's word for the stack's state, or None."""
        found = self._describe(name)
        return str(found["StackStatus"]) if found else None

    def bootstrap_bucket(self) -> str:
        """A private bucket of this account and Region for the stack's own code, made if needed."""
        name = f"fal-stack-{caller(self.session).account}-{self.session.region}"
        client = self.session.client("s3")
        with translated(f"Making the bucket '{name}'"):
            try:
                client.head_bucket(Bucket=name)
            except ClientError as error:
                if error_code(error) not in ("404", "NoSuchBucket", "NotFound"):
                    raise
                place = {"LocationConstraint": self.session.region}
                extra: dict[str, Any] = {"CreateBucketConfiguration": place}
                client.create_bucket(
                    Bucket=name, **({} if self.session.region == "us-east-1" else extra)
                )
                client.put_public_access_block(
                    Bucket=name,
                    PublicAccessBlockConfiguration={
                        "BlockPublicAcls": True,
                        "IgnorePublicAcls": True,
                        "BlockPublicPolicy": True,
                        "RestrictPublicBuckets": True,
                    },
                )
        return name

    def upload(self, bucket: str, key: str, path: Path) -> None:
        """Put a content-addressed file into a bucket, unless it is there."""
        place = ArtifactBucket(self.session.client("s3"), bucket)
        if not place.has(key):
            place.upload(key, path)

    def deploy(
        self,
        name: str,
        template: str,
        parameters: Mapping[str, str],
        tell: Callable[[str], None],
    ) -> bool:
        """Create or update the stack by a change set; False when nothing had to change.

        Args:
            parameters: those to set; the others keep the value that the stack has, or begin with
                the template's default.

        Raises:
            StackError: the change set failed, or the stack rolled back.
        """
        client = self.session.client("cloudformation")
        status = self.status(name)
        if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
            # A stack whose first creation failed can only be deleted.
            tell("delete what an earlier failure left")
            self.delete(name)
            status = None
        new = status in (None, "REVIEW_IN_PROGRESS", "DELETE_COMPLETE")
        change = f"fal-{int(time.time() * 1000)}"
        with translated(f"Deploying the stack '{name}'"):
            client.create_change_set(
                StackName=name,
                ChangeSetName=change,
                ChangeSetType="CREATE" if new else "UPDATE",
                TemplateBody=template,
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
                Parameters=_parameters(parameters, () if new else self._set_before(name)),
            )
            if not self._change_ready(name, change):
                client.delete_change_set(StackName=name, ChangeSetName=change)
                return False
            client.execute_change_set(StackName=name, ChangeSetName=change)
        self._settled(name, tell)
        return True

    def _set_before(self, name: str) -> tuple[str, ...]:
        """The parameters that a stack has."""
        found: Any = self.session.client("cloudformation").describe_stacks(StackName=name)
        return tuple(item["ParameterKey"] for item in found["Stacks"][0].get("Parameters", []))

    def delete(self, name: str) -> bool:
        """Delete the stack and wait; False when there was none.

        Raises:
            StackError: CloudFormation could not delete a part of it.
        """
        if self.status(name) is None:
            return False
        client = self.session.client("cloudformation")
        with translated(f"Deleting the stack '{name}'"):
            client.delete_stack(StackName=name)
        for _ in range(TRIES):
            status = self.status(name)
            if status in (None, "DELETE_COMPLETE"):
                return True
            if status == "DELETE_FAILED":
                raise self._failed(name, "could not be deleted")
            self.sleep(self.poll)
        raise self._failed(name, "was not deleted in time")

    def empty_bucket(self, bucket: str) -> int:
        """Delete all objects of a bucket, so that it can be deleted; how many there were."""
        client = self.session.client("s3")
        count = 0
        with translated(f"Emptying the bucket '{bucket}'"):
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
                if keys:
                    client.delete_objects(Bucket=bucket, Delete={"Objects": keys})
                count += len(keys)
        return count

    def _describe(self, name: str) -> dict[str, Any] | None:
        client = self.session.client("cloudformation")
        try:
            with translated(f"Reading the stack '{name}'"):
                try:
                    found = client.describe_stacks(StackName=name)["Stacks"]
                except ClientError as error:
                    if "does not exist" in str(error):
                        return None
                    raise
        except IndexError:
            return None
        live = [item for item in found if item["StackStatus"] != "DELETE_COMPLETE"]
        return dict(live[0]) if live else None

    def _change_ready(self, name: str, change: str) -> bool:
        client = self.session.client("cloudformation")
        for _ in range(TRIES):
            found = client.describe_change_set(StackName=name, ChangeSetName=change)
            status, reason = found["Status"], str(found.get("StatusReason", ""))
            if status == "CREATE_COMPLETE":
                return True
            if status == "FAILED":
                if any(text in reason for text in _NO_CHANGE):
                    return False
                raise StackError(
                    f"The stack '{name}' cannot be deployed.",
                    reason=reason or "CloudFormation gives no reason",
                    hint="correct the parameters, and run it again; nothing has changed",
                )
            self.sleep(self.poll)
        raise self._failed(name, "did not accept the change in time")

    def _settled(self, name: str, tell: Callable[[str], None]) -> None:
        last = ""
        for _ in range(TRIES):
            status = self.status(name) or "DELETE_COMPLETE"
            if status != last:
                tell(status.lower().replace("_", " "))
                last = status
            if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                return
            if status.endswith(("FAILED", "ROLLBACK_COMPLETE", "DELETE_COMPLETE")):
                raise self._failed(name, "was rolled back")
            self.sleep(self.poll)
        raise self._failed(name, "did not settle in time")

    def _failed(self, name: str, what: str) -> StackError:
        client = self.session.client("cloudformation")
        try:
            events = client.describe_stack_events(StackName=name)["StackEvents"]
        except ClientError as error:
            raise from_client_error(f"Reading what happened to '{name}'", error) from error
        failed = [
            item
            for item in events
            if item["ResourceStatus"].endswith("FAILED")
            and "cancelled" not in item.get("ResourceStatusReason", "")
        ]
        first = failed[-1] if failed else {}
        resource = first.get("LogicalResourceId", "unknown")
        reason = first.get("ResourceStatusReason", "CloudFormation gives no reason")
        return StackError(
            f"The stack '{name}' {what}.",
            reason=f"{resource}: {reason}",
            hint="mend that and run it again; what was deployed before is still there",
        )


def _parameters(given: Mapping[str, str], before: Iterable[str]) -> list[Any]:
    kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in before if key not in given]
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()] + kept
