"""A TCP proxy that can be broken: cuts or refuses connections, goes silent without a word, is slow, garbles bytes."""

import asyncio
import contextlib
import random
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
        self._refusing = False
        self._dice = random.Random(1)
        self.port = 0
        self.delay_s = 0.0
        """Every piece passed on waits so long."""
        self.piece_bytes = 65536
        """Bytes are passed on in pieces of at most so many."""
        self.garbled = 0.0
        """Share of the pieces in which one byte is changed."""

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

    def refuse(self) -> None:
        """Resets every connection, and new ones as soon as they are made."""
        self._refusing = True
        self.cut()

    def heal(self) -> None:
        """Bytes pass again, those held back first, as they are and at once."""
        self._refusing = False
        self.delay_s = self.garbled = 0.0
        self._passing.set()

    def cut(self) -> None:
        """Resets every connection; new ones work."""
        for writer in list(self._writers):
            writer.transport.abort()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
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
            while data := await reader.read(self.piece_bytes):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._passing.wait()
                writer.write(self._garble(data) if self._dice.random() < self.garbled else data)
                await writer.drain()
        writer.transport.abort()

    def _garble(self, data: bytes) -> bytes:
        at = self._dice.randrange(len(data))
        return data[:at] + bytes([data[at] ^ self._dice.randrange(1, 256)]) + data[at + 1 :]
