"""The user's secrets, out of SSM Parameter Store into the environment, before the function loads.

One signed request over the standard library: importing boto3 would take longer than everything
else that a cold start does. The signature is AWS's version 4; a test compares it with botocore's.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AT_A_TIME = 10  # GetParameters takes at most ten names
_TRIES = 3
_TIMEOUT_S = 5
_TARGET = "AmazonSSM.GetParameters"


class SecretError(Exception):
    """A secret cannot be fetched; the message never holds a value."""


def path(stack: str, user: str, name: str) -> str:
    """The parameter that holds a secret."""
    return f"/fal/{stack}/{user}/{name}"


def install(names: Sequence[str], *, within: float | None = None) -> None:
    """Fetch the secrets and set environment variables of those names.

    Args:
        within: seconds after which nothing is tried again, or None.

    Raises:
        SecretError: one is missing, or SSM refuses or does not answer.
    """
    if not names:
        return
    stack, user = os.environ["FAL_STACK"], os.environ["FAL_USER"]
    wanted = {path(stack, user, name): name for name in names}
    paths = list(wanted)
    found: dict[str, str] = {}
    deadline = None if within is None else time.monotonic() + within
    for first in range(0, len(paths), AT_A_TIME):
        question = {"Names": paths[first : first + AT_A_TIME], "WithDecryption": True}
        answer = _ask(question, deadline)
        found |= {item["Name"]: item["Value"] for item in answer.get("Parameters", [])}
    missing = sorted(name for place, name in wanted.items() if place not in found)
    if missing:
        raise SecretError(
            f"there is no secret {', '.join(missing)}: set it with fal-serverless secret set"
        )
    os.environ.update({wanted[place]: value for place, value in found.items()})


def signed_headers(
    url: str, body: bytes, *, region: str, now: float, credentials: Mapping[str, str]
) -> dict[str, str]:
    """The headers of a signed POST to SSM.

    Args:
        now: epoch seconds.
        credentials: ``key``, ``secret`` and perhaps ``token``.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{moment[:8]}/{region}/ssm/aws4_request"
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": urlsplit(url).netloc,
        "x-amz-date": moment,
        "x-amz-target": _TARGET,
    }
    if credentials.get("token"):
        headers["x-amz-security-token"] = credentials["token"]
    names = ";".join(sorted(headers))
    listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    digest = hashlib.sha256(body).hexdigest()
    request = f"POST\n/\n\n{listed}\n{names}\n{digest}"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials['secret']}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials['key']}/{scope}, "
        f"SignedHeaders={names}, Signature={_hmac(key, text).hex()}"
    )
    return headers


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def credentials() -> dict[str, str]:
    """The role's credentials: ``key``, ``secret`` and ``token``.

    Environments that begin from a snapshot have none in variables, since those would be the
    snapshot's: Lambda gives them over HTTP instead, as containers have them.

    Raises:
        SecretError: they are not to be had.
    """
    address = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if os.environ.get("AWS_ACCESS_KEY_ID") or not address:
        names = {"key": "ACCESS_KEY_ID", "secret": "SECRET_ACCESS_KEY", "token": "SESSION_TOKEN"}
        return {key: os.environ.get(f"AWS_{name}", "") for key, name in names.items()}
    headers = {"authorization": os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")}
    try:
        _, content = _send("GET", address, b"", headers)
        given = json.loads(content)
        return {
            "key": given["AccessKeyId"],
            "secret": given["SecretAccessKey"],
            "token": given["Token"],
        }
    except (OSError, ValueError, KeyError) as error:
        # Not the error's text: it may quote what was read.
        raise SecretError(f"Lambda gave no credentials: {type(error).__name__}") from None


def _ask(question: dict[str, Any], deadline: float | None) -> dict[str, Any]:
    region = os.environ.get("AWS_REGION", "us-east-1")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = os.environ.get("AWS_ENDPOINT_URL") or f"https://ssm.{region}.{suffix}"
    body = json.dumps(question).encode()
    signing = credentials()
    problem = ""
    for attempt in range(_TRIES):
        if attempt and deadline is not None and time.monotonic() + _TIMEOUT_S > deadline:
            break
        if attempt:
            time.sleep(0.2 * attempt)
        headers = signed_headers(url, body, region=region, now=time.time(), credentials=signing)
        try:
            status, content = _send("POST", url, body, headers)
        except OSError as error:
            problem = f"{type(error).__name__}: {error}"
            continue
        if status == http.client.OK:
            answer: dict[str, Any] = json.loads(content)
            return answer
        problem = _problem(status, content)
        if status < http.client.INTERNAL_SERVER_ERROR and "Throttling" not in problem:
            break
    raise SecretError(f"SSM Parameter Store did not give the secrets: {problem}")


def _send(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT_S)
    try:
        connection.request(method, parts.path or "/", body or None, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _problem(status: int, content: bytes) -> str:
    try:
        said = json.loads(content)
    except ValueError:
        said = {}
    kind = str(said.get("__type", "")).rpartition("#")[2]
    return f"{status} {kind} {said.get('message') or said.get('Message') or ''}".strip()
