"""What browsers of other origins are told. Pure.

Any origin may call, since a key and never a cookie of the gateway's decides who may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_serverless.gateway.protocols import Response

if TYPE_CHECKING:
    from fal_serverless.gateway.protocols import Request

ANY = (b"access-control-allow-origin", b"*")
EXPOSED = (b"access-control-expose-headers", b"x-fal-request-id, x-fal-revision, retry-after")
MAX_AGE_S = 600


def is_preflight(request: Request) -> bool:
    """Whether a browser asks what it may send, by Fetch's definition."""
    return (
        request.method == "OPTIONS"
        and request.header(b"origin") is not None
        and request.header(b"access-control-request-method") is not None
    )


def preflight(request: Request) -> Response:
    """Yes, to whatever was asked.

    What was asked is repeated, because ``*`` does not cover ``Authorization``.
    """
    method = request.header(b"access-control-request-method") or "*"
    names = request.header(b"access-control-request-headers") or "*"
    return Response(
        204,
        (
            ANY,
            (b"access-control-allow-methods", method.encode("latin-1")),
            (b"access-control-allow-headers", names.encode("latin-1")),
            (b"access-control-max-age", str(MAX_AGE_S).encode()),
            (b"vary", b"Access-Control-Request-Method, Access-Control-Request-Headers"),
        ),
    )


def readable(response: Response) -> Response:
    """An answer that a page of any origin can read, unless it already says who can."""
    names = [name for name, _ in response.headers]
    added = tuple([pair for pair in (ANY, EXPOSED) if pair[0] not in names])
    return Response(
        response.status,
        response.headers + added,
        response.body,
        response.revision,
        response.request_id,
    )
