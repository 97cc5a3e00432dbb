"""Invocations of environment functions, and the S3 objects that large calls travel by."""

from __future__ import annotations

import io
import json
import random
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fal_serverless.aws.session import CONFIG, error_code, translated
from fal_serverless.errors import ThrottledError
from fal_serverless.function import CONCURRENCY_MAX
from fal_serverless.runtime.call import STORED_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fal_serverless.aws.session import Session

PATIENCE_S = 120.0
"""How long a throttled call, or one of a function that is not ready yet, is tried again."""
WAIT_MAX_S = 2400.0
"""The same while other calls of this process run: one of them ending makes room. With the longest
call it stays below ``URL_LIFE_S``, since the addresses are signed before the first try."""
URL_LIFE_S = 3600
URL_USED_S = 240
"""How long signed addresses are used for further calls."""
KEPT_S = 3600
FRESH_S = 43_200
"""How long this process remembers that a function is stored, and how old the object may be then;
the bucket clears it after a day."""
# Neither of them has run the function: only these are safe to repeat.
_NOT_RUN = {
    "TooManyRequestsException",
    "ThrottlingException",
    "ResourceConflictException",
    "ResourceNotReadyException",
}
# S3 answers 403 where the caller may not list the bucket.
_ABSENT = {"404", "NoSuchKey", "403", "AccessDenied"}


@dataclass(frozen=True)
class Place:
    """Keys and signed addresses for the data of a call.

    Attributes:
        signed_at: by a clock that only grows.
    """

    arguments: str
    result: str
    output: str
    result_url: str
    output_url: str
    signed_at: float


class Gate:
    """Knows which calls are under way, so that refused ones can wait for one to end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ended = threading.Condition()
        self._begun: dict[object, float] = {}

    @contextmanager
    def passing(self) -> Iterator[None]:
        """A call is under way."""
        mark = object()
        with self._ended:
            self._begun[mark] = self._clock()
        try:
            yield
        finally:
            with self._ended:
                del self._begun[mark]
                self._ended.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait for a call to end, for ``seconds`` at most; False at once when none runs.

        Those that began a moment ago do not count: they may be about to be refused as well.
        """
        with self._ended:
            before = self._clock() - 1.0
            running = [mark for mark, begun in self._begun.items() if begun <= before]
            if not running:
                return False
            self._ended.wait_for(
                lambda: not all(mark in self._begun for mark in running), timeout=seconds
            )
            return True


@dataclass(frozen=True)
class RemoteCalls:
    """Invokes functions by the caller's own identity. Safe for several threads.

    Attributes:
        functions: client of Lambda that neither retries nor gives up early.
        objects: client of S3.
        sleep: takes seconds.
        parts: boto3's TransferConfig of downloads, or None for its own.
    """

    functions: Any
    objects: Any
    bucket: str
    sleep: Callable[[float], None] = time.sleep
    parts: Any = None
    gate: Gate = field(default_factory=Gate)
    places: list[Place] = field(default_factory=list)
    kept: dict[str, tuple[float, str]] = field(default_factory=dict)

    def invoke(self, function: str, event: Mapping[str, Any]) -> tuple[bool, bytes]:
        """Whether the function itself answered, and Lambda's payload.

        Raises:
            ThrottledError: Lambda did not take the call for ``PATIENCE_S``.
            AwsError: AWS refused the call, or the connection broke; it may have run.
        """
        payload = json.dumps(event, separators=(",", ":")).encode()
        began = time.monotonic()
        waited, pause = 0.0, 0.1
        while True:
            with translated(f"Calling '{function}'"), self.gate.passing():
                try:
                    found = self.functions.invoke(FunctionName=function, Payload=payload)
                    return "FunctionError" not in found, found["Payload"].read()
                except ClientError as error:
                    problem = error_code(error)
                    if problem not in _NOT_RUN:
                        raise
            # Jitter, so that those who were refused together do not come back together.
            seconds = pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret is made of it
            if not self.gate.wait(seconds):
                self.sleep(seconds)
                waited += pause
            if waited > PATIENCE_S or time.monotonic() - began > WAIT_MAX_S:
                raise ThrottledError(
                    f"Lambda did not take a call of '{function}'.",
                    reason=f"{problem} for {max(waited, time.monotonic() - began):.0f} s",
                    hint="call with a lower concurrency, or ask AWS for a higher quota",
                )
            pause = min(pause * 2, 5.0)

    def place(self) -> Place:
        """Keys and addresses for a call; those of an earlier one that ended well, if there are."""
        while True:
            try:
                place = self.places.pop()
            except IndexError:
                break
            if time.monotonic() - place.signed_at < URL_USED_S:
                return place
        stem = f"calls/{uuid.uuid4()}"
        result, output = f"{stem}/result", f"{stem}/output"
        return Place(
            arguments=f"{stem}/arguments",
            result=result,
            output=output,
            result_url=self.url("put_object", result),
            output_url=self.url("put_object", output),
            signed_at=time.monotonic(),
        )

    def give_back(self, place: Place) -> None:
        """The call of ``place`` has answered, and nothing of it is left there."""
        self.places.append(place)

    def keep(self, key: str, content: bytes) -> str:
        """Store content that is named by its digest, unless it is there; its address.

        Raises:
            AwsError: S3 refused it.
        """
        until, url = self.kept.get(key, (0.0, ""))
        if until > time.monotonic():
            return url
        with translated("Storing the function of a call"):
            try:
                found = self.objects.head_object(Bucket=self.bucket, Key=key)
                age = time.time() - found["LastModified"].timestamp()
            except ClientError as error:
                if error_code(error) not in _ABSENT:
                    raise
                age = FRESH_S
            if age >= FRESH_S:
                self.objects.upload_fileobj(io.BytesIO(content), self.bucket, key)
        url = self.url("get_object", key, KEPT_S + URL_LIFE_S)
        self.kept[key] = (time.monotonic() + KEPT_S, url)
        return url

    def read(self, key: str, mark: str = "") -> tuple[bytes, str] | None:
        """An object and its mark, or None when it is not there, has this mark, or S3 fails."""
        more = {"IfNoneMatch": mark} if mark else {}
        try:
            found = self.objects.get_object(Bucket=self.bucket, Key=key, **more)
            return found["Body"].read(), str(found["ETag"])
        except (ClientError, BotoCoreError):
            # It is asked for again and again, and what it holds also comes with the answer.
            return None

    def url(self, method: str, key: str, life: int = URL_LIFE_S) -> str:
        """A signed address for ``get_object`` or ``put_object``, good for ``life`` seconds."""
        with translated("Signing an address of the artifact bucket"):
            return str(
                self.objects.generate_presigned_url(
                    method, Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=life
                )
            )

    def put(self, key: str, file: IO[bytes]) -> None:
        """Stream a file to S3."""
        with translated("Uploading the arguments of a call"):
            self.objects.upload_fileobj(file, self.bucket, key)

    def get(self, key: str, file: IO[bytes]) -> None:
        """Stream an object into a file."""
        with translated("Downloading the result of a call"):
            self.objects.download_fileobj(self.bucket, key, file, Config=self.parts)

    def delete(self, keys: list[str]) -> None:
        """Delete objects; those that are not there are no error."""
        with translated("Deleting the data of a call"):
            for key in keys:
                self.objects.delete_object(Bucket=self.bucket, Key=key)


def open_calls(session: Session, bucket: str) -> RemoteCalls:
    """Clients of their own: a call may take 15 minutes, and must not be sent twice."""
    patient = Config(
        read_timeout=910,
        retries={"total_max_attempts": 1},
        max_pool_connections=CONCURRENCY_MAX,
        tcp_keepalive=True,
    )
    style: Any = {"addressing_style": "path"} if session.endpoint_url else {}
    objects = Config(signature_version="s3v4", s3=style, max_pool_connections=CONCURRENCY_MAX)
    # An emulator reads the whole object for each part.
    parts = TransferConfig(multipart_threshold=STORED_MAX) if session.endpoint_url else None
    make: Any = session.boto.client
    with translated("Connecting to AWS"):
        return RemoteCalls(
            make("lambda", endpoint_url=session.endpoint_url, config=CONFIG.merge(patient)),
            make("s3", endpoint_url=session.endpoint_url, config=CONFIG.merge(objects)),
            bucket,
            parts=parts,
        )
