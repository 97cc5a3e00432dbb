"""The user's secrets in SSM Parameter Store, as SecureStrings under a path of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.session import error_code, translated
from fal_serverless.errors import (
    AwsError,
    FalServerlessError,
    NotFoundError,
    UsageError,
    did_you_mean,
)
from fal_serverless.runtime.secrets import AT_A_TIME, path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

VALUE_MAX_BYTES = 4096  # SSM quotas: value of a standard parameter


@dataclass(frozen=True)
class Secret:
    """A secret without its value."""

    name: str
    version: int
    updated_at: datetime


@dataclass(frozen=True)
class SecretStore:
    """One user's secrets in one stack."""

    client: Any
    stack: str
    user: str

    def set(self, name: str, value: str) -> int:
        """Store a value, new or in place of the old one; the number of this version.

        Raises:
            UsageError: the value is empty, or above what Parameter Store takes.
            AwsError: AWS refused it; the value is in no message and no cause.
        """
        size = len(value.encode())
        if not 1 <= size <= VALUE_MAX_BYTES:
            raise UsageError(
                f"The value of '{name}' cannot be stored.",
                reason=f"it has {size:,} bytes, and a parameter holds 1 to {VALUE_MAX_BYTES:,}",
                hint="store what is larger in S3, and its address here"
                if size
                else "type or pipe it",
            )
        try:
            with translated(f"Storing the secret '{name}'"):
                answer = self.client.put_parameter(
                    Name=path(self.stack, self.user, name),
                    Value=value,
                    Type="SecureString",
                    Overwrite=True,
                )
        except FalServerlessError as error:
            told = str(error) + str(error.__cause__)
            if value not in told:
                raise
        else:
            return int(answer["Version"])
        # Outside of the handler, so that no traceback leads to what AWS repeated of the value.
        raise AwsError(
            f"Storing the secret '{name}' failed.",
            reason="AWS does not take the value; its words repeat it, and are left out here",
            hint="look for characters that are not printable, or store it encoded",
        )

    def list(self) -> tuple[Secret, ...]:
        """All of them by name, without values."""
        root = path(self.stack, self.user, "")
        with translated("Listing the secrets"):
            pages = self.client.get_paginator("get_parameters_by_path").paginate(
                Path=root.rstrip("/"), WithDecryption=False
            )
            found = [
                Secret(item["Name"].removeprefix(root), item["Version"], item["LastModifiedDate"])
                for page in pages
                for item in page["Parameters"]
            ]
        return tuple(sorted(found, key=lambda item: item.name))

    def delete(self, name: str) -> None:
        """Delete a secret.

        Raises:
            NotFoundError: there is none of that name.
        """
        with translated(f"Deleting the secret '{name}'"):
            try:
                self.client.delete_parameter(Name=path(self.stack, self.user, name))
            except ClientError as error:
                if error_code(error) != "ParameterNotFound":
                    raise
                names = [item.name for item in self.list()]
                raise NotFoundError(
                    f"There is no secret '{name}'.",
                    reason=f"user {self.user} has none of that name",
                    hint=did_you_mean(name, names)
                    if names
                    else "store one with: fal-serverless secret set NAME",
                ) from error

    def require(self, names: Sequence[str]) -> None:
        """Make sure that the secrets are there.

        Raises:
            NotFoundError: one is not.
        """
        paths = {path(self.stack, self.user, name): name for name in names}
        listed = list(paths)
        missing: list[str] = []
        with translated("Looking for the secrets"):
            for first in range(0, len(listed), AT_A_TIME):
                answer = self.client.get_parameters(
                    Names=listed[first : first + AT_A_TIME], WithDecryption=False
                )
                missing += [paths[place] for place in answer.get("InvalidParameters", [])]
        if missing:
            raise NotFoundError(
                f"There is no secret '{missing[0]}'.",
                reason=f"the function names it in secrets=[…], and user {self.user} has not set it",
                hint=f"run: fal-serverless secret set {missing[0]}",
            )
