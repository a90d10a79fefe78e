"""Thousands of simulated devices on MQTT in one process: the pool dials, counts, and keeps the connections alive.

A few diallers bring devices on line, one task looks after keep alive; everything else happens in protocol callbacks.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from simulators.errors import SimulatorError
from simulators.mqtt_device import MqttDevice
from simulators.outgoing import Outgoing
from simulators.sender import Sender, backoff_s
from simulators.tally import OnAcked

DIALLERS = 48


class MqttPool(Sender):
    """A sender for (device id, token) pairs on one server. Use within `async with pool.opened():`.

    window: unacknowledged messages a device may have. presence: retained state and last will. listens: whether devices
    subscribe their reject topic. on_acked is called for each acknowledged message.
    """

    def __init__(
        self,
        credentials: Sequence[tuple[str, str]],
        host: str,
        port: int,
        *,
        window: int = 20,
        keepalive_s: int = 60,
        presence: bool = True,
        listens: bool = True,
        on_acked: OnAcked | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(on_acked)
        self.window, self.keepalive_s, self.presence, self.listens = window, keepalive_s, presence, listens
        self.last_refusal = 0
        self._host, self._port = host, port
        self._rng = random.Random(seed)
        self._closing = False
        self._to_dial: asyncio.Queue[MqttDevice] = asyncio.Queue()
        self.devices = {device: MqttDevice(self, device, token) for device, token in credentials}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["MqttPool"]:
        """Connects all devices in the background; on leaving says goodbye, forgetting what is not acknowledged."""
        for device in self.devices.values():
            self._to_dial.put_nowait(device)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._dial()) for _ in range(min(DIALLERS, len(self.devices)))]
            tasks.append(group.create_task(self._look_after()))
            try:
                yield self
            finally:
                self._closing = True
                for task in tasks:
                    task.cancel()
                for device in self.devices.values():
                    device.leave()

    async def online(self, timeout_s: float, share: float = 1.0) -> int:
        """Wait until that share of the devices is connected; returns how many. Raises SimulatorError in time-out."""
        deadline = time.monotonic() + timeout_s
        while (count := sum(device.ready for device in self.devices.values())) < share * len(self.devices):
            if time.monotonic() > deadline:
                why = f", last refused with CONNACK {self.last_refusal}" if self.last_refusal else ""
                raise SimulatorError(
                    f"{count} of {len(self.devices)} devices connected to {self._host}:{self._port} "
                    f"within {timeout_s:.0f} s{why}"
                )
            await asyncio.sleep(0.05)
        return count

    def send(self, message: Outgoing) -> None:
        """Hand a message to its device. Raises KeyError for a device that is not of this pool."""
        self.taken()
        self.devices[message.device].send(message)

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            device = await self._to_dial.get()

            def made(device: MqttDevice = device) -> MqttDevice:
                return device

            try:
                async with asyncio.timeout(15):
                    await loop.create_connection(made, self._host, self._port)
            except (OSError, TimeoutError):
                self.tally.errors += 1
                self._dial_later(device)

    async def _look_after(self) -> None:
        everyone = list(self.devices.values())
        turn = 0
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            for device in everyone[turn % 5 :: 5]:
                device.check(now)
            turn += 1

    def _dial_later(self, device: MqttDevice) -> None:
        if self._closing:
            return
        delay = backoff_s(device.attempts, self._rng.random())
        device.attempts += 1
        asyncio.get_running_loop().call_later(delay, self._to_dial.put_nowait, device)

    def lost(self, device: MqttDevice) -> None:
        """A device's connection has ended."""
        if not self._closing:
            self.tally.errors += 1
            self._dial_later(device)

    def rejected(self, payload: bytes) -> None:
        """The service told a device what it did not take."""
        try:
            told: Any = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            self.tally.errors += 1
            return
        self.tally.rejected += int(told.get("count", 1)) if isinstance(told, dict) else 1
