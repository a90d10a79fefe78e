"""A raw MQTT client on asyncio streams: says exactly the bytes that a test wants."""

import asyncio
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from ingest.mqtt import codec
from ingest.mqtt.codec import Acknowledge, Bare, Connack, Connect, Packet, Publish, Suback, Subscribe
from tests.ingest.mqtt.double import TOKEN

WITHIN_S = 15.0


class Raw:
    """One connection. `expect` reads the next packet, `ended` waits for the end of the stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._buffer = b""

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext | None = None) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, limit=1 << 22))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.cut()

    def cut(self) -> None:
        """Closes without DISCONNECT."""
        self.writer.transport.abort()

    def send(self, *packets: Packet | bytes) -> None:
        self.writer.write(b"".join(p if isinstance(p, bytes) else codec.encode(p) for p in packets))

    async def hello(self, user: str | None, client_id: str = "c", **fields: Any) -> Connack:
        fields = {"user": user, "password": TOKEN, **fields}
        self.send(Connect(client_id, **fields))
        answer = await self.expect()
        assert isinstance(answer, Connack)
        return answer

    async def expect(self, within_s: float = WITHIN_S) -> Packet:
        async with asyncio.timeout(within_s):
            while True:
                if self._buffer:
                    start, end = codec.header(self._buffer, 0, 1 << 24)
                    if end <= len(self._buffer):
                        packet = codec.decode(self._buffer, 0, start, end)
                        self._buffer = self._buffer[end:]
                        return packet
                data = await self.reader.read(1 << 16)
                if not data:
                    raise EOFError
                self._buffer += data

    async def ended(self, within_s: float = WITHIN_S) -> bytes:
        """Whatever still comes until the other side closes."""
        async with asyncio.timeout(within_s):
            try:
                return self._buffer + await self.reader.read()
            except ConnectionError:
                return self._buffer

    async def silent(self, for_s: float = 0.05) -> None:
        """Nothing comes for a while."""
        try:
            packet = await self.expect(for_s)
        except TimeoutError:
            return
        raise AssertionError(f"unexpected {packet}")

    async def ping(self) -> None:
        self.send(Bare(codec.PINGREQ))
        assert await self.expect() == Bare(codec.PINGRESP)

    async def subscribe(self, topic_filter: str, qos: int = 1, packet_id: int = 1) -> int:
        self.send(Subscribe(packet_id, ((topic_filter, qos),)))
        answer = await self.expect()
        assert isinstance(answer, Suback)
        assert answer.packet_id == packet_id
        return answer.codes[0]

    async def message(self, *, ack: bool = True) -> Publish:
        packet = await self.expect()
        assert isinstance(packet, Publish)
        if ack and packet.qos:
            self.send(puback(packet.packet_id))
        return packet


def puback(packet_id: int) -> Acknowledge:
    return Acknowledge(codec.PUBACK, packet_id)


def fix(user: str, packet_id: int, payload: bytes = b"{}", qos: int = 1, leaf: str = "fix", **more: bool) -> Publish:
    return Publish(f"wangge/v1/{user}/{leaf}", payload, qos, packet_id if qos else 0, **more)


async def until(condition: Callable[[], object], within_s: float = WITHIN_S) -> None:
    """Polls a condition with a deadline."""

    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
