"""The running service as a command sees it: found through its data folder or a URL, asked over HTTP.

On the same machine the file `local-token` (mode 0600) in the data folder makes the caller the local administrator; over
`--url` the token comes from $WANGGE_TOKEN. Answers that are problem documents become errors of our family.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from core.errors import Conflict, InvalidInput, NotAllowed, NotFound, StoreUnavailable, WanggeError
from store.embedded import running

TOKEN_NAME = "local-token"  # noqa: S105 - a file name
TIMEOUT_S = 60.0
PAGE = 500


class NotRunning(WanggeError):
    """No service answers there."""

    kind = "not_running"


class Refused(WanggeError):
    """The service said no in a way that has no class of its own."""

    kind = "refused"


_BY_STATUS: dict[int, type[WanggeError]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    422: InvalidInput,
    503: StoreUnavailable,
}


class Service:
    """One running service. Blocking; one command, one thread."""

    def __init__(self, url: str, token: str | None, fields: Mapping[str, Any] | None = None) -> None:
        self.url = url.rstrip("/")
        self.fields = dict(fields or {})
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S, trust_env=False)

    def get(self, path: str, **query: object) -> Any:
        """The JSON answer of a GET; parameters that are None are left out."""
        return self.request("GET", path, query=query).json()

    def post(self, path: str, body: object) -> Any:
        """The JSON answer of a POST."""
        return self.request("POST", path, body=body).json()

    def request(self, method: str, path: str, *, query: Mapping[str, object] | None = None, body: object = None) -> Any:
        """One request. Raises NotRunning, or what the problem document says."""
        given: dict[str, Any] = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = self.client.request(method, path, params=given, json=body)
        except httpx.TransportError as error:
            raise NotRunning(f"No service answers at {self.url} ({error}); start it with `wangge up`.") from error
        if answer.is_error:
            raise error_of(answer)
        return answer

    def pages(self, path: str, **query: object) -> Iterator[Any]:
        """All items of a paged list."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, limit=PAGE, **query)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return


def error_of(answer: httpx.Response) -> WanggeError:
    """The error of a problem document, or of any other answer that is not a success."""
    try:
        said = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        said = f"the service answered {answer.status_code} {answer.reason_phrase}"
    return _BY_STATUS.get(answer.status_code, Refused)(said, status=answer.status_code)


def find(data: Path, url: str | None) -> Service:
    """The service at `url`, else the one whose data folder this is. Raises NotRunning."""
    fields = running(data)
    if url is None:
        if fields is None or "http" not in fields:
            raise NotRunning(f"No service runs on the data folder {data}; start it with `wangge up`, or give --url.")
        return Service(str(fields["http"]), os.environ.get("WANGGE_TOKEN") or local_token(data), fields)
    is_local = fields is not None and fields.get("http") == url.rstrip("/")
    token = os.environ.get("WANGGE_TOKEN") or (local_token(data) if is_local else None)
    return Service(url, token, fields if is_local else None)


def local_token(data: Path) -> str | None:
    """The local administrator's token, None where it cannot be read."""
    try:
        return (data / TOKEN_NAME).read_text(encoding="utf-8").strip()
    except OSError:
        return None
