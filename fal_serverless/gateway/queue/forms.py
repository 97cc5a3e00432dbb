"""What a queue address asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote_to_bytes

from fal_serverless.names import is_revision_id

if TYPE_CHECKING:
    from fal_serverless.gateway.target import Target

Action = Literal["submit", "status", "response", "cancel", "unknown"]

OWN = "/fal/queue"
"""Paths of targets below this belong to the queue, and never reach a function."""
WEBHOOK = b"fal_webhook"
_METHODS: dict[str, tuple[str, ...]] = {
    "status": ("GET", "HEAD"),
    "response": ("GET", "HEAD"),
    "cancel": ("PUT", "POST", "DELETE"),
}


@dataclass(frozen=True)
class Form:
    """A queue address, understood.

    Attributes:
        request_id: for all but ``submit``.
        path: what the function is to see, for ``submit``.
        base: path of the addresses of requests, without the id.
        answers: what follows the id in the address of the response.
        allowed: methods, when the one that came is not among them.
    """

    action: Action
    request_id: str = ""
    path: str = "/"
    base: str = ""
    answers: str = ""
    allowed: tuple[str, ...] = ()


def form_of(target: Target, method: str) -> Form | None:
    """The queue's form of an address, or None where a function is called directly."""
    if target.queue:
        return _by_host(target, method)
    if target.path != OWN and not target.path.startswith(OWN + "/"):
        return None
    base = f"{target.prefix}{OWN}/requests/"
    rest = target.path[len(OWN) :]
    if rest == "/submit" or rest.startswith("/submit/"):
        return Form("submit", path=rest[len("/submit") :] or "/", base=base, answers="/response")
    parts = rest.strip("/").split("/")
    if parts[0] == "requests":
        return _asked(parts[1:], method, base, "/response")
    # As the clients before 0.6 ask.
    if len(parts) == 2 and parts[1] in ("get", "cancel"):
        action = {"get": "status"}.get(parts[1], parts[1])
        return _asked([parts[0], action], "", base, "/response")
    return Form("unknown")


def _by_host(target: Target, method: str) -> Form:
    base = f"{target.prefix}/requests/"
    parts = target.path.strip("/").split("/")
    if parts[0] == "requests" and len(parts) > 1 and is_revision_id(parts[1]):
        return _asked(parts[1:], method, base, "")
    return Form("submit", path=target.path, base=base)


def _asked(parts: list[str], method: str, base: str, answers: str) -> Form:
    """The form of ``<id>[/status|/response|/cancel]``; any method when ``method`` is empty."""
    names: dict[str, Action] = {
        "": "response",
        "response": "response",
        "status": "status",
        "cancel": "cancel",
    }
    action = names.get("/".join(parts[1:]), "unknown")
    if not parts or not is_revision_id(parts[0]) or action == "unknown":
        return Form("unknown")
    # A bare id answers a GET and is no other method's.
    fits = not method or method in _METHODS[action]
    allowed = () if fits else _METHODS[action]
    return Form(action, request_id=parts[0], base=base, answers=answers, allowed=allowed)


def take_webhook(query: bytes) -> tuple[str, bytes]:
    """The webhook's URL (``""`` for none), and the query without it, byte for byte."""
    kept: list[bytes] = []
    found = ""
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == WEBHOOK:
            found = found or unquote_to_bytes(value.replace(b"+", b" ")).decode("utf-8", "replace")
        else:
            kept.append(part)
    return found, b"&".join(kept)


def wants_logs(query: bytes) -> bool:
    """Whether ``logs`` is asked for: ``1`` (JavaScript) or ``true`` (Python)."""
    values = [part[5:].lower() for part in query.split(b"&") if part.startswith(b"logs=")]
    return bool(values) and values[-1] in (b"1", b"true", b"yes")
