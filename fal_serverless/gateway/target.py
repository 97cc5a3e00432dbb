"""From a host and a raw path to the target they name, and the path that is left. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fal_serverless.names import is_revision_id, parse_target

API = "api"
"""The management API's label: ``api.<domain>``, or ``/api/…`` of any other host."""


@dataclass(frozen=True)
class Target:
    """An address, understood.

    Attributes:
        owner: user id.
        label: alias or revision id.
        path: raw path for the function, beginning with ``/``.
        prefix: raw path that stands before it in the address, without a slash at its end.
        queue: whether the address is one of the queue's.

    The management API is a target too, the only one without an owner.
    """

    owner: str
    label: str
    path: str
    prefix: str = ""
    queue: bool = False

    @property
    def name(self) -> str:
        """``<userid>-<label>``, or the label alone where there is no owner."""
        return f"{self.owner}-{self.label}" if self.owner else self.label


def resolve(host: str, path: str, domain: str) -> Target | None:
    """The target that an address names, or None.

    Args:
        host: the ``Host`` header (and never ``X-Forwarded-Host``, which anybody can send).
        path: raw, byte for byte as received; the part for the function is passed on unchanged.
        domain: the stack's domain, or ``""`` when it has none.
    """
    name = normal_host(host)
    subdomain = _label_under(name, domain)
    if subdomain is not None:
        found = parse_target(subdomain)
        if found:
            return Target(*found, path)
        if subdomain == "run":
            return _owner_form(path)
        if subdomain == "queue":
            return _owner_form(path, queue=True)
        if subdomain == API:
            return Target("", API, path)
    return _path_form(path)


def normal_host(host: str) -> str:
    """A ``Host`` header's name: lower case, without port and trailing dot."""
    name = host.strip().lower()
    if not name.startswith("["):
        name = name.partition(":")[0]
    return name.rstrip(".")


def split_absolute(target: str) -> tuple[str | None, str]:
    """(host or None, path) of a request target, which may be a whole URL (RFC 9112, 3.2.2)."""
    if target.startswith("/"):
        return None, target
    for scheme in ("http://", "https://"):
        if target[: len(scheme)].lower() == scheme:
            host, slash, path = target[len(scheme) :].partition("/")
            return host, slash + path or "/"
    return None, target


def _label_under(host: str, domain: str) -> str | None:
    suffix = "." + domain.lower().strip(".")
    if suffix == "." or not host.endswith(suffix):
        return None
    return host[: -len(suffix)]


def _path_form(path: str) -> Target | None:
    """``/<userid>-<label>/…``, ``/<owner>/<alias>/…``, one after ``trigger|run|queue``, the API."""
    first, rest = _split(path)
    found = parse_target(first)
    if found:
        return Target(*found, rest, f"/{first}")
    if first == "trigger":
        target = _owner_form(rest, prefix="/trigger")
        return target if target and is_revision_id(target.label) else None
    if first in ("run", "queue"):
        return _owner_form(rest, prefix=f"/{first}", queue=first == "queue")
    if first == API:
        return Target("", API, rest, f"/{API}")
    return _owner_form(path)


def _owner_form(path: str, *, prefix: str = "", queue: bool = False) -> Target | None:
    owner, rest = _split(path)
    label, rest = _split(rest)
    # An owner has no hyphen, so joining and parsing again checks both and their length.
    found = parse_target(f"{owner}-{label}") if owner.isdecimal() else None
    return Target(*found, rest, f"{prefix}/{owner}/{label}", queue) if found else None


def _split(path: str) -> tuple[str, str]:
    """(first segment, the rest beginning with ``/``)."""
    first, _, rest = path[1:].partition("/")
    return first, "/" + rest
