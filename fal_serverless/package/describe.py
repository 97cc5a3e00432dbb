"""A served function's arguments and OpenAPI document, made when it is published."""

from __future__ import annotations

import copy
import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Any, Literal

from fal_serverless.errors import SpecError
from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable

_BUILTINS = {str: "str", int: "int", float: "float", bool: "bool", list: "list", dict: "dict"}
# As pydantic makes them; it need not be imported for functions that have no other annotations.
_SCHEMAS: dict[Any, dict[str, Any]] = {
    Any: {},
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    list: {"items": {}, "type": "array"},
    dict: {"additionalProperties": True, "type": "object"},
}
_EMPTY = inspect.Parameter.empty


class Description(Frozen, kw_only=True):
    """How a function is called over HTTP.

    Attributes:
        arguments: for the runtime, see ``runtime.arguments``.
        openapi: the document.
        needs_pydantic: whether the runtime validates with pydantic.
    """

    arguments: dict[str, Any]
    openapi: dict[str, Any]
    needs_pydantic: bool


def describe(function: Callable[..., Any], name: str) -> Description:
    """Describe ``function`` for serve mode.

    Raises:
        SpecError: its signature cannot be called with JSON.
    """
    signature = inspect.signature(function)
    hints = _hints(function, name)
    taken = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    for parameter in taken:
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise SpecError(
                f"'{name}' cannot be served with *{parameter.name}.",
                reason="a JSON object's keys are the arguments, and those here have no names",
                hint=f"take a list: def {name}({parameter.name}: list)",
            )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise SpecError(
            f"'{name}' cannot be served because it yields.",
            reason="an answer is sent as one JSON document",
            hint="return a list, or use exposed_port with a web framework",
        )
    parameters = [_parameter(p, hints.get(p.name, Any)) for p in taken]
    model = _is_model(taken, hints)
    builtin = all(item["builtin"] for item in parameters if item["annotated"])
    any_annotated = any(item["annotated"] for item in parameters)
    validated: Any = ("builtin" if builtin else "pydantic") if any_annotated else False
    arguments = {
        "style": "model" if model else "keywords",
        "parameters": parameters,
        "var_keyword": len(taken) != len(signature.parameters),
        "validated": validated,
    }
    return Description(
        arguments=arguments,
        openapi=_document(function, name, taken, hints, arguments),
        needs_pydantic=validated == "pydantic",
    )


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except Exception as error:
        raise SpecError(
            f"An annotation of '{name}' cannot be understood.",
            reason=f"{type(error).__name__}: {error}",
            hint="annotate with types that can be imported at the top of the file",
        ) from error


def _parameter(parameter: inspect.Parameter, hint: Any) -> dict[str, Any]:
    annotated = parameter.annotation is not _EMPTY and hint is not Any
    positional = parameter.kind is parameter.POSITIONAL_ONLY
    return {
        "name": parameter.name,
        "required": parameter.default is _EMPTY,
        "annotated": annotated,
        "kind": "positional" if positional else "keyword",
        "builtin": _builtin(hint) if annotated else None,
    }


def _builtin(hint: Any) -> dict[str, Any] | None:
    """The plain type of a hint, perhaps with None; None for all that needs pydantic."""
    nullable = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        others = [part for part in typing.get_args(hint) if part is not type(None)]
        if len(others) != 1 or len(others) == len(typing.get_args(hint)):
            return None
        nullable, hint = True, others[0]
    plain = _BUILTINS.get(hint) if isinstance(hint, type) else None
    return {"type": plain, "nullable": nullable} if plain else None


def _is_model(taken: list[inspect.Parameter], hints: dict[str, Any]) -> bool:
    if len(taken) != 1:
        return False
    hint = hints.get(taken[0].name)
    # Nobody can have made a model without it.
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(hint, type) and issubclass(hint, pydantic.BaseModel)


def _schema(hint: Any, where: str, mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    if hint is Any or isinstance(hint, type):
        known = _SCHEMAS.get(hint)
        if known is not None:
            return copy.deepcopy(known)
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        return adapter.json_schema(mode=mode, ref_template="#/components/schemas/{model}")
    except (PydanticUserError, TypeError, NameError) as error:
        if mode == "serialization":
            # Answers are not validated; what has no schema is simply not described.
            return {}
        raise SpecError(
            f"{where} has an annotation that cannot be validated.",
            reason=" ".join(str(error).split())[:300],
            hint="use plain types, dataclasses or pydantic models, or leave the annotation out",
        ) from error


def _document(
    function: Callable[..., Any],
    name: str,
    taken: list[inspect.Parameter],
    hints: dict[str, Any],
    arguments: dict[str, Any],
) -> dict[str, Any]:
    schemas: dict[str, Any] = {"Error": _ERROR}

    def lifted(schema: dict[str, Any]) -> dict[str, Any]:
        schemas.update(schema.pop("$defs", {}))
        return schema

    if arguments["style"] == "model":
        where = f"Parameter '{taken[0].name}' of '{name}'"
        body = lifted(_schema(hints[taken[0].name], where, "validation"))
    else:
        properties = {}
        for parameter in taken:
            where = f"Parameter '{parameter.name}' of '{name}'"
            schema = lifted(_schema(hints.get(parameter.name, Any), where, "validation"))
            schema.setdefault("title", parameter.name.replace("_", " ").title())
            if _is_json(parameter.default):
                schema["default"] = parameter.default
            properties[parameter.name] = schema
        body = {
            "type": "object",
            "properties": properties,
            "required": [p.name for p in taken if p.default is _EMPTY],
            "additionalProperties": arguments["var_keyword"],
        }
    answer = (
        lifted(_schema(hints["return"], "The answer", "serialization"))
        if ("return" in hints)
        else {}
    )
    text = inspect.getdoc(function) or ""
    operation = {
        "operationId": name,
        "summary": text.partition("\n")[0] or name,
        "description": text,
        "requestBody": {"content": {"application/json": {"schema": body}}, "required": True},
        "responses": {
            "200": {"description": "Answer", "content": {"application/json": {"schema": answer}}},
            "422": {
                "description": "The arguments do not fit",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
        "security": [{"key": []}],
    }
    scheme = {"type": "apiKey", "in": "header", "name": "Authorization"}
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": "1"},
        "paths": {"/": {"post": operation}},
        "components": {"schemas": schemas, "securitySchemes": {"key": scheme}},
    }


def _is_json(value: Any) -> bool:
    """Whether a default can be shown as it is."""
    plain = value is None or isinstance(value, (bool, int, float, str))
    return bool(plain and value == value)


_ERROR = {
    "type": "object",
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"type": "string"},
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "msg": {"type": "string"},
                    "input": {},
                },
                "required": ["type", "loc", "msg"],
            },
        }
    },
}
