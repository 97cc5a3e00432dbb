"""The stack's artifact bucket: satisfies ``publish.state.Artifacts``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.session import error_code, from_client_error, translated
from fal_serverless.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SMALL = 8 << 20
"""Bytes from which boto3's transfers send a file in parts (their ``multipart_threshold``)."""


@dataclass
class ArtifactBucket:
    """One S3 bucket; objects are named by their content and never change."""

    client: Any
    bucket: str

    def has(self, key: str) -> bool:
        """Whether the object is there."""
        try:
            self.client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error_code(error) in ("404", "NoSuchKey", "NotFound"):
                return False
            raise from_client_error(f"Looking for {key} in the artifact bucket", error) from error
        return True

    def upload(self, key: str, path: Path, progress: Callable[[int], None] | None = None) -> None:
        """Put a file there, in parts when it is large; S3 checks each part's checksum.

        Raises:
            AwsError: S3 refused it, or the connection broke for good.
        """
        if path.stat().st_size < SMALL:
            with translated(f"Uploading {key}"):
                content = path.read_bytes()
                self.client.put_object(Bucket=self.bucket, Key=key, Body=content)
            if progress is not None:
                progress(len(content))
            return
        from boto3.exceptions import S3UploadFailedError

        with translated(f"Uploading {key}"):
            try:
                self.client.upload_file(str(path), self.bucket, key, Callback=progress)
            except S3UploadFailedError as error:
                if isinstance(error.__context__, ClientError):
                    raise error.__context__ from error
                raise AwsError(
                    f"Uploading {key} failed.",
                    reason=" ".join(str(error).split()),
                    hint="check the network and run the command again; nothing is lost",
                ) from error
