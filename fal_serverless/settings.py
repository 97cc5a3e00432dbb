"""Settings of one run of the command: flags, then ``FAL_*`` variables, then the config file.

The environment is passed in; nothing here reads the process's own.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fal_serverless.errors import UsageError, did_you_mean
from fal_serverless.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_STACK = "fal-serverless"
LOCAL_PROFILE = "local"
KEYS = ("local", "profile", "region", "stack", "base_image", "json", "debug")
_STACK = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


class Settings(Frozen, kw_only=True):
    """What a command runs with.

    Attributes:
        home: folder of everything the command keeps on this machine (``FAL_HOME``).
        local: use the embedded stack.
        profile: AWS profile, or None for the default credentials.
        region: AWS region, or None for the profile's own.
        stack: name of the CloudFormation stack.
        base_image: base of images for functions that name none; empty for AWS's own.
        json: print one JSON document.
        debug: print tracebacks of expected errors too.
    """

    home: Path
    local: bool = False
    profile: str | None = None
    region: str | None = None
    stack: str = DEFAULT_STACK
    base_image: str = ""
    json: bool = False
    debug: bool = False


def home_folder(environ: Mapping[str, str]) -> Path:
    """``FAL_HOME``, or ``.fal-serverless`` in the user's home."""
    given = environ.get("FAL_HOME")
    return Path(given).expanduser().resolve() if given else Path.home() / ".fal-serverless"


def load(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """The settings of this run; a flag that is None or False was not given.

    Raises:
        UsageError: a variable or the config file has a value that cannot be read.
    """
    home = home_folder(environ)
    file = _read_config(home / "config.toml")
    values: dict[str, Any] = {}
    for key in KEYS:
        variable = f"FAL_{key.upper()}"
        if flags.get(key):
            values[key] = flags[key]
        elif variable in environ:
            values[key] = _parse(key, environ[variable], variable)
        elif key in file:
            values[key] = _parse(key, file[key], str(home / "config.toml"))
    if values.get("profile") == LOCAL_PROFILE:
        values["local"] = True
    if values.get("local"):
        values["profile"] = None
    check_stack(values.get("stack") or DEFAULT_STACK)
    return Settings(home=home, **{key: value for key, value in values.items() if value != ""})


def check_stack(name: str) -> str:
    """``name`` itself, when a stack can be called that.

    Raises:
        UsageError: CloudFormation takes no such name (API reference, CreateStack, StackName).
    """
    if _STACK.fullmatch(name):
        return name
    raise UsageError(
        f"'{name}' cannot be the name of a stack.",
        reason="CloudFormation takes up to 128 letters, digits and '-', beginning with a letter",
        hint="correct --stack, FAL_STACK or the config file",
    )


def is_on(text: str) -> bool:
    """Whether a variable says yes; what cannot be read is complained of elsewhere."""
    return text.lower() in _TRUE


def _parse(key: str, value: Any, source: str) -> Any:
    if key not in ("local", "json", "debug"):
        if isinstance(value, str):
            return value
        expected = "text"
    else:
        if isinstance(value, bool):
            return value
        text = str(value).lower()
        if text in _TRUE | _FALSE:
            return text in _TRUE
        expected = "true or false"
    raise UsageError(
        f"'{key}' in {source} cannot be {value!r}.",
        reason=f"it is {expected}",
        hint=f"correct it in {source}, or take it away",
    )


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read.", reason=str(error), hint="correct it, or remove the file"
        ) from error
    for key in found:
        if key not in KEYS:
            raise UsageError(
                f"{path} has an unknown setting '{key}'.",
                reason="the settings are " + ", ".join(KEYS),
                hint=did_you_mean(key, KEYS),
            )
    return found
