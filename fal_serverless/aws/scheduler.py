"""EventBridge Scheduler in the stack's group: satisfies ``publish.schedules.Scheduler``."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.session import error_code, translated

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY_TRIES = 20
"""How often a change is repeated while an earlier one is applied (409), half a second apart."""
DELIVERY_RETRIES = 5
"""How often Scheduler offers a run to Lambda again; its own default is 185 times in a day."""
AGE_MAX_S = 3600
"""A run that could not begin for an hour is given up, by Scheduler and by Lambda each: by then
most schedules have run again."""


@dataclass(frozen=True, kw_only=True)
class EventScheduler:
    """Makes and deletes what fires functions.

    Attributes:
        client: of EventBridge Scheduler.
        lambdas: client of Lambda.
        group: of the stack.
        role: ARN of the role that functions are invoked by.
        undelivered: ARN of the queue for runs that Lambda did not take.
        sleep: takes seconds.
    """

    client: Any
    lambdas: Any
    group: str
    role: str
    undelivered: str
    sleep: Callable[[float], None] = time.sleep

    def prepare(self, function: str, version: str) -> str:
        """Bound what Lambda does with runs of a version; its qualified ARN.

        A run that was killed may have had effects, so Lambda does not begin it again; one that
        finds no room waits for ``AGE_MAX_S``.
        """
        with translated(f"Preparing version {version} of '{function}' for its schedule"):
            made = self._unless_busy(
                lambda: self.lambdas.put_function_event_invoke_config(
                    FunctionName=function,
                    Qualifier=version,
                    MaximumRetryAttempts=0,
                    MaximumEventAgeInSeconds=AGE_MAX_S,
                )
            )
        return str(made["FunctionArn"])

    def put(self, name: str, expression: str, target: str, event: dict[str, Any]) -> None:
        """Make or replace what fires ``event`` at ``target``; the same again changes nothing."""
        wanted = {
            "GroupName": self.group,
            "Name": name,
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED",
            "Target": {
                "Arn": target,
                "RoleArn": self.role,
                "Input": json.dumps(event),
                "DeadLetterConfig": {"Arn": self.undelivered},
                "RetryPolicy": {
                    "MaximumRetryAttempts": DELIVERY_RETRIES,
                    "MaximumEventAgeInSeconds": AGE_MAX_S,
                },
            },
        }
        with translated(f"Scheduling '{name}'"):
            if self._replaced(wanted):
                return
            # The token tells a repetition of this very call from another schedule of the name.
            self._unless_busy(
                lambda: self.client.create_schedule(**wanted, ClientToken=_token(wanted))
            )

    def delete(self, name: str) -> None:
        """Delete it; nothing happens when it is gone."""
        with translated(f"Cancelling '{name}'"):
            try:
                self._unless_busy(
                    lambda: self.client.delete_schedule(GroupName=self.group, Name=name)
                )
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise

    def names(self, prefix: str) -> tuple[str, ...]:
        """Names of the schedules in the group that begin with ``prefix``."""
        with translated("Listing the schedules"):
            pages = self.client.get_paginator("list_schedules").paginate(
                GroupName=self.group, NamePrefix=prefix
            )
            return tuple(str(item["Name"]) for page in pages for item in page["Schedules"])

    def _replaced(self, wanted: dict[str, Any]) -> bool:
        """Whether there was one to replace."""
        try:
            self._unless_busy(lambda: self.client.update_schedule(**wanted))
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise
            return False
        return True

    def _unless_busy(self, call: Callable[[], Any]) -> Any:
        for left in reversed(range(BUSY_TRIES)):
            try:
                return call()
            except ClientError as error:
                busy = {"ConflictException", "ResourceConflictException"}
                if error_code(error) not in busy or not left:
                    raise
                self.sleep(0.5)
        raise AssertionError("the loop returns or raises")


def _token(wanted: dict[str, Any]) -> str:
    """The same for the same request: EventBridge takes 64 letters and digits."""
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
