"""One repository of a registry, by the distribution API: blobs and manifests, in and out.

Whatever goes in or out is hashed on the way. Requests that may be repeated are: blobs are named by
their content, so that an upload that was cut is simply begun anew.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3

from fal_serverless.errors import AuthError, NotFoundError, OperationError
from fal_serverless.package.oci.content import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from fal_serverless.package.oci.content import Content
    from fal_serverless.package.oci.reference import Reference

Result = TypeVar("Result")

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ATTEMPTS = 5
MANIFEST_MAX = 4 << 20
"""Bytes of a manifest; registries take four MiB."""
_TIMEOUT = urllib3.Timeout(connect=10, read=120)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class _AgainError(Exception):
    """The request failed in a way that may pass."""


class _UnreachableError(_AgainError):
    """The registry could not be spoken to at all."""


@dataclass
class Repository:
    """A repository; safe for several threads.

    Attributes:
        place: its host and name.
        login: (user, password), or None for nobody.
        pool: of connections.
        sleep: takes seconds.
    """

    place: Reference
    login: tuple[str, str] | None = None
    pool: urllib3.PoolManager | None = None
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        scheme = "http" if self.place.insecure else "https"
        self._base = f"{scheme}://{self.place.host}/v2/{self.place.repository}"
        self._pool = self.pool or urllib3.PoolManager(maxsize=8, retries=False, timeout=_TIMEOUT)
        self._authorization = ""

    def has(self, digest: str) -> bool:
        """Whether a blob is there."""
        return self._request("HEAD", f"/blobs/{digest}", good=(200, 404)).status == 200

    def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of the registry; False where it will not."""
        query = urlencode({"mount": digest, "from": source})
        # 202: it has begun an upload instead, which is left to expire.
        answer = self._request("POST", f"/blobs/uploads/?{query}", good=(201, 202, 403, 404, 405))
        return answer.status == 201

    def upload(
        self, digest: str, content: Content, tell: Callable[[int], None] = lambda _: None
    ) -> None:
        """Send a blob in one piece: ECR cuts uploads of several.

        Raises:
            OperationError: the registry did not take it, or says that it got something else.
        """
        size = content.size

        def once() -> urllib3.BaseHTTPResponse:
            begun = self._request("POST", "/blobs/uploads/", good=(202,))
            place = urljoin(f"{self._base}/blobs/uploads/", begun.headers["location"])
            place += f"{'&' if urlsplit(place).query else '?'}{urlencode({'digest': digest})}"
            headers = {"content-length": str(size), "content-type": "application/octet-stream"}
            # From its beginning each time: what was sent of a cut one is gone.
            answer = self._once("PUT", place, headers, _told(content.chunks(), tell))
            self._check(answer, "PUT", place, good=(201,))
            return answer

        answer = self._patiently(f"the upload of a blob of {size:,} bytes", once)
        got = answer.headers.get("docker-content-digest", digest)
        if got != digest:
            raise self._failed("an upload", f"it was {digest} and arrived as {got}")

    def download(self, digest: str, target: Path) -> None:
        """Fetch a blob, and check it.

        Raises:
            OperationError: it is not to be had, or not what it is called.
        """

        def once() -> None:
            answer = self._once("GET", f"{self._base}/blobs/{digest}", {}, None, stream=True)
            self._check(answer, "GET", digest, good=(200,))
            found = hashlib.sha256()
            try:
                with target.open("wb") as file:
                    for chunk in answer.stream(CHUNK):
                        found.update(chunk)
                        file.write(chunk)
            except urllib3.exceptions.HTTPError as error:
                raise _AgainError(error) from error
            answer.release_conn()
            # A download that was cut may look like a whole one.
            if f"sha256:{found.hexdigest()}" != digest:
                target.unlink()
                raise _AgainError(f"what arrives is not {digest}")

        self._patiently("a download", once)

    def manifest(self, version: str) -> tuple[bytes, str]:
        """(content, media type) of a manifest by tag or digest.

        Raises:
            NotFoundError: there is none.
        """
        accept = {"accept": ", ".join(MANIFESTS)}
        answer = self._request("GET", f"/manifests/{version}", headers=accept, good=(200, 404))
        if answer.status == 404:
            raise NotFoundError(
                f"There is no image '{self.place}'.",
                reason=f"{self.place.host} does not know it",
                hint="check its name and tag, and whether you are logged in",
            )
        content = answer.data
        if version.startswith("sha256:") and digest_of(content) != version:
            raise self._failed("a manifest", f"it is not {version}")
        kind = answer.headers.get("content-type", "") or json.loads(content).get("mediaType", "")
        return content, kind.partition(";")[0].strip()

    def put_manifest(self, version: str, content: bytes, kind: str) -> str:
        """Store a manifest; its digest.

        Raises:
            OperationError: the registry refuses it, or says that it is another.
        """
        headers = {"content-type": kind, "content-length": str(len(content))}
        answer = self._request(
            "PUT", f"/manifests/{version}", headers=headers, body=content, good=(201, 200)
        )
        digest = digest_of(content)
        got = answer.headers.get("docker-content-digest", digest)
        if got != digest:
            raise self._failed("the manifest", f"it was {digest} and arrived as {got}")
        return digest

    def _request(
        self,
        method: str,
        path: str,
        *,
        good: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> urllib3.BaseHTTPResponse:
        def once() -> urllib3.BaseHTTPResponse:
            answer = self._once(method, self._base + path, headers or {}, body)
            self._check(answer, method, path, good)
            return answer

        return self._patiently(f"{method} {path.partition('?')[0]}", once)

    def _patiently(self, what: str, work: Callable[[], Result]) -> Result:
        """Do something, again and again while what fails may pass.

        Raises:
            OperationError: it did not pass.
        """
        for left in reversed(range(ATTEMPTS)):
            try:
                return work()
            except _AgainError as error:
                if not left and isinstance(error, _UnreachableError):
                    raise self._unreachable(error) from error
                if not left:
                    raise self._failed(what, error) from error
            self._pause(left)
        raise AssertionError("the loop returns or raises")

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any,
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """One request; logs in when it is asked to, and follows redirects without credentials."""
        for last in (False, True):
            sent = {"user-agent": "fal-serverless", **headers}
            ours = urlsplit(url).netloc == self.place.host
            if self._authorization and ours:
                sent["authorization"] = self._authorization
            try:
                answer = self._pool.request(
                    method, url, headers=sent, body=body, redirect=False, preload_content=not stream
                )
            except urllib3.exceptions.HTTPError as error:
                raise _broken(error) from error
            if answer.status in (301, 302, 303, 307, 308) and method == "GET":
                answer.drain_conn()
                return self._follow(urljoin(url, answer.headers["location"]), headers, stream)
            if answer.status != 401 or last or not ours:
                return answer
            answer.drain_conn()
            self._log_in(answer.headers.get("www-authenticate", ""))
            if body is not None and not isinstance(body, bytes):
                # What was read of a file is gone: the upload is begun anew, with the new token.
                raise _AgainError("the registry wanted another login")
        raise AssertionError("the loop returns or raises")

    def _follow(
        self, url: str, headers: Mapping[str, str], stream: bool
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request("GET", url, headers=dict(headers), preload_content=not stream)
        except urllib3.exceptions.HTTPError as error:
            raise _broken(error) from error

    def _log_in(self, challenge: str) -> None:
        kind, _, rest = challenge.partition(" ")
        basic = ""
        if self.login:
            pair = base64.b64encode(":".join(self.login).encode()).decode()
            basic = f"Basic {pair}"
        if kind.lower() == "basic" and basic:
            if self._authorization == basic:
                raise self._unwelcome("the login is not accepted, or has expired")
            self._authorization = basic
            return
        if kind.lower() != "bearer":
            raise self._unwelcome("it wants a login" if not basic else f"it asks for '{kind}'")
        asked = dict(_CHALLENGE.findall(rest))
        query = {name: asked[name] for name in ("service", "scope") if name in asked}
        headers = {"authorization": basic} if basic else {}
        try:
            answer = self._pool.request(
                "GET", f"{asked['realm']}?{urlencode(query)}", headers=headers
            )
            said = json.loads(answer.data)
            self._authorization = f"Bearer {said.get('token') or said['access_token']}"
        except (KeyError, ValueError) as error:
            raise self._unwelcome("its token service gives no token") from error
        except urllib3.exceptions.HTTPError as error:
            raise _AgainError(f"the token service does not answer: {error}") from error

    def _check(
        self, answer: urllib3.BaseHTTPResponse, method: str, what: str, good: tuple[int, ...]
    ) -> None:
        if answer.status in good:
            return
        said = _reason(answer)
        if answer.status in (401, 403):
            raise self._unwelcome(said)
        if answer.status in (408, 429) or answer.status >= 500:
            raise _AgainError(said)
        raise self._failed(f"{method} {what.partition('?')[0]}", said)

    def _pause(self, left: int) -> None:
        # Jitter, so that the threads of one push do not come back together.
        self.sleep(2 ** (ATTEMPTS - 1 - left) * random.uniform(0.25, 0.5))  # noqa: S311

    def _failed(self, what: str, why: object) -> OperationError:
        return OperationError(
            f"The registry {self.place.host} failed at {what}.",
            reason=str(why),
            hint="run it again: what has arrived is not sent twice",
        )

    def _unreachable(self, why: object) -> OperationError:
        return OperationError(
            f"The registry {self.place.host} cannot be reached.",
            reason=str(why),
            hint="check its name and the network; a base image may come from a folder as well: "
            "base='oci:PATH', or FAL_BASE_IMAGE=oci:PATH",
        )

    def _unwelcome(self, why: str) -> AuthError:
        return AuthError(
            f"The registry {self.place.host} lets nobody in to '{self.place.repository}'.",
            reason=why,
            hint="check the credentials and that the repository exists",
        )


def digest_of(content: bytes) -> str:
    """``sha256:…`` of a content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _broken(error: urllib3.exceptions.HTTPError) -> _AgainError:
    """The error for an exchange without an answer."""
    nowhere = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    kind = _UnreachableError if isinstance(error, nowhere) else _AgainError
    return kind(f"{type(error).__name__}: {error}")


def _told(chunks: Iterator[bytes], tell: Callable[[int], None]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        tell(len(chunk))


def _reason(answer: urllib3.BaseHTTPResponse) -> str:
    try:
        errors = json.loads(answer.data)["errors"]
        return f"{answer.status}: " + "; ".join(
            str(item.get("message") or item.get("code")) for item in errors
        )
    except (ValueError, KeyError, TypeError, urllib3.exceptions.HTTPError):
        return f"it answers {answer.status}"
