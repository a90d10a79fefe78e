"""Load for the benchmark: C connections publish N messages with QoS 1 as fast as a broker acknowledges them.

Made not to be the bottleneck: packets are cut from templates of fixed width, a window is written at once, and PUBACKs
are checked by comparing the bytes read with the bytes that must come (a server acknowledges in order, 4.6.0-2).
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import cast

import msgspec

from simulators import mqtt_wire as wire
from simulators.errors import SimulatorError
from simulators.tally import Latencies

_ACKS = b"".join(b"\x40\x02" + packet_id.to_bytes(2, "big") for packet_id in range(1, 65_536))
_IDS = [packet_id.to_bytes(2, "big") for packet_id in range(1, 65_536)]
_ALL_IDS = len(_IDS)
_FIX = (
    b'{"fixed_at":%013d,"lat":26.42%04d,"lon":111.61%04d,"accuracy_m":6.5,"speed_mps":1.2,'
    b'"heading_deg":181,"battery":0.83}'
)


class LoadReport(msgspec.Struct, frozen=True):
    """What a load was. Seconds are wall clock from the first PUBLISH to the last PUBACK; cpu_s is this process's."""

    messages: int
    fixes: int
    seconds: float
    messages_per_s: float
    fixes_per_s: float
    ack_p50_s: float
    ack_p99_s: float
    ack_max_s: float
    cpu_s: float
    connections: int
    window: int
    last_fixed_at_ms: int


class _Publisher(asyncio.Protocol):
    """One connection of the load: `total` messages of `array` fixes (0: a plain object), `window` unacknowledged."""

    def __init__(
        self,
        credential: tuple[str, str],
        topic: str,
        number: int,
        *,
        total: int,
        window: int,
        array: int,
        base_ms: int,
        latencies: Latencies,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.accepted: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self._credential = credential
        self.total, self._window, self._array = total, window, array
        self._next_ms, self._lon = base_ms, number % 10_000
        self._latencies = latencies
        self._sent = self._acked = 0
        self._batches: deque[tuple[int, float]] = deque()
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        body = b"[" + b",".join([_FIX] * array) + b"]" if array else _FIX
        length = len(body % ((0,) * (3 * max(1, array))))
        name = wire.string(topic).replace(b"%", b"%%")
        self._template = b"\x32" + wire.remaining_length(len(wire.string(topic)) + 2 + length) + name + b"%b" + body

    @property
    def last_ms(self) -> int:
        """Time of the last fix sent."""
        return self._next_ms - 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=4 * 1024 * 1024)
        device, token = self._credential
        self._transport.write(wire.connect(device, device, token, keepalive_s=600, clean=True))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection of {self._credential[0]} was closed after {self._acked} acknowledgements")

    def _fail(self, why: str) -> None:
        for future in (self.accepted, self.done):
            if not future.done():
                future.set_exception(SimulatorError(why))
                future.exception()

    def start(self) -> None:
        """Send the first window."""
        self._pump()

    def _pump(self) -> None:
        count = min(self.total - self._sent, self._window - (self._sent - self._acked))
        if count <= 0:
            return
        template, lon, array, sent, ms = self._template, self._lon, self._array, self._sent, self._next_ms
        if array:
            packets = []
            for k in range(sent, sent + count):
                numbers = [n for j in range(array) for n in (ms + j, (ms + j) % 10_000, lon)]
                packets.append(template % (_IDS[k % _ALL_IDS], *numbers))
                ms += array
        else:
            packets = [
                template % (_IDS[k % _ALL_IDS], t, k % 10_000, lon)
                for k, t in zip(range(sent, sent + count), range(ms, ms + count), strict=True)
            ]
            ms += count
        self._next_ms, self._sent = ms, sent + count
        self._batches.append((self._sent, time.perf_counter()))
        assert self._transport is not None
        self._transport.write(b"".join(packets))

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        if not self.accepted.done():
            if len(data) < 4:
                self._rest = data
            elif data[:4] == b"\x20\x02\x00\x00":
                self._rest = b""
                self.accepted.set_result(None)
            else:
                self._fail(f"{self._credential[0]} was refused, the answer begins with {data[:4].hex()}")
            return
        whole = len(data) & ~3
        self._rest = data[whole:]
        start = self._acked % _ALL_IDS * 4
        expected = _ACKS[start : start + whole]
        if len(expected) < whole:
            expected += _ACKS[: whole - len(expected)]
        if data[:whole] != expected:
            self._fail(f"not acknowledged in the order sent, after {self._acked} messages of {self._credential[0]}")
            return
        self._count(whole // 4)
        if self._acked >= self.total:
            if not self.done.done():
                self.done.set_result(None)
        else:
            self._pump()

    def _count(self, acks: int) -> None:
        now = time.perf_counter()
        self._acked += acks
        while acks:
            up_to, sent_at = self._batches[0]
            part = min(acks, up_to - (self._acked - acks))
            self._latencies.add(now - sent_at, part)
            acks -= part
            if self._acked - acks >= up_to:
                self._batches.popleft()

    def close(self) -> None:
        """Say goodbye."""
        if self._transport is not None:
            self._transport.write(wire.DISCONNECT_PACKET)
            self._transport.close()


def _itself(publisher: _Publisher) -> _Publisher:
    return publisher


async def load(
    host: str,
    port: int,
    credentials: Sequence[tuple[str, str]],
    *,
    messages: int,
    window: int = 20,
    array: int = 0,
    base_ms: int,
    topic: str = "wangge/v1/{device}/fix",
) -> LoadReport:
    """Publish `messages` in all, evenly over one connection a credential, and wait for every acknowledgement.

    array: fixes in a message's array; 0 sends plain objects. Fix times of a device rise by a millisecond from base_ms.
    Raises SimulatorError when a connection is refused or lost, or acknowledgements are out of order.
    """
    if not 10**12 <= base_ms < 10**13 or not credentials:
        raise SimulatorError("load needs devices, and fix times of 13 digits (epoch milliseconds)")
    loop = asyncio.get_running_loop()
    latencies = Latencies()
    publishers: list[_Publisher] = []
    try:
        for i, (device, token) in enumerate(credentials):
            total = messages * (i + 1) // len(credentials) - messages * i // len(credentials)
            name = topic.replace("{device}", device)
            made = _Publisher(
                (device, token), name, i, total=total, window=window, array=array, base_ms=base_ms, latencies=latencies
            )
            publishers.append(made)
            try:
                async with asyncio.timeout(15):
                    await loop.create_connection(partial(_itself, made), host, port)
                    await made.accepted
            except (OSError, TimeoutError) as error:
                raise SimulatorError(f"cannot connect {device} to {host}:{port}: {error or 'no answer'}") from error
        busy = [one for one in publishers if one.total]
        cpu, began = time.process_time(), time.perf_counter()
        for one in busy:
            one.start()
        for one in busy:
            await one.done
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    finally:
        for one in publishers:
            one.close()
    fixes = messages * max(1, array)
    return LoadReport(
        messages,
        fixes,
        seconds,
        messages / seconds,
        fixes / seconds,
        latencies.percentile_s(0.5),
        latencies.percentile_s(0.99),
        latencies.max_s,
        cpu,
        len(publishers),
        window,
        max(one.last_ms for one in publishers),
    )
