"""Errors as answers, in the gateway's form: ``{"detail": …}``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from fal_serverless.errors import ConflictError, FalServerlessError, NotFoundError
from fal_serverless.manage import models

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

_log = logging.getLogger("fal_serverless.manage")


def _described(**statuses: str) -> dict[int | str, dict[str, Any]]:
    return {
        int(status[1:]): {"model": models.Problem, "description": text}
        for status, text in statuses.items()
    }


ABSENT = _described(_404="You have nothing of that name.")
CONFLICT = _described(_409="Somebody publishes it just now, or it is there already.")
EVERYWHERE: dict[int | str, dict[str, Any]] = {
    **_described(
        _401="No key, or one that is wrong, revoked or expired.",
        _403="The key's scope is API.",
        _413="The request is too large.",
    ),
    422: {"model": models.Invalid, "description": "Something of the request is not as described."},
    **_described(
        _429="Too many requests at a time; see Retry-After.",
        _502="The management API failed.",
        _503="AWS cannot be reached just now.",
        _504="It took longer than 29 s; ask for less.",
    ),
}


def install(app: FastAPI) -> None:
    """Make the app answer errors in this form."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(FalServerlessError, _ours)
    app.add_exception_handler(Exception, _unexpected)


def _problem(status: int, detail: object, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is installed for
    if error.status_code == 404:
        return _problem(404, "The management API has no such address; see /openapi.json.")
    if error.status_code == 405:
        return _problem(405, error.detail, {"Allow": ", ".join(_allowed(request))})
    if error.status_code == 400:
        return _unreadable("Send JSON in UTF-8")
    return _problem(error.status_code, error.detail)


def _allowed(request: Request) -> list[str]:
    """Methods that an address has: each has a route of its own, and names no other."""
    found = [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
    # The gateway makes GET of HEAD.
    return sorted([*found, "HEAD"] if "GET" in found else found)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    if isinstance(error.body, bytes):
        return _unreadable("Send JSON, with the header Content-Type: application/json")
    # What was sent is not sent back: it may hold what JSON cannot, such as NaN.
    kept = ("type", "loc", "msg")
    return _problem(422, [{key: item[key] for key in kept} for item in error.errors()])


def _unreadable(text: str) -> JSONResponse:
    return _problem(422, [{"type": "json_invalid", "loc": ["body"], "msg": text}])


def _ours(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FalServerlessError)  # noqa: S101
    if isinstance(error, (NotFoundError, ConflictError)):
        status = 404 if isinstance(error, NotFoundError) else 409
        return _problem(status, f"{error.message} Why: {error.reason}.")
    _log.error("%s %s", error.message, error.reason)
    return _problem(503, "AWS refused or did not answer; try again.", {"Retry-After": "1"})


def _unexpected(_: Request, error: Exception) -> JSONResponse:
    _log.error("the request failed", exc_info=error)
    return _problem(500, "The management API failed.")
