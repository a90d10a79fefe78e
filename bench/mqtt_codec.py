"""What the MQTT listener costs a message: `python -m bench.mqtt_codec [--messages N] [--connections C] [--json]`.

In memory: bytes of single-fix QoS 1 PUBLISHes through session, decode (msgspec), completion and PUBACK, no socket.
Over TCP: a generator process, C connections with a window of 100 or of 1 (then each read of a socket brings one
message, the dearest case), listener and decode in this process, "commit" = 20 ms later. `cpu_s` is this process's CPU
a message. Reconnect: that many CONNECTs at once, until the last CONNACK.
The figure that counts for users (with the database) is `wangge bench ingest`.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from typing import cast

import msgspec
import uvloop

from ingest.mqtt import Device, Inbound, Listener, MqttSettings, Observer, Refusal, SessionRecord, complete
from ingest.mqtt.codec import Connect, Publish, encode
from ingest.mqtt.connection import Connection

_COMMIT_S = 0.02
_DEVICES = 10_590


class _Fix(msgspec.Struct):
    fixed_at: int
    lat: float
    lon: float
    accuracy_m: float | None = None
    speed_mps: float | None = None
    heading_deg: float | None = None
    battery: float | None = None


_decode = msgspec.json.Decoder(_Fix).decode


class _Clock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class _Intake:
    """Decodes and says "committed" after a batch time."""

    def __init__(self, *, batched: bool) -> None:
        self.waiting: list[Inbound] = []
        self.fixes: list[_Fix] = []
        self._batched = batched

    def authenticate(self, user: str, token: bytes, peer: str) -> Device | Refusal:
        return Device(user, hash(user), "handset", window=1000)

    def resolve(self, device_id: str) -> Device | None:
        return None

    def on_ready(self, callback: Callable[[], None]) -> None:
        return None

    def offer(self, messages: list[Inbound]) -> int:
        if self._batched and not self.waiting:
            asyncio.get_running_loop().call_later(_COMMIT_S, self.commit)
        self.fixes += [_decode(message.payload) for message in messages]
        self.waiting += messages
        return len(messages)

    def commit(self) -> None:
        batch, self.waiting, self.fixes = self.waiting, [], []
        complete(batch)


class _Store:
    async def load(self, device_key: int, client_id: str) -> SessionRecord | None:
        return None

    def save(self, record: SessionRecord, expires_after_s: float) -> None:
        return None

    def discard(self, device_key: int, client_id: str) -> None:
        return None

    async def retained(self, device_key: int) -> Sequence[tuple[str, bytes]]:
        return ()

    def retain(self, device_key: int, topic: str, payload: bytes) -> None:
        return None


class _NoSocket(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)

    def pause_reading(self) -> None:
        return None

    def resume_reading(self) -> None:
        return None


def _publish(device: int, number: int) -> bytes:
    fix = (
        b'{"fixed_at":%d,"lat":26.42%04d,"lon":111.61%04d,"accuracy_m":6.5,"speed_mps":1.2,"heading_deg":181,'
        b'"battery":0.83}' % (1_764_000_000_000 + number * 1000, number % 9999, device % 9999)
    )
    return encode(Publish(f"wangge/v1/d{device}/fix", fix, 1, number % 65535 + 1))


def _hello(device: int) -> bytes:
    return encode(Connect(f"d{device}", user=f"d{device}", password=b"x" * 43))


def _settings() -> MqttSettings:
    return MqttSettings(port=0, messages_per_s=1e9)


async def _in_memory(messages: int, a_read: int) -> float:
    """Seconds a message when `a_read` messages come with each read of the socket."""
    intake = _Intake(batched=False)
    listener = Listener(_settings(), intake, _Store(), Observer(), _Clock())
    connections = [Connection(listener) for _ in range(100)]
    sockets = [_NoSocket() for _ in connections]
    for number, (connection, transport) in enumerate(zip(connections, sockets, strict=True)):
        connection.connection_made(transport)
        connection.data_received(_hello(number))
    reads = [b"".join(_publish(d, i) for i in range(a_read)) for d in range(100)]
    rounds = max(1, messages // (100 * a_read))
    began = time.perf_counter()
    for _ in range(rounds):
        for connection, data in zip(connections, reads, strict=True):
            connection.data_received(data)
        intake.commit()
    took = time.perf_counter() - began
    assert sum(s.written for s in sockets) == 400 + 4 * rounds * 100 * a_read
    return took / (rounds * 100 * a_read)


class _Sender(asyncio.Protocol):
    def __init__(self, device: int, count: int, window: int, done: asyncio.Future[None]) -> None:
        self._window = window
        self._packets = [_publish(device, number) for number in range(count)]
        self._hello = _hello(device)
        self._done = done
        self._sent = self._acked = 0
        self._rest = 0
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        self._acked, self._rest = self._acked + (self._rest + len(data)) // 4, (self._rest + len(data)) % 4
        acked = self._acked - 1
        if acked >= len(self._packets):
            if not self._done.done():
                self._done.set_result(None)
            return
        until = min(acked + self._window, len(self._packets))
        if until > self._sent:
            self._transport.write(b"".join(self._packets[self._sent : until]))
            self._sent = until


def _generate(port: int, connections: int, messages: int, window: int, answers: "multiprocessing.Queue[float]") -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        done = [loop.create_future() for _ in range(connections)]
        senders = [_Sender(n, messages // connections, window, future) for n, future in enumerate(done)]
        began = time.perf_counter()
        for some in range(0, connections, 1000):
            await asyncio.gather(
                *(
                    loop.create_connection(lambda sender=sender: sender, "127.0.0.1", port)  # type: ignore[misc]
                    for sender in senders[some : some + 1000]
                )
            )
        await asyncio.gather(*done)
        return time.perf_counter() - began

    answers.put(uvloop.run(run()))


async def _over_tcp(connections: int, messages: int, window: int) -> tuple[float, float]:
    """(seconds, CPU seconds of this process) until everything is acknowledged; 0 messages: until all are connected."""
    listener = Listener(_settings(), _Intake(batched=True), _Store(), Observer(), _Clock())
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[float] = context.Queue()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listener.run())
        await listener.started.wait()
        child = context.Process(target=_generate, args=(listener.port, connections, messages, window, answers))
        child.start()
        while not listener.stats.connections and child.is_alive():  # noqa: ASYNC110 the hot path tells nobody
            await asyncio.sleep(0.01)
        cpu = time.process_time()
        took = await asyncio.to_thread(answers.get, True, 120)
        cpu = time.process_time() - cpu
        child.join()
        await listener.drain(1.0)
    assert listener.stats.acks == messages
    assert listener.stats.accepted == connections
    return took, cpu


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=300_000)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = {
        "in_memory_1_a_read_s": uvloop.run(_in_memory(options.messages, 1)),
        "in_memory_20_a_read_s": uvloop.run(_in_memory(options.messages, 20)),
    }
    for window, messages in ((100, options.messages), (1, options.messages // 10)):
        took, cpu = uvloop.run(_over_tcp(options.connections, messages, window))
        figures[f"over_tcp_window_{window}_messages_per_s"] = messages / took
        figures[f"over_tcp_window_{window}_cpu_s"] = cpu / messages
    figures[f"reconnect_{_DEVICES}_s"], cpu = uvloop.run(_over_tcp(_DEVICES, 0, 1))
    figures[f"reconnect_{_DEVICES}_cpu_s"] = cpu
    lines = [json.dumps(figures)] if options.json else [f"{name}: {value:.3g}" for name, value in figures.items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
