"""Invoking Lambda from an event loop, for the gateway under uvicorn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fal_serverless.aws.async_wire import AsyncWire
from fal_serverless.aws.http1 import WireError
from fal_serverless.aws.lambda_invoke import CONNECT_S, Requests, place, result_of, unanswered

if TYPE_CHECKING:
    from fal_serverless.aws.signing import Credentials
    from fal_serverless.gateway.protocols import InvokeResult


_CONNECTIONS = 256
"""Kept open at most: a server has many requests at once."""


class AsyncLambdaInvoker:
    """Invokes functions over pooled connections, on one event loop."""

    def __init__(
        self,
        credentials: Credentials,
        region: str,
        endpoint_url: str,
        *,
        ca_certs: str | None = None,
    ) -> None:
        """Nothing is sent yet; the arguments are ``LambdaInvoker``'s."""
        self._credentials = credentials
        self._wire = AsyncWire(
            endpoint_url.rstrip("/"), ca_certs=ca_certs, connections=_CONNECTIONS
        )
        self._requests = Requests(credentials, region, self._wire.host, self._wire.prefix)

    async def invoke(
        self, function: str, qualifier: str, payload: bytes, *, timeout: float
    ) -> InvokeResult:
        """As ``LambdaInvoker.invoke``.

        Raises:
            AuthError: the credentials cannot be refreshed.
        """
        target, headers = await self._signed(function, qualifier, payload)
        connect = min(CONNECT_S, timeout)
        try:
            answer = await self._wire.post(
                target, headers, payload, connect=connect, timeout=timeout
            )
        except WireError as error:
            return unanswered(error)
        return result_of(answer)

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    async def _signed(
        self, function: str, qualifier: str, payload: bytes
    ) -> tuple[str, dict[str, str]]:
        # botocore's credentials of a role ask the network for new ones before they end.
        due = getattr(self._credentials, "refresh_needed", None)
        if due is None or not due():
            return self._requests.signed(function, qualifier, payload)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self._requests.signed, function, qualifier, payload)


def open_async_invoker(
    *, region: str | None = None, endpoint_url: str | None = None
) -> AsyncLambdaInvoker:
    """An invoker with the credentials, Region and endpoint of this process; as ``open_invoker``.

    Raises:
        AuthError: there are no credentials.
        AwsError: no Region is configured, or the configuration cannot be read.
    """
    found = place(region, endpoint_url)
    return AsyncLambdaInvoker(
        found.credentials, found.region, found.endpoint, ca_certs=found.ca_certs
    )
