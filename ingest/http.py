"""HTTP for devices: the same objects as MQTT, answered after the commit (docs: interfaces, "HTTP for devices").

Errors are problem details (RFC 9457). 503 and 429 carry Retry-After; what was answered with either may be sent again.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from core.clock import Clock
from core.errors import DecodeError, InvalidInput, NotAllowed, StoreUnavailable, WanggeError
from core.lane import FIX, POS
from devices.records import DeviceRecord
from ingest.attachments import receive_attachment
from ingest.http_body import TooLarge, UnknownEncoding, read_body
from ingest.intake import Intake
from ingest.lanes import Parcel
from ingest.settings import HttpSettings
from ingest.sorter import Source

_KINDS: Final = {"/v1/fixes": FIX, "/v1/pos": POS, "/v1/answers": "answer", "/v1/reports": "report"}
_STATUS: Final[dict[type[WanggeError], int]] = {
    DecodeError: 400,
    InvalidInput: 400,
    NotAllowed: 403,
    TooLarge: 413,
    UnknownEncoding: 415,
    StoreUnavailable: 503,
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"anyOf": [{"type": "object"}, {"type": "array"}]}}},
    }
}
_FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}
_encode = msgspec.json.encode


class _Refused(Exception):
    """An answer other than 200 that is no error of ours."""

    def __init__(self, response: Response) -> None:
        self.response = response


def device_routes(intake: Intake, settings: HttpSettings, clock: Clock, attachments: Path | None) -> APIRouter:
    """The router. attachments: folder of received files, made when it is not there; None: they are refused."""
    router = APIRouter(tags=["devices"])

    def add(path: str, summary: str, work: Callable[[Request, DeviceRecord], Awaitable[Response]], about: Any) -> None:
        async def answer(request: Request) -> Response:
            try:
                return await work(request, _authenticated(request, intake))
            except _Refused as refused:
                return refused.response
            except WanggeError as error:
                return _problem_of(error, settings)

        router.add_api_route(path, answer, methods=["POST"], summary=summary, openapi_extra=about, response_model=None)

    async def take(request: Request, device: DeviceRecord) -> Response:
        payload = await read_body(request, settings)
        _limit(intake, device, payload.count(b"{"))
        source = Source(device, _KINDS[request.url.path], request.url.path, clock.now_ms(), "http", _peer(request))
        return _answer(await intake.submit(source, payload))

    async def attach(request: Request, device: DeviceRecord) -> Response:
        _limit(intake, device, 1)
        if attachments is None:
            return problem(
                501, "not_configured", "this service takes no attachments; set ingest.http.attachments_folder"
            )
        stored = await receive_attachment(request, settings, attachments)
        return Response(_encode(stored), media_type="application/json")

    add("/v1/fixes", "One fix or an array of up to 500", take, _BODY)
    add("/v1/pos", "One POS record or an array of up to 500", take, _BODY)
    add("/v1/answers", "A worker's answer to a task", take, _BODY)
    add("/v1/reports", "A worker reports an event", take, _BODY)
    add("/v1/attachments", "A photo, film or sound to name in an answer or report", attach, _FILE)
    return router


def _authenticated(request: Request, intake: Intake) -> DeviceRecord:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    peer = _peer(request)
    if scheme.lower() != "bearer" or not token:
        raise _Refused(_no_token("send Authorization: Bearer and the device's token"))
    device = intake.bearer(token.strip(), peer)
    if device is None:
        raise _Refused(_no_token("the token is not valid; get a new one for the device"))
    claimed = request.query_params.get("device") or request.headers.get("x-device-id")
    if claimed is not None and claimed != device.id:
        intake.claims_other(device, claimed, peer)
        raise NotAllowed("the token is another device's; a device sends only as itself")
    return device


def _limit(intake: Intake, device: DeviceRecord, records: int) -> None:
    wait_s = intake.limit(device, records)
    if wait_s:
        detail = "the device sends more than it may; send it again later"
        raise _Refused(problem(429, "too_many", detail, {"Retry-After": str(int(wait_s) + 1)}))


def _answer(parcel: Parcel) -> Response:
    if parcel.malformed is not None:
        return problem(400, DecodeError.kind, parcel.malformed)
    body: dict[str, object] = {
        "stored": parcel.stored,
        "duplicate": parcel.duplicate,
        "rejected": [{"index": index, "reason": reason} for index, reason in sorted(parcel.rejected)],
    }
    if parcel.notes:
        body["notes"] = [{"index": index, "note": note} for index, note in sorted(parcel.notes)]
    return Response(_encode(body), media_type="application/json")


def _peer(request: Request) -> str | None:
    return f"{request.client.host}:{request.client.port}" if request.client else None


def _no_token(detail: str) -> Response:
    return problem(401, "unauthorized", detail, {"WWW-Authenticate": 'Bearer realm="wangge devices"'})


def _problem_of(error: WanggeError, settings: HttpSettings) -> Response:
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    headers = {}
    if status == 503:
        headers["Retry-After"] = str(settings.retry_after_s)
    elif status == 413:
        headers["Connection"] = "close"
    return problem(status, error.kind, str(error), headers)


def problem(status: int, kind: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """A problem document; `kind` is the stable word that a program branches on."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "kind": kind,
    }
    return JSONResponse(body, status, headers, media_type="application/problem+json")
