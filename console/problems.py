"""Errors as RFC 9457 problem details: `{"type", "title", "status", "detail", "kind", …}`, application/problem+json.

`kind` is the machine-readable word of the WanggeError; a program branches on it, never on the sentence.
"""

from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from core.errors import (
    ConfigurationError,
    Conflict,
    DecodeError,
    InvalidInput,
    NotAllowed,
    NotFound,
    StoreUnavailable,
    WanggeError,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "5"


class NotSignedIn(WanggeError):
    """No valid session or token came with the request (HTTP 401)."""

    kind = "unauthorized"


class TooMany(WanggeError):
    """The caller must wait (HTTP 429); details: `retry_after_s`."""

    kind = "too_many"


class TooLarge(WanggeError):
    """The body of the request is over the limit (HTTP 413)."""

    kind = "too_large"


class TooSlow(WanggeError):
    """The body of the request took too long (HTTP 408)."""

    kind = "too_slow"


class TooManyBodies(WanggeError):
    """The bodies of all requests under way take too much room (HTTP 503)."""

    kind = "busy"


class NobodyServes(WanggeError):
    """No worker is at work for this camera (HTTP 503)."""

    kind = "no_worker"


STATUS: dict[type[WanggeError], int] = {
    NotSignedIn: 401,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    TooSlow: 408,
    TooLarge: 413,
    TooManyBodies: 503,
    InvalidInput: 422,
    DecodeError: 400,
    TooMany: 429,
    ConfigurationError: 500,
    StoreUnavailable: 503,
    NobodyServes: 503,
}


_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "kind"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened and what to do."},
        "kind": {"type": "string", "description": "Machine-readable."},
    },
}
_SAID = {
    401: "Not signed in",
    403: "No right to this",
    404: "Nothing of that name in the caller's scope",
    408: "The body took too long",
    409: "The present state does not allow it",
    413: "The body is too large",
    422: "Wrong input; the sentence names the field",
    429: "Must wait; see Retry-After",
    503: "The store is away, or too much is under way; see Retry-After",
}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"description": said, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}} for status, said in _SAID.items()
}
"""For the OpenAPI document: what every route of the API may answer beside its own answers."""


def problem(status: int, kind: str, detail: str, headers: dict[str, str] | None = None, **more: object) -> JSONResponse:
    """One problem document."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "kind": kind, **more}
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def of_error(error: WanggeError) -> JSONResponse:
    """The problem document of one of our errors."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="wangge"'
    elif status == 503:
        headers["Retry-After"] = RETRY_AFTER_S
    elif status == 429:
        headers["Retry-After"] = str(error.details.get("retry_after_s", RETRY_AFTER_S))
    return problem(status, error.kind, str(error), headers)


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem document; bad input never is a 500."""

    @app.exception_handler(WanggeError)
    async def ours(_request: Request, error: WanggeError) -> Response:
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        found = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()[:20]]
        first = f"{found[0]['field']}: {found[0]['message']}" if found else "The request is not valid."
        return problem(422, InvalidInput.kind, first, errors=found)

    @app.exception_handler(HTTPException)
    async def plain(_request: Request, error: HTTPException) -> Response:
        kinds = {404: NotFound.kind, 405: "method_not_allowed", 413: TooLarge.kind, 400: InvalidInput.kind}
        kind = kinds.get(error.status_code, "http")
        return problem(error.status_code, kind, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(psycopg.DataError)
    async def data(_request: Request, error: psycopg.DataError) -> Response:
        del error  # its words may quote what was sent
        return problem(422, InvalidInput.kind, "A value cannot be stored (a NUL character, or out of range).")

    @app.exception_handler(UnicodeEncodeError)
    async def unicode(_request: Request, error: UnicodeEncodeError) -> Response:
        del error
        return problem(422, InvalidInput.kind, "A text is not valid Unicode (half of a surrogate pair).")

    @app.exception_handler(500)
    async def unexpected(_request: Request, error: Exception) -> Response:
        del error  # logged by the server with its trace; nothing of it goes out
        return problem(500, "internal", "Something unexpected failed here; it was logged.")
