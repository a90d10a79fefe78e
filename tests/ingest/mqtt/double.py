"""Our own test double of the room behind the listener: "commits" in memory, late and in random order."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from core.errors import StoreUnavailable
from ingest.mqtt import Device, Inbound, Observer, Refusal, SessionRecord, complete
from ingest.mqtt.contract import Clock
from ingest.mqtt.ledger import Due, Heard
from ingest.mqtt.receipts import Patience, Run
from store.receipts import Key

TOKEN = b"right"


class RealClock:
    """The system's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class FakeClock:
    """Moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        return self.now


class MemoryIntake:
    """Devices are all user names with the token `right`; `op…` are operators, `slow…` are judged later.

    manual: nothing commits until `commit` is called. capacity: messages not yet committed before lanes are "full".
    """

    def __init__(self, *, seed: int = 1, manual: bool = False, capacity: int = 1_000_000) -> None:
        self.random = random.Random(seed)
        self.manual = manual
        self.capacity = capacity
        self.window = 100
        self.down = False
        self.waiting: list[Inbound] = []
        self.stored: list[Inbound] = []
        self.most_waiting = 0
        self.ready: list[Callable[[], None]] = []
        self.short = False
        self.offers = 0

    def device(self, user: str) -> Device:
        key = sum(byte * 257**place for place, byte in enumerate(user.encode()))
        operator = user.startswith("op")
        return Device(user, -key if operator else key, "operator" if operator else "handset", self.window)

    def authenticate(self, user: str, token: bytes, peer: str) -> Device | Refusal | Awaitable[Device | Refusal]:
        if user.startswith("slow"):
            return self._later(user)
        if user.startswith("revoked"):
            return Refusal(5, "revoked")
        return self.device(user) if token == TOKEN else Refusal(4, "wrong token")

    async def _later(self, user: str) -> Device | Refusal:
        await asyncio.sleep(0.02)
        if self.down:
            raise StoreUnavailable("The store is away.")
        return self.device(user)

    def resolve(self, device_id: str) -> Device | None:
        return None if device_id.startswith("ghost") else self.device(device_id)

    def on_ready(self, callback: Callable[[], None]) -> None:
        self.ready.append(callback)

    def offer(self, messages: list[Inbound]) -> int:
        self.offers += 1
        taken = messages[: max(0, self.capacity - len(self.waiting))]
        self.short |= len(taken) < len(messages)
        self.waiting += taken
        self.most_waiting = max(self.most_waiting, len(self.waiting))
        if not self.manual and taken:
            loop = asyncio.get_running_loop()
            for part in self._lanes(taken):
                loop.call_later(self.random.random() * 0.02, self.commit, part)
        return len(taken)

    def _lanes(self, messages: list[Inbound]) -> list[list[Inbound]]:
        lanes: list[list[Inbound]] = [[], [], []]
        for message in messages:
            lanes[self.random.randrange(3)].append(message)
        return [lane for lane in lanes if lane]

    def commit(self, messages: list[Inbound] | None = None) -> None:
        batch = list(self.waiting if messages is None else messages)
        gone = {id(m) for m in batch}
        self.waiting = [m for m in self.waiting if id(m) not in gone]
        known = set(self.payloads())
        for message in batch:
            message.fresh = 0 if message.payload in known else 1
            if message.payload.startswith(b"bad") or message.device.kind == "unknown":
                message.rejects = ["not JSON"]
        self.stored += batch
        complete(batch)
        if self.short:
            self.short = False
            for callback in self.ready:
                callback()

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.stored]


class MemoryLedger:
    """Runs in a dictionary, receipts as the real ledger makes them; `down` makes recording fail."""

    def __init__(self) -> None:
        self.runs: dict[Key, Run] = {}
        self.down = False
        self.now_ms = 1

    async def record(self, heard: Heard) -> Due:
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailable("The store is away.")
        receipts: list[tuple[Key, bytes]] = []
        self.now_ms += 300
        for key, notes in heard.items():
            run = self.runs.setdefault(key, Run())
            told = run.receipt(key[1])
            again, _ = run.advance(notes, self.now_ms, Patience(60_000, 86_400_000))
            receipt = run.receipt(key[1])
            if receipt is not None and (receipt != told or again is not None):
                receipts.append((key, receipt))
        return Due(receipts, 0)


class MemoryStore:
    """Sessions and retained messages in dictionaries; `down` makes reading fail."""

    def __init__(self) -> None:
        self.sessions: dict[tuple[int, str], SessionRecord] = {}
        self.kept: dict[int, dict[str, bytes]] = {}
        self.down = False
        self.saves = 0

    async def load(self, device_key: int, client_id: str) -> SessionRecord | None:
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailable("The store is away.")
        return self.sessions.get((device_key, client_id))

    def save(self, record: SessionRecord, expires_after_s: float) -> None:
        self.saves += 1
        self.sessions[record.device_key, record.client_id] = record

    def discard(self, device_key: int, client_id: str) -> None:
        self.sessions.pop((device_key, client_id), None)

    async def retained(self, device_key: int) -> Sequence[tuple[str, bytes]]:
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailable("The store is away.")
        return list(self.kept.get(device_key, {}).items())

    def retain(self, device_key: int, topic: str, payload: bytes) -> None:
        topics = self.kept.setdefault(device_key, {})
        topics.pop(topic, None)
        if payload:
            topics[topic] = payload


class Notes(Observer):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []

    def connected(self, device: Device, client_id: str, peer: str) -> None:
        self.events.append(("connected", device.device_id, client_id))

    def disconnected(self, device: Device, client_id: str, reason: str) -> None:
        self.events.append(("disconnected", device.device_id, client_id, reason))

    def subscribed(self, device: Device, topic_filter: str) -> None:
        self.events.append(("subscribed", device.device_id, topic_filter))

    def delivered(self, device: Device, message_id: str) -> None:
        self.events.append(("delivered", device.device_id, message_id))

    def forbidden_topic(self, device: Device, topic: str, peer: str) -> None:
        self.events.append(("forbidden_topic", device.device_id, topic))


def is_clock(clock: Clock) -> Clock:
    """Lets the type checker compare the shapes."""
    return clock
