"""Tens of simulated devices through paho-mqtt, the library that real handset apps use: a foreign client for our tests.

paho runs a thread a client and itself sends unacknowledged messages again; its callbacks are handed to the event loop.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulators.errors import SimulatorError
from simulators.outgoing import Outgoing
from simulators.sender import Sender
from simulators.tally import OnAcked

MOST_DEVICES = 200


class PahoSender(Sender):
    """A sender for up to MOST_DEVICES (device id, token) pairs. window: paho's in-flight limit a device."""

    def __init__(
        self,
        credentials: Sequence[tuple[str, str]],
        host: str,
        port: int,
        *,
        window: int = 20,
        keepalive_s: int = 60,
        on_acked: OnAcked | None = None,
    ) -> None:
        super().__init__(on_acked)
        if len(credentials) > MOST_DEVICES:
            raise SimulatorError(f"paho carries up to {MOST_DEVICES} devices here; use the sender mqtt for more")
        self._host, self._port, self._keepalive_s = host, port, keepalive_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], tuple[Outgoing, float]] = {}
        self._early: set[tuple[str, int]] = set()
        self._online: set[str] = set()
        self.clients = {device: self._client(device, token, window) for device, token in credentials}

    def _client(self, device: str, token: str, window: int) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=device, clean_session=False, userdata=device)
        client.username_pw_set(device, token)
        client.max_inflight_messages_set(window)
        client.max_queued_messages_set(0)
        client.reconnect_delay_set(1, 30)
        client.on_connect, client.on_disconnect, client.on_publish = (
            self._connected,
            self._disconnected,
            self._published,
        )
        return client

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["PahoSender"]:
        self._loop = asyncio.get_running_loop()
        for client in self.clients.values():
            client.connect_async(self._host, self._port, self._keepalive_s)
            client.loop_start()
        try:
            yield self
        finally:
            for client in self.clients.values():
                client.disconnect()
            for client in self.clients.values():
                await asyncio.to_thread(client.loop_stop)

    async def online(self, timeout_s: float, share: float = 1.0) -> int:
        deadline = time.monotonic() + timeout_s
        while len(self._online) < share * len(self.clients):
            if time.monotonic() > deadline:
                raise SimulatorError(
                    f"{len(self._online)} of {len(self.clients)} devices connected to {self._host}:{self._port} "
                    f"within {timeout_s:.0f} s"
                )
            await asyncio.sleep(0.05)
        return len(self._online)

    def send(self, message: Outgoing) -> None:
        client = self.clients[message.device]
        self.taken()
        self.tally.sent += 1
        info = client.publish(f"wangge/v1/{message.device}/{message.kind}", message.body, qos=1)
        key = (message.device, info.mid)
        with self._lock:
            early = key in self._early
            self._early.discard(key)
            if not early:
                self._pending[key] = (message, time.monotonic())
        if early:
            self.acknowledged(message, 0.0)

    def _connected(self, client: paho.Client, device: str, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._call(self._count, 1, 0, 0)
            return
        with self._lock:
            again = sum(1 for name, _ in self._pending if name == device) if device in self._online else 0
            self._online.add(device)
        self._call(self._count, 0, 1, again)

    def _disconnected(self, client: paho.Client, device: str, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._call(self._count, 1, 0, 0)

    def _published(self, client: paho.Client, device: str, mid: int, reason: Any, properties: Any) -> None:
        with self._lock:
            entry = self._pending.pop((device, mid), None)
            if entry is None:
                self._early.add((device, mid))
                return
        self._call(self.acknowledged, entry[0], time.monotonic() - entry[1])

    def _count(self, errors: int, connects: int, resent: int) -> None:
        self.tally.errors += errors
        self.tally.connects += connects
        self.tally.resent += resent

    def _call(self, function: Any, *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)
