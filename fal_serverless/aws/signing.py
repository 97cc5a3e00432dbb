"""Signature Version 4 for requests of one service, with the standard library.

botocore's signer takes three times as long, and importing it most of the gateway's cold start.
A test compares each signature with botocore's.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(Protocol):
    """Asked for each request, so that they can refresh themselves; botocore's satisfy it."""

    def get_frozen_credentials(self) -> Any:
        """What to sign with now: ``access_key``, ``secret_key``, and ``token`` or None."""


@dataclass(frozen=True)
class Static:
    """Credentials that stay as they are."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    def get_frozen_credentials(self) -> Static:
        """Themselves."""
        return self


class Signer:
    """Signs requests to one host; may be used by several threads."""

    def __init__(self, credentials: Credentials, service: str, region: str, host: str) -> None:
        """Nothing is asked of the credentials yet.

        Args:
            host: as the ``Host`` header will say it, with a port that is not the scheme's own.
        """
        self._credentials = credentials
        self._service = service
        self._region = region
        self._host = host
        # Of one day and secret: what is derived from them stays the same.
        self._derived: tuple[tuple[str, str], bytes] = (("", ""), b"")

    def headers(
        self,
        path: str,
        query: str,
        signed: Mapping[str, str],
        body: bytes,
        now: float | None = None,
    ) -> dict[str, str]:
        """The headers of a POST, ``host`` and ``authorization`` included.

        Args:
            path: percent-encoded, as it is sent.
            query: percent-encoded and sorted by name, without ``?``.
            signed: more headers, in lower case, with a single value each.
            now: epoch seconds.
        """
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        frozen = self._credentials.get_frozen_credentials()
        headers = {**signed, "host": self._host, "x-amz-date": moment}
        if frozen.token:
            headers["x-amz-security-token"] = frozen.token
        ordered = sorted(headers)
        names = ";".join(ordered)
        listed = "".join([f"{name}:{headers[name]}\n" for name in ordered])
        digest = hashlib.sha256(body).hexdigest()
        # All services but S3 encode a path that is encoded already.
        request = f"POST\n{quote(path, safe='/~')}\n{query}\n{listed}\n{names}\n{digest}"
        scope = f"{moment[:8]}/{self._region}/{self._service}/aws4_request"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashed}"
        signature = hmac.digest(self._key(frozen.secret_key, scope), text.encode(), "sha256").hex()
        headers["authorization"] = (
            f"{_ALGORITHM} Credential={frozen.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def _key(self, secret: str, scope: str) -> bytes:
        known, key = self._derived
        if known != (secret, scope):
            key = f"AWS4{secret}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._derived = ((secret, scope), key)
        return key
