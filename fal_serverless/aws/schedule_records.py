"""Records of schedules in the stack's table."""

from __future__ import annotations

import dataclasses

from fal_serverless.aws import records
from fal_serverless.aws.session import translated
from fal_serverless.aws.table import Table, key_of
from fal_serverless.publish.schedules import Schedule


class ScheduleRecords(Table):
    """Satisfies ``publish.schedules.Records``."""

    def schedules(self, owner: str) -> tuple[Schedule, ...]:
        """All of a user's, by name and expression."""
        found = []
        fields = {field.name for field in dataclasses.fields(Schedule)}
        for item in self._query(f"USER#{owner}", "CRON#"):
            values = records.from_item(item)
            known = {key: values[key] for key in fields & values.keys()}
            found.append(Schedule(**{**known, "pending": tuple(values.get("pending", ()))}))
        return tuple(sorted(found, key=lambda item: (item.name, item.expression, item.id)))

    def put_schedule(self, schedule: Schedule) -> None:
        """Write one; the caller holds the lease of its function's schedules."""
        key = {"pk": f"USER#{schedule.owner}", "sk": f"CRON#{schedule.id}"}
        item = records.to_item({**key, **dataclasses.asdict(schedule)})
        with translated("Writing the registry"):
            self.client.put_item(TableName=self.table, Item=item)

    def delete_schedule(self, owner: str, schedule: str) -> None:
        """Remove one; nothing happens when it is gone."""
        with translated("Writing the registry"):
            self.client.delete_item(
                TableName=self.table, Key=key_of(f"USER#{owner}", f"CRON#{schedule}")
            )
