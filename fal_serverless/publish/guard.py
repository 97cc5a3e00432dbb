"""What the stack does when the alarm of a split goes off, without anybody's command running."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fal_serverless.publish import splits
from fal_serverless.publish.apply import revision_time
from fal_serverless.publish.lease import lease

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.publish.lease import Clock
    from fal_serverless.publish.services import Alarms, Functions, Registry


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Ends the splits of one stack whose alarms go off.

    CloudWatch invokes it again when it fails, so that everything here may be repeated.
    """

    stack: str
    registry: Registry
    functions: Functions
    alarms: Alarms
    clock: Clock

    def __call__(self, event: Mapping[str, Any]) -> str:
        """What was done about an alarm's event, for the log.

        Raises:
            FalServerlessError: AWS refused something; nothing is lost, and it is tried again.
        """
        data = event.get("alarmData", {})
        name = str(data.get("alarmName", ""))
        state = data.get("state", {})
        if state.get("value") != "ALARM":
            return f"{name}: not an alarm"
        watched = splits.watched_alias(self.stack, name)
        if watched is None:
            return f"{name}: not an alarm on a split of {self.stack}"
        owner, alias_name = watched
        with lease(self.registry, f"{owner}-{alias_name}", self.clock):
            alias = self.registry.alias(owner, alias_name)
            if alias is None or alias.alarm != name:
                # Of a split that ended, or was begun anew with an alarm of its own.
                self.alarms.delete(name)
                return f"{name}: its split has ended already"
            splits.end(
                self.registry,
                self.functions,
                self.alarms,
                alias,
                now=revision_time(self.clock),
                by=splits.ALARM,
                action="abort",
            )
        return f"{name}: ended the split of {owner}-{alias_name}: {state.get('reason', '')}"
