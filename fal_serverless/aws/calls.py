"""Invocations of environment functions, and the S3 objects that large calls travel by."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError

from fal_serverless.aws.session import CONFIG, error_code, translated
from fal_serverless.errors import ThrottledError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fal_serverless.aws.session import Session

CONNECTIONS = 128
PATIENCE_S = 120.0
"""How long a throttled call, or one of a function that is not ready yet, is tried again."""
URL_LIFE_S = 3600
# Neither of them has run the function: only these are safe to repeat.
_NOT_RUN = {
    "TooManyRequestsException",
    "ThrottlingException",
    "ResourceConflictException",
    "ResourceNotReadyException",
}


@dataclass(frozen=True)
class RemoteCalls:
    """Invokes functions by the caller's own identity.

    Attributes:
        functions: client of Lambda that neither retries nor gives up early.
        objects: client of S3.
        sleep: takes seconds.
    """

    functions: Any
    objects: Any
    bucket: str
    sleep: Callable[[float], None] = time.sleep

    def invoke(self, function: str, event: Mapping[str, Any]) -> tuple[bool, bytes]:
        """Whether the function itself answered, and Lambda's payload.

        Raises:
            ThrottledError: Lambda did not take the call for ``PATIENCE_S``.
            AwsError: AWS refused the call, or the connection broke; it may have run.
        """
        payload = json.dumps(event, separators=(",", ":")).encode()
        waited, pause = 0.0, 0.1
        while True:
            with translated(f"Calling '{function}'"):
                try:
                    found = self.functions.invoke(FunctionName=function, Payload=payload)
                    return "FunctionError" not in found, found["Payload"].read()
                except ClientError as error:
                    problem = error_code(error)
                    if problem not in _NOT_RUN:
                        raise
            if waited > PATIENCE_S:
                raise ThrottledError(
                    f"Lambda did not take a call of '{function}'.",
                    reason=f"{problem} for {waited:.0f} s",
                    hint="call with a lower concurrency, or ask AWS for a higher quota",
                )
            # Jitter, so that those who were refused together do not come back together.
            self.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret is made of it
            waited += pause
            pause = min(pause * 2, 5.0)

    def url(self, method: str, key: str) -> str:
        """A signed address for ``get_object`` or ``put_object``, good for an hour."""
        with translated("Signing an address of the artifact bucket"):
            return str(
                self.objects.generate_presigned_url(
                    method, Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=URL_LIFE_S
                )
            )

    def put(self, key: str, file: IO[bytes]) -> None:
        """Stream a file to S3."""
        with translated("Uploading the arguments of a call"):
            self.objects.upload_fileobj(file, self.bucket, key)

    def get(self, key: str, file: IO[bytes]) -> None:
        """Stream an object into a file."""
        with translated("Downloading the result of a call"):
            self.objects.download_fileobj(self.bucket, key, file)

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
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
    )
    style: Any = {"addressing_style": "path"} if session.endpoint_url else {}
    objects = Config(signature_version="s3v4", s3=style, max_pool_connections=CONNECTIONS)
    make: Any = session.boto.client
    with translated("Connecting to AWS"):
        return RemoteCalls(
            make("lambda", endpoint_url=session.endpoint_url, config=CONFIG.merge(patient)),
            make("s3", endpoint_url=session.endpoint_url, config=CONFIG.merge(objects)),
            bucket,
        )
