"""Webhooks: where they may go, what they say, and how they are signed. Pure but for the clock.

Signatures are those of the Standard Webhooks specification, for which there are libraries in most
languages: ``webhook-signature: v1,<base64 of HMAC-SHA256>`` over ``<id>.<timestamp>.<body>``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fal_serverless.gateway.queue.model import Finished

URL_MAX = 2_048
PAYLOAD_MAX = 6_000_000
"""Bytes of an answer that a webhook brings along; beyond, it must be fetched."""
PAUSES_S = (5, 15, 30, 60, 120, 300, 600, 900, 900, 900, 900, 900, 900, 670)
"""Between the attempts: two hours in all. SQS delays a message by 900 s at most."""
OVERLAP_S = 86_400
"""How long a secret that was replaced signs beside the new one."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - a mark, not a secret
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class BadAddressError(Exception):
    """A webhook must not go there; the message is for the caller."""


def check_url(url: str, *, private: bool) -> tuple[str, str, int, str]:
    """(scheme, host, port, path with query) of a webhook's URL.

    Args:
        private: whether http and addresses of private networks are allowed.

    Raises:
        BadAddressError: it is none, or must not be called.
    """
    shown = f"fal_webhook '{url[:100]}'"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadAddressError(f"{shown} is not a URL: {error}.") from error
    host = parts.hostname or ""
    if len(url) > URL_MAX or not url.isascii() or not url.isprintable() or " " in url or not host:
        raise BadAddressError(
            f"{shown} is not a URL of at most {URL_MAX} printable ASCII characters."
        )
    if parts.username is not None or parts.fragment:
        raise BadAddressError(f"{shown} holds a user or a fragment, which are not sent.")
    schemes = ("https", "http") if private else ("https",)
    if parts.scheme not in schemes:
        raise BadAddressError(f"{shown} must begin with {' or '.join(schemes)}://.")
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        literal = None
    if literal is not None and not private and not is_public(literal):
        raise BadAddressError(f"{shown} lies in a private network, which webhooks do not call.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one of the public Internet, also when another is wrapped in it."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def choose(addresses: Iterable[str], *, private: bool) -> str:
    """The address to connect to, of all that a name resolves to.

    Raises:
        BadAddressError: there is none, or any of them lies in a private network: a name that
            resolves to both may be meant to slip through.
    """
    found = list(addresses)
    if not found:
        raise BadAddressError("The webhook's host has no address.")
    for address in found:
        if not private and not is_public(ipaddress.ip_address(address.partition("%")[0])):
            raise BadAddressError("The webhook's host resolves into a private network.")
    return found[0]


def message(request_id: str, finished: Finished, body: bytes | None) -> bytes:
    """What a webhook says.

    Args:
        body: of the answer, or None when it is too large to come along.
    """
    said: dict[str, Any] = {
        "request_id": request_id,
        "status": "ERROR" if finished.error else "OK",
    }
    if finished.error:
        said["error"] = finished.error
        said["error_type"] = finished.error_type
    if body is None:
        said["payload"] = None
        said["payload_error"] = (
            f"The answer has {finished.stored:,} bytes: fetch it from the request's response_url."
        )
        return json.dumps(said).encode()
    try:
        said["payload"] = json.loads(body) if body else None
    except ValueError:
        try:
            said["payload"] = body.decode("utf-8")
        except UnicodeDecodeError:
            said["payload"] = None
            said["payload_error"] = (
                "The answer is not text: fetch it from the request's response_url."
            )
    return json.dumps(said).encode()


def new_secret() -> str:
    """A secret of 256 random bits, as the specification writes them."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed(request_id: str, body: bytes, keys: Sequence[str], now: float) -> dict[str, str]:
    """The headers of a webhook; one signature for each secret, none without any.

    Args:
        keys: secrets as :func:`new_secret` writes them.
        now: epoch seconds.
    """
    moment = str(int(now))
    headers = {
        "content-type": "application/json",
        "webhook-id": request_id,
        "webhook-timestamp": moment,
    }
    content = f"{request_id}.{moment}.".encode() + body
    signatures = []
    for key in keys:
        secret = base64.b64decode(key.removeprefix(SECRET_PREFIX))
        made = hmac.new(secret, content, hashlib.sha256).digest()
        signatures.append("v1," + base64.b64encode(made).decode())
    if signatures:
        headers["webhook-signature"] = " ".join(signatures)
    return headers
