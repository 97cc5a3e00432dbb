"""The gateway under uvicorn: ``python -m fal_serverless.gateway.server``.

For the embedded stack, and for a container where API Gateway's 30 s are too short.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TextIO

import uvicorn

from fal_serverless.errors import FalServerlessError, OperationError
from fal_serverless.gateway.entry import Gateway, Shortcut
from fal_serverless.gateway.http import GatewayProtocol
from fal_serverless.gateway.invoke import DEADLINE_S, Calls
from fal_serverless.gateway.queue.front import Front
from fal_serverless.gateway.queue.model import LIMIT
from fal_serverless.gateway.registry import CachedRegistry
from fal_serverless.gateway.uses import INTERVAL_S, Background, KeyUses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp

    from fal_serverless.aws.async_invoke import AsyncLambdaInvoker
    from fal_serverless.gateway.entry import Access

# For what blocks: reading the registry when it is not remembered, and the queue's work.
THREADS = 64
_GRACE_S = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    if len({bool(args.requests), bool(args.queue_url), bool(args.bucket)}) > 1:
        parser.error("--requests, --queue-url and --bucket belong together")
    if bool(args.certificate) != bool(args.certificate_key):
        parser.error("--certificate and --certificate-key belong together")
    try:
        listener = _listen(args.host, args.port)
        with listener, ThreadPoolExecutor(args.threads, "invoke") as executor:
            uses, invoker = _uses(args), _invoker(args)
            app = _wired(args, invoker, executor, uses)
            print_line(event="listening", host=args.host, port=listener.getsockname()[1])
            tls = (args.certificate, args.certificate_key)
            background = Background(uses, args.count_every) if uses else None
            Server(config(app, *tls), invoker, background).run(sockets=[listener])
    except FalServerlessError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


class Server(uvicorn.Server):
    """uvicorn's, which closes its connections and writes down the use of keys before it ends."""

    def __init__(
        self, config: uvicorn.Config, invoker: AsyncLambdaInvoker, background: Background | None
    ) -> None:
        super().__init__(config)
        self._invoker = invoker
        self._background = background

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is begun, then end; the signal that asked for it comes again after this."""
        await super().shutdown(sockets)
        self._invoker.close()
        if self._background is not None:
            self._background.stop()


def config(app: ASGIApp, certificate: str = "", key: str = "") -> uvicorn.Config:
    """uvicorn as a gateway needs it: no forwarded headers believed, none of its own added."""
    return uvicorn.Config(
        app,
        lifespan="off",
        http=GatewayProtocol,
        ws="none",
        proxy_headers=False,
        server_header=False,
        # A function's own Date would stand there twice.
        date_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=certificate or None,
        ssl_keyfile=key or None,
    )


def line_writer(stream: TextIO | None = None) -> Callable[[Access], None]:
    """A recorder of requests that writes a JSON line each, without queries and headers."""

    def record(access: Access) -> None:
        print_line(
            stream,
            event="request",
            request_id=access.request_id,
            method=access.method,
            target=access.target,
            status=access.status,
            duration_ms=round(access.seconds * 1000, 2),
            revision=access.revision,
        )

    return record


def print_line(stream: TextIO | None = None, **fields: object) -> None:
    """One JSON line, at once."""
    stream = stream or sys.stdout
    stream.write(json.dumps({"time": round(time.time(), 3), **fields}) + "\n")
    stream.flush()


def _uses(args: argparse.Namespace) -> KeyUses | None:
    """What counts the requests of keys, where there is a table for it."""
    if not args.requests:
        return None
    from fal_serverless.aws.key_uses import open_writer

    writer = open_writer(args.requests, region=args.region, endpoint_url=args.endpoint_url)
    return KeyUses(writer)


def _invoker(args: argparse.Namespace) -> AsyncLambdaInvoker:
    from fal_serverless.aws.async_invoke import open_async_invoker

    return open_async_invoker(region=args.region, endpoint_url=args.endpoint_url)


def _wired(
    args: argparse.Namespace,
    invoker: AsyncLambdaInvoker,
    executor: ThreadPoolExecutor,
    uses: KeyUses | None,
) -> Shortcut:
    from fal_serverless.aws.registry_read import open_registry

    registry = open_registry(args.table, region=args.region, endpoint_url=args.endpoint_url)
    calls = Calls(
        CachedRegistry(registry),
        invoker,
        executor,
        deadline=args.deadline,
        queue=_queue(args),
        manager=args.manager,
        uses=uses,
    )
    return Shortcut(Gateway(calls, args.domain, line_writer()))


def _queue(args: argparse.Namespace) -> Callable[[], Front] | None:
    """What makes the queue's front, once; None where the gateway is not told of a queue."""
    if not args.requests:
        return None

    @cache
    def front() -> Front:
        from fal_serverless.aws.queue_store import QueueStore

        store = QueueStore(
            args.requests,
            args.queue_url,
            args.bucket,
            region=args.region,
            endpoint_url=args.endpoint_url,
            limit=args.queue_limit,
        )
        return Front(store, private_webhooks=args.private_webhooks)

    return front


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OperationError(
            f"The gateway cannot listen on {host}:{port}.",
            reason=error.strerror or str(error),
            hint="choose another port with --port, or 0 for any free one",
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fal_serverless.gateway.server",
        description="Serve published functions over HTTP.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 for any free one")
    parser.add_argument("--table", required=True, help="name of the registry's table")
    parser.add_argument("--region", help="as botocore finds it, if left out")
    parser.add_argument("--endpoint-url", help="of an emulator")
    parser.add_argument("--domain", default="", help="targets are names under it")
    parser.add_argument(
        "--deadline",
        type=float,
        default=DEADLINE_S,
        help=f"seconds until a caller has an answer (default {DEADLINE_S:g}, as on API Gateway)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=THREADS,
        help="for reading the registry and for the queue's work",
    )
    parser.add_argument(
        "--manager", default="", help="name of the Lambda function behind the management API"
    )
    parser.add_argument(
        "--count-every",
        type=float,
        default=INTERVAL_S,
        help=f"seconds between writing down the use of keys (default {INTERVAL_S:g})",
    )
    queue = parser.add_argument_group("the queue", "all of them, or there is none")
    queue.add_argument("--requests", default="", help="name of the table of requests")
    queue.add_argument("--queue-url", default="", help="URL of the SQS queue")
    queue.add_argument("--bucket", default="", help="of large bodies")
    queue.add_argument("--queue-limit", type=int, default=LIMIT, help="for one target")
    queue.add_argument(
        "--private-webhooks", action="store_true", help="also by http and to private networks"
    )
    tls = parser.add_argument_group("TLS", "both for https")
    tls.add_argument("--certificate", default="", help="file, PEM")
    tls.add_argument("--certificate-key", default="", help="file, PEM")
    return parser


if __name__ == "__main__":
    sys.exit(main())
