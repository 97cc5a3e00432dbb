"""The stack's table, as the command uses it: satisfies ``publish.services.Registry``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fal_serverless.aws import records
from fal_serverless.aws.schedule_records import ScheduleRecords
from fal_serverless.aws.table import key_of
from fal_serverless.errors import AwsError, ConflictError, NotFoundError
from fal_serverless.names import DNS_LABEL_MAX
from fal_serverless.publish.state import LEASE_SECONDS, Alias, Revision, Route, Rule, newest_first
from fal_serverless.users import user_id_candidates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.keys import KeyRecord


REVOKED_DAYS = 90
"""How long a key that was taken back stays in the list; the key itself stays useless for ever."""


class RegistryTable(ScheduleRecords):
    """One DynamoDB table with the string keys ``pk`` and ``sk``."""

    # --- leases

    def take_lease(self, name: str, holder: str, now: float) -> str | None:
        """None when taken or renewed; otherwise who holds it."""
        item = {
            "pk": f"LEASE#{name}",
            "sk": "-",
            "holder": holder,
            "lease_ends": now + LEASE_SECONDS,
            # DynamoDB clears what a dead publisher left; it may take two days over it.
            "ttl": int(now) + 86_400,
        }
        taken = self._put(
            records.to_item(item),
            "attribute_not_exists(pk) OR holder = :me OR lease_ends < :now",
            {":me": {"S": holder}, ":now": {"N": str(now)}},
        )
        if taken:
            return None
        found = self._get(f"LEASE#{name}", "-")
        return str(found["holder"]) if found else "somebody who just ended"

    def drop_lease(self, name: str, holder: str) -> None:
        """Release it if it is still the holder's."""
        self._transact(
            [
                {
                    "Delete": {
                        "TableName": self.table,
                        "Key": key_of(f"LEASE#{name}", "-"),
                        "ConditionExpression": "holder = :me",
                        "ExpressionAttributeValues": {":me": {"S": holder}},
                    }
                }
            ]
        )

    # --- revisions

    def revision(self, owner: str, revision: str) -> Revision | None:
        """One revision, or None."""
        item = self._item(f"USER#{owner}", f"REV#{revision}")
        return records.revision_of(item) if item else None

    def revisions(self, owner: str) -> tuple[Revision, ...]:
        """All of a user's, newest first."""
        items = self._query(f"USER#{owner}", "REV#")
        return newest_first(records.revision_of(item) for item in items)

    def add_revision(self, revision: Revision, route: Route | None) -> None:
        """Record a revision and its route, if it has one, at once.

        Raises:
            ConflictError: the revision is there already.
        """
        new = {"ConditionExpression": "attribute_not_exists(pk)"}
        put = {"TableName": self.table, **new}
        items = [records.revision_item(revision)]
        items += [records.route_item(route)] if route is not None else []
        if not self._transact([{"Put": {**put, "Item": item}} for item in items]):
            raise ConflictError(
                f"Revision '{revision.id}' is recorded already.",
                reason="a revision never changes",
                hint="run the command again",
            )

    def delete_revision(self, owner: str, revision: str) -> None:
        """Remove a revision and its route; nothing happens when they are gone."""
        self._transact(
            [
                self._delete(f"ROUTE#{owner}-{revision}", "-"),
                self._delete(f"USER#{owner}", f"REV#{revision}"),
            ]
        )

    # --- aliases

    def alias(self, owner: str, name: str) -> Alias | None:
        """One alias, or None."""
        if len(name) > DNS_LABEL_MAX:
            # No alias is so long, and DynamoDB fails at keys of more than 1,024 bytes.
            return None
        item = self._item(f"USER#{owner}", f"ALIAS#{name}")
        return records.alias_of(item) if item else None

    def aliases(self, owner: str) -> tuple[Alias, ...]:
        """All of a user's, by name."""
        return tuple(map(records.alias_of, self._query(f"USER#{owner}", "ALIAS#")))

    def put_alias(self, alias: Alias, route: Route, *, expected: str | None) -> bool:
        """Write an alias and its route at once.

        False when its token is not ``expected`` any more (None: new), or its revision is gone.
        """
        revision = {
            "TableName": self.table,
            "Key": key_of(f"USER#{alias.owner}", f"REV#{alias.revision}"),
            "ConditionExpression": "attribute_exists(pk)",
        }
        return self._transact(
            [
                {"ConditionCheck": revision},
                {"Put": {**self._if_token(expected), "Item": records.alias_item(alias)}},
                {"Put": {"TableName": self.table, "Item": records.route_item(route)}},
            ]
        )

    def update_alias(self, alias: Alias, *, expected: str) -> bool:
        """Write the alias's record alone if its token is still ``expected``."""
        return self._transact(
            [{"Put": {**self._if_token(expected), "Item": records.alias_item(alias)}}]
        )

    def delete_alias(self, owner: str, name: str, *, expected: str) -> bool:
        """Remove an alias and its route at once if its token is still ``expected``."""
        key = key_of(f"USER#{owner}", f"ALIAS#{name}")
        return self._transact(
            [
                {"Delete": {**self._if_token(expected), "Key": key}},
                self._delete(f"ROUTE#{owner}-{name}", "-"),
            ]
        )

    # --- retention

    def rule(self, owner: str, name: str) -> Rule | None:
        """Which revisions of a function stay, or None when all do."""
        item = self._item(f"USER#{owner}", f"RULE#{name}")
        return records.rule_of(item) if item else None

    def rules(self, owner: str) -> tuple[Rule, ...]:
        """All of a user's, by name."""
        return tuple(map(records.rule_of, self._query(f"USER#{owner}", "RULE#")))

    def put_rule(self, rule: Rule) -> None:
        """Write a rule."""
        item = records.rule_item(rule)
        # Whoever writes last decides; the condition always holds.
        self._put(item, "attribute_not_exists(pk) OR pk = :pk", {":pk": item["pk"]})

    def delete_rule(self, owner: str, name: str) -> None:
        """Remove a rule; nothing happens when there is none."""
        self._transact([self._delete(f"USER#{owner}", f"RULE#{name}")])

    # --- users

    def user_id(self, principal: str, *, create: bool = True) -> str | None:
        """The user id of a principal; allocated on first use unless ``create`` is False.

        Raises:
            AwsError: no free id was found, which takes millions of users.
        """
        found = self._get(f"IDENTITY#{principal}", "-")
        if found:
            return str(found["user_id"])
        if not create:
            return None
        for candidate in user_id_candidates(principal):
            new = {"TableName": self.table, "ConditionExpression": "attribute_not_exists(pk)"}
            identity = {"pk": f"IDENTITY#{principal}", "sk": "-", "user_id": candidate}
            user = {"pk": f"USER#{candidate}", "sk": "-", "principal": principal}
            if self._transact(
                [
                    {"Put": {**new, "Item": records.to_item(identity)}},
                    {"Put": {**new, "Item": records.to_item(user)}},
                ]
            ):
                return candidate
            found = self._get(f"IDENTITY#{principal}", "-")
            if found:  # the same caller, from another process, was first
                return str(found["user_id"])
        raise AwsError(
            "No user id is free.",
            reason="every id tried for this principal is taken",
            hint="deploy a second stack, and choose it with --stack",
        )

    def forget_user(self, principal: str) -> bool:
        """Remove what links a principal to its user id; whether there was a link."""
        if self._get(f"IDENTITY#{principal}", "-") is None:
            return False
        self._transact([self._delete(f"IDENTITY#{principal}", "-")])
        return True

    # --- keys

    def add_key(self, key: KeyRecord, created_at: str) -> None:
        """Record a key for the gateway, and for the list of its owner."""
        guard = {
            "pk": f"KEY#{key.id}",
            "sk": "-",
            "secret_sha256": key.secret_sha256,
            "owner": key.owner,
            "scope": key.scope,
            "alias": key.alias,
            "expires_at": key.expires_at,
            "revoked": key.revoked,
        }
        shown = {
            "pk": f"USER#{key.owner}",
            "sk": f"KEY#{key.id}",
            "key_id": key.id,
            "scope": key.scope,
            "alias": key.alias,
            "expires_at": key.expires_at,
            "created_at": created_at,
        }
        put = {"TableName": self.table, "ConditionExpression": "attribute_not_exists(pk)"}
        items = (records.to_item(guard), records.to_item(shown))
        if not self._transact([{"Put": {**put, "Item": item}} for item in items]):
            raise ConflictError(
                f"Key '{key.id}' exists already.",
                reason="the id was taken",
                hint="run the command again",
            )

    def keys(self, owner: str) -> tuple[Mapping[str, Any], ...]:
        """A user's keys without their secrets: key_id, scope, alias, created_at, expires_at.

        One that was taken back has ``revoked_at`` (epoch seconds), and is listed for
        ``REVOKED_DAYS`` days.
        """
        return tuple(map(records.from_item, self._query(f"USER#{owner}", "KEY#")))

    def revoke_key(self, owner: str, key_id: str, now: float | None = None) -> None:
        """Make a key useless at once; caches forget it within 5 seconds.

        Args:
            now: epoch seconds; None: what the machine says.

        Raises:
            NotFoundError: the user has no such key.
        """
        mine = {":owner": {"S": owner}, ":yes": {"BOOL": True}}
        at = int(time.time() if now is None else now)
        shown = {":now": at, ":ttl": at + REVOKED_DAYS * 86_400, ":id": key_id}
        done = self._transact(
            [
                {
                    "Update": {
                        "TableName": self.table,
                        "Key": key_of(f"KEY#{key_id}", "-"),
                        "UpdateExpression": "SET revoked = :yes",
                        "ConditionExpression": "#owner = :owner",
                        "ExpressionAttributeNames": {"#owner": "owner"},
                        "ExpressionAttributeValues": mine,
                    }
                },
                {
                    "Update": {
                        "TableName": self.table,
                        "Key": key_of(f"USER#{owner}", f"KEY#{key_id}"),
                        "UpdateExpression": (
                            "SET revoked_at = if_not_exists(revoked_at, :now), "
                            "#ttl = if_not_exists(#ttl, :ttl)"
                        ),
                        "ConditionExpression": "key_id = :id",
                        "ExpressionAttributeNames": {"#ttl": "ttl"},
                        "ExpressionAttributeValues": records.to_item(shown),
                    }
                },
            ]
        )
        if not done:
            raise NotFoundError(
                f"There is no key '{key_id}'.",
                reason=f"user {owner} has none of that id",
                hint="list them with: fal-serverless key list",
            )

    def webhook_secret(self, owner: str) -> str | None:
        """The secret that a user's webhooks are signed with, or None."""
        found = self._get(f"USER#{owner}", "WEBHOOK")
        return str(found["secret"]) if found else None

    def set_webhook_secret(
        self, owner: str, secret: str, *, previous: str | None, until: int
    ) -> str:
        """Replace a user's webhook secret, unless another process just did; the one that is now.

        Args:
            previous: the one it replaces, or None for the first.
            until: epoch seconds to which the previous one signs too.
        """
        item = {
            "pk": f"USER#{owner}",
            "sk": "WEBHOOK",
            "secret": secret,
            "previous": previous,
            "previous_until": until if previous else None,
        }
        condition, values = "attribute_not_exists(secret)", {}
        if previous:
            condition, values = "secret = :previous", {":previous": {"S": previous}}
        if self._put(records.to_item(item), condition, values):
            return secret
        return self.webhook_secret(owner) or secret
