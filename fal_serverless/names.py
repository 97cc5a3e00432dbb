"""Names and how they are checked: user ids, aliases, revisions, Lambda functions. Pure.

A *target* is ``<userid>-<label>``; a label is an alias or a revision id.
"""

from __future__ import annotations

import hashlib
import re

from fal_serverless.errors import SpecError, UsageError

HANDLER = "fal_serverless.runtime.handler.handler"
"""What Lambda calls, in zips and images alike."""
DATA = "/mnt/data"
"""Where a file system for persistent data is mounted; in images, ``/data`` leads there."""
DATA_VARIABLE = "FAL_DATA_DIR"
"""Tells functions where their persistent data lies."""
DNS_LABEL_MAX = 63  # RFC 1035, 2.3.4
LAMBDA_NAME_MAX = 64  # Lambda API reference, CreateFunction, FunctionName

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ALIAS = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_TARGET = re.compile(r"([0-9]+)-([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)")


def is_revision_id(text: str) -> bool:
    """Whether ``text`` is a revision id: a lower-case UUID."""
    return _UUID.fullmatch(text) is not None


def check_alias(alias: str, user_id: str) -> str:
    """``alias`` itself when it can be part of a URL.

    The limit is that of a DNS label: 63 characters hold the user id, a hyphen and the alias.

    Raises:
        UsageError: the alias is too long, has other characters, or looks like a revision id.
    """
    longest = DNS_LABEL_MAX - 1 - len(user_id)
    failed = f"'{alias}' cannot be an alias."
    if not alias:
        raise UsageError(failed, reason="it is empty", hint="give a name such as --alias predict")
    if len(alias) > longest:
        raise UsageError(
            failed,
            reason=f"it has {len(alias)} characters, and the URL has room for {longest}",
            hint=f"shorten it, for example --alias {alias[:longest].strip('-_') or 'predict'}",
        )
    if is_revision_id(alias):
        raise UsageError(
            failed,
            reason="it looks like a revision id",
            hint="choose a name that is not a UUID",
        )
    if _ALIAS.fullmatch(alias) is None:
        suggestion = re.sub(r"[^a-z0-9]+", "-", alias.lower()).strip("-")
        raise UsageError(
            failed,
            reason="an alias has only a-z, 0-9 and '-', and begins and ends with a letter or digit",
            hint=f"use '{suggestion}'" if suggestion else "use a name such as 'predict'",
        )
    return alias


def parse_target(label: str) -> tuple[str, str] | None:
    """(user id, alias or revision id) of a target, or None when ``label`` is not one."""
    if len(label) > DNS_LABEL_MAX:
        return None
    found = _TARGET.fullmatch(label.lower())
    return (found[1], found[2]) if found else None


def slug(name: str) -> str:
    """A Python name as part of an AWS name: lower case, never empty."""
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-_") or "function"


def lambda_function_name(user_id: str, name: str, package: str) -> str:
    """``fal-<userid>-<slug>-<z|i>``, at most 64 characters.

    Two names that differ only in what a slug loses, or that are too long, get a digest each, so
    that they never share a Lambda function.

    Raises:
        SpecError: the user id alone leaves no room.
    """
    kind = "i" if package == "image" else "z"
    room = LAMBDA_NAME_MAX - len(f"fal-{user_id}--{kind}")
    if room < 10:
        raise SpecError(
            f"User id '{user_id}' is too long.",
            reason=f"a Lambda function's name has at most {LAMBDA_NAME_MAX} characters",
            hint="use a shorter user id",
        )
    short = slug(name)
    if short != name or len(short) > room:
        digest = hashlib.sha256(name.encode()).hexdigest()[:6]
        short = f"{short[: room - 7].strip('-')}-{digest}"
    return f"fal-{user_id}-{short}-{kind}"
