"""Values of options, checked: each comes back as its own type, or is refused. Pure."""

from __future__ import annotations

import re

from fal_serverless.errors import SpecError

_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# Lambda sets these itself and refuses them in a configuration.
RESERVED_ENVIRONMENT = frozenset(
    {
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_HANDLER",
    }
)


def check_secret_name(name: str) -> str:
    """``name`` itself when it can be an environment variable of a function.

    Raises:
        SpecError: it has other characters, or is one that Lambda or fal-serverless sets.
    """
    if not _VARIABLE.fullmatch(name):
        raise SpecError(
            f"A secret cannot be called {name!r}.",
            reason="names are letters, digits and '_', beginning with a letter",
            hint="use a name such as OPENAI_API_KEY",
        )
    _check_free(name, f"A secret cannot be called {name!r}.")
    return name


def flag(option: str, value: object) -> bool:
    """True or False, as it is.

    Raises:
        SpecError: it is something else.
    """
    if not isinstance(value, bool):
        raise SpecError(
            f"{option} cannot be {value!r}.",
            reason="it is True or False",
            hint=f"write {option}=True",
        )
    return value


def whole(option: str, value: object, low: int, high: int, unit: str) -> int:
    """A whole number from ``low`` to ``high``.

    Raises:
        SpecError: it is none, or outside of the range.
    """
    unit = f" {unit}" if unit else ""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SpecError(
            f"{option} cannot be {value!r}.",
            reason=f"it is a whole number from {low:,} to {high:,}{unit}",
            hint=f"choose a number in that range for {option}",
        )
    return value


def number(option: str, value: object) -> float:
    """A number of seconds, zero or more.

    Raises:
        SpecError: it is none, or endless.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise SpecError(
            f"{option} cannot be {value!r}.",
            reason="it is a number of seconds, zero or more",
            hint=f"write for example {option}=60",
        )
    return value


def names(option: str, value: object) -> tuple[str, ...]:
    """A list of non-empty strings.

    Raises:
        SpecError: it is something else.
    """
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise SpecError(
            f"{option} cannot be {value!r}.",
            reason="it is a list of strings",
            hint=f"write {option}=[{value!r}]",
        )
    found = tuple(value)
    for name in found:
        if not isinstance(name, str) or not name:
            raise SpecError(
                f"{option} cannot hold {name!r}.",
                reason="it is a list of non-empty strings",
                hint=f"write {option}=['…']",
            )
    return found


def variables(value: object) -> tuple[tuple[str, str], ...]:
    """Environment variables, sorted by name.

    Raises:
        SpecError: it is no dict of strings, or sets what is not free.
    """
    if not isinstance(value, dict):
        raise SpecError(
            f"environment cannot be {value!r}.",
            reason="it is a dict of strings",
            hint="write environment={'NAME': 'value'}",
        )
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str) or not _VARIABLE.fullmatch(name):
            raise SpecError(
                f"environment cannot hold {name!r}.",
                reason="names are letters, digits and '_', beginning with a letter; values strings",
                hint="write environment={'NAME': 'value'}",
            )
        _check_free(name, f"environment cannot set {name!r}.")
    return tuple(sorted(value.items()))


def _check_free(name: str, failed: str) -> None:
    if name in RESERVED_ENVIRONMENT or name.startswith("FAL_"):
        raise SpecError(
            failed, reason="Lambda or fal-serverless sets it", hint="choose another name"
        )
