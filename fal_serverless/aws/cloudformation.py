"""Deploying, reading and deleting the stack by CloudFormation."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.artifacts import ArtifactBucket
from fal_serverless.aws.identity import caller
from fal_serverless.aws.session import error_code, translated
from fal_serverless.aws.stack_events import first_failure, next_step
from fal_serverless.changes import Change, Proposal, check_state
from fal_serverless.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from fal_serverless.aws.session import Session
    from fal_serverless.changes import Replacement

POLL_SECONDS = 2.0
TRIES = 900
"""Polls until an operation must have ended; certificates and domains take many minutes."""
STILL_POLLS = 15
"""Polls after which somebody who watches is told that an operation goes on."""
BEGIN_POLLS = 5
"""Polls in which CloudFormation must have begun with a change set that was executed."""
_KEEPS = {"Retain", "Snapshot", "ReplaceAndRetain", "ReplaceAndSnapshot"}
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

    def parameters(self, name: str) -> dict[str, str]:
        """The parameters that a stack was deployed with; none when there is no stack."""
        found = (self._describe(name) or {}).get("Parameters", [])
        return {item["ParameterKey"]: item.get("ParameterValue", "") for item in found}

    def status(self, name: str) -> str | None:
        """CloudFormation's word for the stack's state, or None."""
        found = self._describe(name)
        return str(found["StackStatus"]) if found else None

    def bootstrap_name(self) -> str:
        """The name of the bucket for the stack's own code."""
        return f"fal-stack-{caller(self.session).account}-{self.session.region}"

    def bootstrap_bucket(self) -> str:
        """A private bucket of this account and Region for the stack's own code, made if needed."""
        name = self.bootstrap_name()
        if self._is_there(name):
            return name
        client = self.session.client("s3")
        with translated(f"Making the bucket '{name}'"):
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

    def propose(
        self,
        name: str,
        template: str,
        parameters: Mapping[str, str],
        tell: Callable[[str], None],
    ) -> Proposal | None:
        """Make a change set that creates or updates the stack; None when nothing had to change.

        Args:
            parameters: those to set; the others keep the value that the stack has, or begin with
                the template's default.

        Raises:
            ConflictError: the stack is being changed already.
            StackError: the stack's state allows no change, or the change set failed.
        """
        client = self.session.client("cloudformation")
        before = self._describe(name)
        status = str(before["StackStatus"]) if before else None
        if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
            # A stack whose first creation failed can only be deleted; it never held anything.
            tell("delete what an earlier failure left")
            self.delete(name)
            before = status = None
        check_state(name, status)
        new = before is None or status == "REVIEW_IN_PROGRESS"
        change = f"fal-{int(time.time() * 1000)}"
        kept = () if new or before is None else before.get("Parameters", ())
        with translated(f"Deploying the stack '{name}'"):
            client.create_change_set(
                StackName=name,
                ChangeSetName=change,
                ChangeSetType="CREATE" if new else "UPDATE",
                TemplateBody=template,
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
                Parameters=_parameters(parameters, [item["ParameterKey"] for item in kept]),
            )
            changes = self._change_ready(name, change)
            if changes is None:
                client.delete_change_set(StackName=name, ChangeSetName=change)
                return None
        updated = str(before.get("LastUpdatedTime", "")) if before else ""
        return Proposal(stack=name, change_set=change, new=new, changes=changes, updated=updated)

    def discard(self, proposal: Proposal) -> None:
        """Forget a change set, and the empty stack that came into being for it."""
        client = self.session.client("cloudformation")
        with translated(f"Discarding the changes of '{proposal.stack}'"):
            client.delete_change_set(StackName=proposal.stack, ChangeSetName=proposal.change_set)
            if proposal.new and self.status(proposal.stack) == "REVIEW_IN_PROGRESS":
                client.delete_stack(StackName=proposal.stack)

    def execute(self, proposal: Proposal, tell: Callable[[str], None]) -> None:
        """Make the changes, and wait for the end.

        Raises:
            StackError: the stack rolled back; the first failure is the reason.
        """
        name = proposal.stack
        with translated(f"Deploying the stack '{name}'"):
            self.session.client("cloudformation").execute_change_set(
                StackName=name, ChangeSetName=proposal.change_set
            )
        last, polls, since = "", 0, 0
        for _ in range(TRIES):
            found = self._describe(name) or {"StackStatus": "DELETE_COMPLETE"}
            status, polls = str(found["StackStatus"]), polls + 1
            if status != last:
                tell(_words(status))
                last, since = status, polls
            else:
                self._still(_words(status), polls - since, tell)
            if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                # For a moment it may still have the state from before the update.
                begun = str(found.get("LastUpdatedTime", "")) != proposal.updated
                if proposal.new or begun or polls > BEGIN_POLLS:
                    return
            elif status.endswith(("FAILED", "ROLLBACK_COMPLETE", "DELETE_COMPLETE")):
                raise self._failed(name, "was rolled back", status)
            self.sleep(self.poll)
        raise self._failed(name, "did not settle in time", last)

    def _still(self, what: str, polls: int, tell: Callable[[str], None]) -> None:
        """Say now and then that it goes on: minutes without a line look like a hang."""
        if polls and polls % STILL_POLLS == 0:
            tell(f"… {what}, for {polls * self.poll:.0f} s")

    def delete(self, name: str, tell: Callable[[str], None] = lambda _: None) -> bool:
        """Delete the stack and wait; False when there was none.

        Args:
            tell: is told now and then that it goes on.

        Raises:
            StackError: CloudFormation could not delete a part of it.
        """
        before = self.status(name)
        if before is None:
            return False
        client = self.session.client("cloudformation")
        with translated(f"Deleting the stack '{name}'"):
            client.delete_stack(StackName=name)
        for polls in range(TRIES):
            status = self.status(name)
            if status in (None, "DELETE_COMPLETE"):
                return True
            # For a moment it may still have the state that an earlier attempt left.
            if status == "DELETE_FAILED" and (before != status or polls > BEGIN_POLLS):
                raise self._failed(name, "could not be deleted", status)
            self._still(f"delete {name}", polls, tell)
            self.sleep(self.poll)
        raise self._failed(name, "was not deleted in time", status)

    def empty_bucket(self, bucket: str) -> int:
        """Delete all objects of a bucket, so that it can be deleted; how many there were."""
        client = self.session.client("s3")
        count = 0
        if not self._is_there(bucket):
            return 0
        with translated(f"Emptying the bucket '{bucket}'"):
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
                if keys:
                    client.delete_objects(Bucket=bucket, Delete={"Objects": keys})
                count += len(keys)
        return count

    def _is_there(self, bucket: str) -> bool:
        with translated(f"Looking for the bucket '{bucket}'"):
            try:
                self.session.client("s3").head_bucket(Bucket=bucket)
            except ClientError as error:
                if error_code(error) not in ("404", "NoSuchBucket", "NotFound"):
                    raise
                return False
        return True

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

    def _change_ready(self, name: str, change: str) -> tuple[Change, ...] | None:
        """The changes once they are known; None when there are none."""
        client = self.session.client("cloudformation")
        place = {"StackName": name, "ChangeSetName": change}
        for _ in range(TRIES):
            found = client.describe_change_set(**place)
            status, reason = found["Status"], str(found.get("StatusReason", ""))
            if status == "CREATE_COMPLETE":
                changes = list(found.get("Changes", []))
                while found.get("NextToken"):
                    found = client.describe_change_set(**place, NextToken=found["NextToken"])
                    changes += found.get("Changes", [])
                return tuple(_change(item["ResourceChange"]) for item in changes)
            if status == "FAILED":
                if any(text in reason for text in _NO_CHANGE):
                    return None
                raise StackError(
                    f"The stack '{name}' cannot be deployed.",
                    reason=" ".join(reason.split()) or "CloudFormation gives no reason",
                    hint="correct the parameters, and run it again; nothing has changed",
                )
            self.sleep(self.poll)
        raise self._failed(name, "did not accept the change in time", None)

    def _failed(self, name: str, what: str, status: str | None) -> StackError:
        client = self.session.client("cloudformation")
        with translated(f"Reading what happened to '{name}'"):
            pages = client.get_paginator("describe_stack_events").paginate(StackName=name)
            first = first_failure(item for page in pages for item in page["StackEvents"])
        reason = f"{first.resource}: {first.reason}" if first else f"its state is {status}"
        return StackError(
            f"The stack '{name}' {what}.", reason=reason, hint=next_step(name, status, reason)
        )


def _words(status: str) -> str:
    return status.lower().replace("_", " ")


def _change(found: Mapping[str, Any]) -> Change:
    details = [item.get("Target", {}) for item in found.get("Details", [])]
    named = [str(item.get("Name") or item.get("Attribute", "")) for item in details]
    replaced: dict[str, Replacement] = {"True": "yes", "Conditional": "perhaps"}
    return Change(
        action=str(found["Action"]),
        resource=str(found["LogicalResourceId"]),
        type=str(found["ResourceType"]),
        replacement=replaced.get(str(found.get("Replacement")), "no"),
        properties=tuple(dict.fromkeys(name for name in named if name)),
        keeps=str(found.get("PolicyAction", "")) in _KEEPS,
    )


def _parameters(given: Mapping[str, str], before: Iterable[str]) -> list[Any]:
    kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in before if key not in given]
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()] + kept
