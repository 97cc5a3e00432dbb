"""Calls of Lambda that are repeated while it applies an earlier change."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.session import error_code, translated

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY_TRIES = 40
"""How often a call is repeated while Lambda applies an earlier change (half a second apart)."""
POLL_SECONDS = 0.25


@dataclass
class LambdaCalls:
    """A client of Lambda; ``sleep`` is passed in for tests."""

    client: Any
    sleep: Callable[[float], None] = time.sleep

    def _pages(self, operation: str, key: str, function: str) -> list[dict[str, Any]]:
        with translated(f"Reading the Lambda function '{function}'"):
            try:
                pages = self.client.get_paginator(operation).paginate(FunctionName=function)
                return [item for page in pages for item in page[key]]
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    return []
                raise

    def _unless_busy(self, call: Callable[[], Any], *, conflict: bool = True) -> Any:
        """Repeat a call while Lambda is still applying the last change (409).

        ``conflict=False`` is for calls whose 409 means that the thing exists.
        """
        for left in reversed(range(BUSY_TRIES)):
            try:
                return call()
            except ClientError as error:
                code = error_code(error)
                message = str(error.response.get("Error", {}).get("Message", ""))
                busy = code == "ResourceConflictException" and (
                    conflict or "in progress" in message
                )
                # A role or layer made a moment ago may not be visible to Lambda yet.
                early = code == "InvalidParameterValueException" and "cannot be assumed" in message
                if not (busy or early) or not left:
                    raise
            self.sleep(POLL_SECONDS * 2)
        raise AssertionError("the loop returns or raises")


class gone_is_fine:  # noqa: N801 - reads as a statement
    """A context in which Lambda's "not found" is no error."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, ClientError) and error_code(error) == "ResourceNotFoundException"
