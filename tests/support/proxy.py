"""A TCP proxy that can be broken: it cuts its connections, or goes silent without a word."""

import asyncio
import contextlib
from typing import Self


class BreakableProxy:
    """Listens on a free port of 127.0.0.1 and passes bytes on to (host, port), until it is told to misbehave."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.cut()
        await self._server.wait_closed()

    def go_silent(self) -> None:
        """Connections stay open and new ones are taken, but no byte passes."""
        self._passing.clear()

    def heal(self) -> None:
        """Bytes pass again, those held back first."""
        self._passing.set()

    def cut(self) -> None:
        """Resets every connection; new ones work."""
        for writer in list(self._writers):
            writer.transport.abort()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._passing.wait()
            with contextlib.suppress(ConnectionError):
                back_reader, back_writer = await asyncio.open_connection(*self._target)
                self._writers.add(back_writer)
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._pass_on(reader, back_writer))
                        tasks.create_task(self._pass_on(back_reader, writer))
                finally:
                    self._writers.discard(back_writer)
                    back_writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
