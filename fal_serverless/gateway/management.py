"""The door of the management API: a request whose key is of scope ADMIN goes to the manager.

The gateway may read the registry and no more, so what changes it is a Lambda function with a role
of its own. That function believes what the event's authorizer says, which is made here from the
key, and which nothing of a request can set.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from fal_serverless.gateway import answer as answers
from fal_serverless.gateway import auth, cors
from fal_serverless.gateway.event import PayloadTooLargeError, end_to_end, forwarded, payload
from fal_serverless.gateway.protocols import Route

if TYPE_CHECKING:
    from fal_serverless.gateway.invoke import Calls, Exchange
    from fal_serverless.gateway.protocols import InvokeResult, Request, Response
    from fal_serverless.keys import KeyRecord

BODY_MAX = 65_536
"""Bytes of a body; the largest that the API understands has a hundred."""
QUALIFIER = "$LATEST"
_log = logging.getLogger("fal_serverless.gateway")
_NO_STORE = (b"cache-control", b"no-store")


async def answer(calls: Calls, exchange: Exchange) -> tuple[Response, bool]:
    """The answer, and whether there is such an API.

    Raises:
        AwsError: the registry cannot be read.
    """
    request = exchange.request
    if cors.is_preflight(request):
        return cors.preflight(request), bool(calls.manager)
    given, headers, query = auth.take(request.headers, request.query)
    record = await calls.run(partial(calls.registry.key, given.id)) if given else None
    denial = auth.decide_management(record, given, calls.now())
    if denial or record is None:
        made = answers.denied(denial or auth.API_NEEDS_KEY)
    else:
        exchange = replace(exchange, request=replace(request, headers=headers, query=query))
        made = await _ask(calls, exchange, record)
        calls.count(record, made.status)
    made = replace(made, headers=(*made.headers, _NO_STORE))
    return cors.readable(made), bool(calls.manager)


async def _ask(calls: Calls, exchange: Exchange, record: KeyRecord) -> Response:
    if not calls.manager:
        return answers.error(501, "This gateway has no management API.")
    try:
        body = await exchange.read_body(BODY_MAX)
    except PayloadTooLargeError as error:
        return answers.error(
            413, f"The body has {error.size:,} bytes; the management API takes {BODY_MAX:,}."
        )
    written = event(exchange, record, replace(exchange.request, body=body), calls.now())
    left = calls.deadline - (calls.clock() - exchange.started)
    result = await calls.invoker.invoke(calls.manager, QUALIFIER, written, timeout=max(left, 0.1))
    return _of_result(result, exchange.request.method, left)


def event(exchange: Exchange, record: KeyRecord, request: Request, now: float) -> bytes:
    """What the manager is sent: the request, and who it is from.

    Args:
        record: the key that was checked.
        request: without credentials, with its body.
        now: epoch seconds.
    """
    headers = forwarded(
        end_to_end(request.headers),
        client=request.client,
        scheme=request.scheme,
        behind_api_gateway=exchange.behind_api_gateway,
    )
    # Without the body that HEAD does not send, it is GET.
    method = "GET" if request.method == "HEAD" else request.method
    request = replace(request, headers=headers, method=method)
    made: dict[str, Any] = json.loads(payload(request, request_id=exchange.request_id, now=now))
    made["requestContext"]["authorizer"] = {
        # Where API Gateway itself puts what an authorizer of its own says.
        "lambda": {
            "owner": record.owner,
            "key": record.id,
            "scope": record.scope,
            "prefix": exchange.target.prefix,
        }
    }
    return json.dumps(made).encode()


def _of_result(result: InvokeResult, method: str, waited: float) -> Response:
    match result.outcome:
        case "answered" if not result.function_error:
            nothing = Route("", "", "", "", 0, "", "")
            return answers.of_result(result, nothing, method, waited=waited)
        case "answered" if b"Task timed out" in result.payload:
            return _too_late(waited)
        case "timed_out":
            return _too_late(waited)
        case "throttled":
            return answers.error(
                429, "The management API is at its limit; try again.", (b"retry-after", b"2")
            )
        case "unready":
            return answers.error(
                503, "The management API is being made ready; try again.", (b"retry-after", b"2")
            )
    _log.error("the manager: %s %s", result.outcome, result.reason or result.function_error)
    return answers.error(502, "The management API failed; the manager's log says more.")


def _too_late(waited: float) -> Response:
    return answers.error(
        504,
        f"The management API did not answer within {waited:.0f} s. Ask for less: a shorter "
        "'since', one 'target'.",
    )
