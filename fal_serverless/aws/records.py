"""Registry records to and from DynamoDB's attribute values. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fal_serverless.aws.attributes import attribute, plain
from fal_serverless.publish.state import Alias, Event, Move, Revision, Route, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.frozen import Frozen


def to_item(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values as a DynamoDB item; None is left out."""
    return {key: attribute(_plain(value)) for key, value in values.items() if value is not None}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """A DynamoDB item as plain values; whole numbers are ints."""
    return {key: _python(plain(value)) for key, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _python(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_python(item) for item in value]
    if isinstance(value, dict):
        return {key: _python(item) for key, item in value.items()}
    return value


def revision_item(revision: Revision) -> dict[str, Any]:
    """The item of a revision."""
    values = vars(revision)
    key = {"pk": f"USER#{revision.owner}", "sk": f"REV#{revision.id}"}
    return to_item({**key, **values})


def revision_of(item: Mapping[str, Any]) -> Revision:
    """The revision of an item."""
    values = from_item(item)
    return Revision(**{**_known(Revision, values), "layers": tuple(values.get("layers", ()))})


def alias_item(alias: Alias) -> dict[str, Any]:
    """The item of an alias."""
    values = {
        **vars(alias),
        "history": [vars(move) for move in alias.history],
        "events": [_without_none(vars(event)) for event in alias.events],
        "split": list(alias.split) if alias.split else None,
    }
    return to_item({"pk": f"USER#{alias.owner}", "sk": f"ALIAS#{alias.name}", **values})


def alias_of(item: Mapping[str, Any]) -> Alias:
    """The alias of an item."""
    values = from_item(item)
    return Alias(
        **{
            **_known(Alias, values),
            "history": tuple(Move(**move) for move in values.get("history", ())),
            "events": tuple(
                Event(**{**event, "split": _pair(event.get("split"))})
                for event in values.get("events", ())
            ),
            "split": _pair(values.get("split")),
        }
    )


def _pair(split: Any) -> tuple[str, int] | None:
    return (split[0], split[1]) if split else None


def _known(kind: type[Frozen], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those values that a class has fields for: later versions may have written more."""
    return {key: value for key, value in values.items() if key in kind.__match_args__}


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def rule_item(rule: Rule) -> dict[str, Any]:
    """The item of a retention rule."""
    key = {"pk": f"USER#{rule.owner}", "sk": f"RULE#{rule.name}"}
    return to_item({**key, **vars(rule)})


def rule_of(item: Mapping[str, Any]) -> Rule:
    """The retention rule of an item."""
    values = from_item(item)
    return Rule(**_known(Rule, values))


def route_item(route: Route) -> dict[str, Any]:
    """The item of a route."""
    key = {"pk": f"ROUTE#{route.owner}-{route.label}", "sk": "-"}
    return to_item({**key, **vars(route)})
