"""The HTTP server: uvicorn inside our own event loop, on a socket that is already ours, without its signal handlers."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from console.settings import HttpSettings
from core.errors import ConfigurationError
from core.supervise import Part
from wangge.http_protocol import bounded

DRAIN_S = 4


class _Server(uvicorn.Server):
    """uvicorn whose process's signals are ours to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the handlers alone."""
        yield


class HttpServer:
    """Serves one application. `run` is a part of the tree; `stop` begins the end: nothing new, open requests finish."""

    def __init__(self, app: FastAPI, settings: HttpSettings, listener: socket.socket) -> None:
        self._app, self._settings, self._listener = app, settings, listener
        self._server: _Server | None = None

    async def run(self, part: Part) -> None:
        """Serves until stopped or cancelled."""
        settings = self._settings
        config = uvicorn.Config(
            self._app,
            http=bounded(settings.head_limit, settings.keep_alive_s),
            ws="websockets-sansio",
            ws_max_size=64 << 10,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=True,
            timeout_keep_alive=round(settings.keep_alive_s),
            limit_concurrency=settings.connections,
            timeout_graceful_shutdown=DRAIN_S,
            backlog=4096,
            ssl_certfile=_readable(settings.tls_certificate, "http.tls_certificate"),
            ssl_keyfile=_readable(settings.tls_key, "http.tls_key"),
        )
        self._server = _Server(config)
        part.ready()
        await self._server.serve(sockets=[self._listener.dup()])

    def stop(self) -> None:
        """Begins the end; `run` returns when open requests are answered, after DRAIN_S at the latest."""
        if self._server is not None:
            self._server.should_exit = True


def _readable(path: Path | None, key: str) -> str | None:
    if path is None:
        return None
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigurationError(f"{key}: {path} cannot be read: {error.strerror}.") from error
    return str(path)


async def serving(part: Part, app: ASGIApp, listener: socket.socket) -> None:
    """Serves an internal application on a listening socket until cancelled."""
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    part.ready()
    await _Server(config).serve(sockets=[listener.dup()])
