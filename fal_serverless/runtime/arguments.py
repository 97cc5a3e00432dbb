"""From a request's body and query to the arguments of the function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from fal_serverless.runtime.validate import InvalidError, convert

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class RefusedError(Exception):
    """The arguments do not fit; ``details`` is the ``detail`` of a 422 answer."""

    def __init__(self, details: list[dict[str, Any]]) -> None:
        super().__init__("the arguments do not fit")
        self.details = details


class Arguments:
    """How one function takes its arguments; made once per environment."""

    def __init__(self, description: Mapping[str, Any], function: Callable[..., Any]) -> None:
        self._style = description.get("style", "keywords")
        self._parameters = list(description.get("parameters", ()))
        self._names = {item["name"] for item in self._parameters}
        self._open = bool(description.get("var_keyword"))
        self._validated = description.get("validated", False)
        self._adapters = (
            _adapters(function, self._parameters) if self._validated == "pydantic" else {}
        )

    def bind(self, body: bytes, query: str) -> tuple[list[Any], dict[str, Any]]:
        """(positional, keyword) arguments of a request.

        Raises:
            RefusedError: something is missing, unknown, or of another type.
        """
        given = _parse(body)
        if self._style == "model":
            return self._bind_model(given)
        asked = parse_qsl(query, keep_blank_values=True) if query else ()
        known = {k: v for k, v in asked if k in self._names}
        details: list[dict[str, Any]] = []
        if not self._open:
            details += [
                _detail("extra_forbidden", ["body", key], "Extra inputs are not permitted", value)
                for key, value in given.items()
                if key not in self._names
            ]
        positional: list[Any] = []
        keywords = {k: v for k, v in given.items() if self._open and k not in self._names}
        for parameter in self._parameters:
            name = parameter["name"]
            if name in given:
                where, raw = "body", given[name]
            elif name in known:
                where, raw = "query", known[name]
            else:
                if parameter["required"]:
                    details.append(_detail("missing", ["body", name], "Field required", given))
                continue
            value = self._convert(parameter, raw, where, details)
            if parameter.get("kind") == "positional":
                positional.append(value)
            else:
                keywords[name] = value
        if details:
            raise RefusedError(details)
        return positional, keywords

    def _bind_model(self, given: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        parameter = self._parameters[0]
        details: list[dict[str, Any]] = []
        value = self._validate(parameter["name"], given, ["body"], details)
        if details:
            raise RefusedError(details)
        if parameter.get("kind") == "positional":
            return [value], {}
        return [], {parameter["name"]: value}

    def _convert(
        self, parameter: Mapping[str, Any], raw: Any, where: str, details: list[dict[str, Any]]
    ) -> Any:
        name = parameter["name"]
        if not parameter.get("annotated"):
            return raw
        if self._validated == "pydantic":
            return self._validate(name, raw, [where, name], details)
        builtin = parameter.get("builtin")
        if not builtin:
            return raw
        try:
            return convert(raw, builtin["type"], nullable=bool(builtin.get("nullable")))
        except InvalidError as error:
            details.append(_detail(error.kind, [where, name], error.message, raw))
            return None

    def _validate(
        self, name: str, raw: Any, where: list[str], details: list[dict[str, Any]]
    ) -> Any:
        adapter = self._adapters.get(name)
        if adapter is None:
            return raw
        from pydantic import ValidationError

        try:
            return adapter.validate_python(raw)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            details += [
                _detail(item["type"], [*where, *item["loc"]], item["msg"], item["input"])
                for item in found
            ]
            return None


def _detail(kind: str, where: list[Any], message: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "loc": where, "msg": message, "input": value}


def _parse(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        given = json.loads(body)
    except RecursionError:
        raise RefusedError(
            [_detail("json_invalid", ["body"], "JSON is nested too deeply", {})]
        ) from None
    except json.JSONDecodeError as error:
        detail = _detail("json_invalid", ["body", error.pos], "JSON decode error", {})
        raise RefusedError([{**detail, "ctx": {"error": error.msg}}]) from error
    except UnicodeDecodeError as error:
        detail = _detail("json_invalid", ["body", error.start], "JSON decode error", {})
        raise RefusedError([{**detail, "ctx": {"error": "not UTF-8"}}]) from error
    if not isinstance(given, dict):
        detail = _detail("dict_type", ["body"], "Input should be a valid dictionary", given)
        raise RefusedError([detail])
    return given


def _adapters(function: Callable[..., Any], parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """pydantic's validators of the annotated parameters, from the user's own requirements."""
    import functools
    import inspect
    import typing

    from pydantic import TypeAdapter

    target = inspect.unwrap(function)
    if isinstance(target, functools.partial):
        target = target.func
    hints = typing.get_type_hints(target, include_extras=True)
    return {
        item["name"]: TypeAdapter(hints[item["name"]])
        for item in parameters
        if item.get("annotated") and item["name"] in hints
    }
