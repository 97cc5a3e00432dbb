"""Bodies to and from signed addresses of S3."""

from __future__ import annotations

import http.client
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 20


def download(url: str, file: IO[bytes]) -> None:
    """Stream what a URL holds into a file.

    Raises:
        OSError: the connection broke, or the answer is not 200.
    """
    with _exchange("GET", url) as response:
        while block := response.read(_CHUNK):
            file.write(block)


@contextmanager
def opened(url: str) -> Iterator[IO[bytes]]:
    """What a URL holds, to be read once.

    Raises:
        OSError: the connection broke, or the answer is not 200.
    """
    with _exchange("GET", url) as response:
        yield response


def upload(url: str, file: IO[bytes], size: int) -> None:
    """Stream ``size`` bytes of a file to a URL.

    Raises:
        OSError: the connection broke, or the answer is not 200.
    """
    with _exchange("PUT", url, file, {"content-length": str(size)}) as response:
        response.read()


@contextmanager
def _exchange(
    method: str, url: str, body: Any = None, headers: dict[str, str] | None = None
) -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=60)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        response = connection.getresponse()
        if response.status != http.client.OK:
            # The address is signed: it is not for an error's text.
            raise OSError(f"S3 answered {response.status} to a {method} of a body")
        yield response
    except http.client.HTTPException as error:
        raise OSError(f"S3's answer ended early: {error!r}") from error
    finally:
        connection.close()
