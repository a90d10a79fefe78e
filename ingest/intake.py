"""The intake: authenticates devices, takes payloads of every protocol to the lanes, and tells their senders at commit.

It is what the MQTT listener knows as `Intake` (`ingest.mqtt.contract`) and what HTTP submits to. Everything here runs
in the event loop's thread and blocks nowhere; a full lane makes `offer` short and `submit` wait.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256
from typing import Final

import structlog

from core.clock import Clock
from core.errors import NotAllowed, StoreUnavailable
from devices.credentials import authenticates
from devices.records import DeviceRecord
from devices.registry import Registry
from ingest.batch import Tally
from ingest.deferred import Deferred, is_late, looks_late
from ingest.lanes import Lanes, Parcel, Piece
from ingest.limits import Buckets
from ingest.metrics import IngestMetrics
from ingest.mqtt.contract import Device, Inbound, Refusal, complete
from ingest.security import SecurityLog
from ingest.settings import IngestSettings
from ingest.sorter import Sorter, Source
from ingest.tokens import TokenIndex

log = structlog.get_logger()

Operators = Callable[[str, bytes, str], Awaitable[Device | Refusal]]
_MOST_REASONS: Final = 20
_LARGE: Final = 1024
"""Payloads of more bytes count against a device's limit of records; smaller ones cannot hold enough of them."""


class Intake:
    """One for the process. registry: returns the current registry. operators: checks names that are no device's."""

    def __init__(
        self,
        settings: IngestSettings,
        lanes: Lanes,
        sorter: Sorter,
        registry: Callable[[], Registry],
        security: SecurityLog,
        metrics: IngestMetrics,
        clock: Clock,
        operators: Operators | None = None,
    ) -> None:
        limits = settings.limits
        self._settings = settings
        self._lanes = lanes
        self._sorter = sorter
        self._registry = registry
        self._security = security
        self._metrics = metrics
        self._clock = clock
        self._operators = operators
        self._tokens = TokenIndex()
        self._messages = Buckets(limits.messages_per_s, limits.burst_s)
        self._records = Buckets(limits.records_per_s, limits.burst_s)
        self._deferred = Deferred(settings.lanes.deferred_bytes, self._place_deferred)
        self._late_ms = round(settings.admission.backfill_after_s * 1000)
        self._ready_callbacks: list[Callable[[], None]] = []
        self._hold: Callable[[int, float], None] = _nothing
        self._room = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_store_away: Callable[[], bool] = _never
        """Whether a writer's batches fail just now; set by whoever runs the writers."""
        lanes.on_room(self._room_from_thread)

    # Who is it

    def authenticate(self, user: str, token: bytes, peer: str) -> Device | Refusal | Awaitable[Device | Refusal]:
        """A user name with its token (MQTT): a device's at once, an operator's from the store."""
        record = self._registry().device(user)
        if record is None and self._operators is not None:
            return self._operator(user, token, peer)
        if authenticates(record, token.decode("utf-8", "replace")):
            assert record is not None
            return _device_of(record)
        gone = record is not None and record.token_sha256 is None
        kind = "credential_revoked" if gone else "credential_refused"
        self._security.note(kind, via="mqtt", device=record.key if record else None, claimed=user, peer=peer)
        return Refusal(5, "the credential was revoked") if gone else Refusal(4, "unknown user name or wrong token")

    async def _operator(self, user: str, token: bytes, peer: str) -> Device | Refusal:
        assert self._operators is not None
        answer = await self._operators(user, token, peer)
        if isinstance(answer, Refusal):
            self._security.note("credential_refused", via="mqtt", claimed=user, peer=peer)
        return answer

    def bearer(self, token: str, peer: str | None) -> DeviceRecord | None:
        """The device whose token this is (HTTP); None, noted as a security fact, when it is nobody's."""
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        record = self._tokens.find(self._registry(), digest)
        if record is not None and record.token_sha256 and hmac.compare_digest(record.token_sha256, digest):
            return record
        self._security.note("credential_refused", via="http", peer=peer)
        return None

    def claims_other(self, device: DeviceRecord, claimed: str, peer: str | None) -> None:
        """A device named another one as itself (HTTP)."""
        self._security.note("identity_forbidden", via="http", device=device.key, claimed=claimed, peer=peer)

    def resolve(self, device_id: str) -> Device | None:
        """The registered device of that id (foreign broker); for OwnTracks the whole topic, mapped at enrolment."""
        registry = self._registry()
        record = registry.device(device_id)
        if record is None and device_id.startswith("owntracks/"):
            record = registry.by_alias("owntracks", device_id.removeprefix("owntracks/"))
        return None if record is None else _device_of(record)

    def forbidden_topic(self, device: Device, topic: str, peer: str) -> None:
        """A device published where it may not (the listener's observer tells)."""
        key = device.key if device.kind in ("handset", "terminal") else None
        self._security.note(
            "topic_forbidden", via="mqtt", device=key, claimed=device.device_id, peer=peer, detail=topic[:200]
        )

    # MQTT

    def offer(self, messages: list[Inbound]) -> int:
        """Takes messages over in order; returns how many, less than all when a lane is full."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        going: list[tuple[int, Piece]] = []
        roomy: set[int] = set()
        taken = 0
        for message in messages:
            if not self._take(message, going, roomy):
                self._metrics.held_back.labels(via="mqtt").inc()
                break
            taken += 1
        if going:
            self._lanes.put(going)
        if taken:
            self._metrics.payloads.labels(kind=messages[0].kind, via="mqtt").inc(taken)
        return taken

    def _take(self, message: Inbound, going: list[tuple[int, Piece]], roomy: set[int]) -> bool:
        """Sorts one message into `going`, or defers old fixes whose lane is full; False when it must wait outside."""
        deferred = self._deferred
        if deferred and looks_late(message.payload, message.received_ms - self._late_ms):
            return deferred.add(message)
        pieces = self._sort(message)
        if not pieces:
            assert self._loop is not None
            self._loop.call_soon(complete, (message,))
            return True
        if (deferred and is_late(pieces)) or not self._lanes.have_room(pieces, roomy):
            return is_late(pieces) and deferred.add(message)
        going += pieces
        if len(message.payload) > _LARGE:
            self._regulate(message.device.key, pieces)
        return True

    def _sort(self, message: Inbound) -> list[tuple[int, Piece]]:
        device = message.device
        source = Source(
            None if device.kind == "unknown" else self._registry().by_key(device.key),
            message.kind,
            message.topic,
            message.received_ms,
            "mqtt",
            None,
            message.retain,
        )
        return self._sorter.sort(source, message.payload, Parcel(message, message.asks))

    def _place_deferred(self, message: Inbound) -> int | None:
        """Puts a deferred message into its lanes; how many rows, None when there is no room."""
        pieces = self._sort(message)
        if not pieces:
            complete((message,))
            return 0
        if not self._lanes.place(pieces):
            return None
        self._metrics.deferred_bytes.set(self._deferred.bytes)
        self._regulate(message.device.key, pieces)
        return sum(len(piece.rows) for _, piece in pieces)

    def _regulate(self, key: int, pieces: Iterable[tuple[int, Piece]]) -> None:
        """A device over its records is not read for a while (many records come in large payloads only)."""
        count = sum(len(piece.rows) for _, piece in pieces)
        wait_s = self._records.take(key, count, self._clock.monotonic())
        if wait_s:
            self._metrics.limited.labels(via="mqtt").inc()
            self._hold(key, wait_s)

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Registers what is called, in the loop's thread, when a full lane has room again."""
        self._ready_callbacks.append(callback)

    def on_over_limit(self, hold: Callable[[int, float], None]) -> None:
        """Registers what holds a device back: (device key, seconds)."""
        self._hold = hold

    # HTTP

    async def submit(self, source: Source, payload: bytes) -> Parcel:
        """Takes one payload to the store and returns what became of it, after the commit.

        Raises NotAllowed (nothing of it is stored), StoreUnavailable when the store is away, a lane stays full, or the
        commit takes too long (it may still happen: sending again is harmless).
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        if self.is_store_away():
            raise StoreUnavailable("The store is away; send it again later.")
        http = self._settings.http
        done: asyncio.Future[None] = self._loop.create_future()
        parcel = Parcel(done, asks=True)
        pieces = self._sorter.sort(source, payload, parcel)
        if parcel.forbidden is not None:
            raise NotAllowed(parcel.forbidden)
        if not pieces:
            return parcel
        self._metrics.payloads.labels(kind=source.kind, via="http").inc()
        await self._place(pieces, http.room_wait_s)
        try:
            async with asyncio.timeout(http.commit_wait_s):
                await done
        except TimeoutError:
            raise StoreUnavailable("The store did not commit in time; send it again.") from None
        return parcel

    async def _place(self, pieces: list[tuple[int, Piece]], wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                while not self._lanes.place(pieces):
                    self._metrics.held_back.labels(via="http").inc()
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            raise StoreUnavailable("Too much is waiting to be stored; send it again later.") from None

    def limit(self, device: DeviceRecord, records: int) -> float:
        """Seconds that a device must wait before it may send again (HTTP 429), 0 when it may now."""
        now = self._clock.monotonic()
        wait_s = self._messages.take(device.key, 1, now) or self._records.take(device.key, records, now)
        if wait_s:
            self._metrics.limited.labels(via="http").inc()
        return wait_s

    # After the commit

    def settle(self, pieces: list[Piece], tallies: list[Tally]) -> None:
        """A batch is committed: finished parcels are told, MQTT messages all together."""
        for tally in tallies:
            tally.settle()
        messages: list[Inbound] = []
        for piece in pieces:
            parcel = piece.parcel
            if parcel is None:
                continue
            parcel.pieces_left -= 1
            if parcel.pieces_left:
                continue
            token = parcel.token
            if type(token) is Inbound:
                if parcel.rejected:
                    token.rejects = [f"{index}: {why}" for index, why in sorted(parcel.rejected)[:_MOST_REASONS]]
                token.fresh = parcel.stored
                messages.append(token)
            elif not token.done():
                token.set_result(None)
        if messages:
            complete(messages)

    def _room_from_thread(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._room_again)

    def _room_again(self) -> None:
        self._room.set()
        self._deferred.room_again()
        for callback in self._ready_callbacks:
            callback()


def _device_of(record: DeviceRecord) -> Device:
    return Device(record.id, record.key, "terminal" if record.kind == "terminal" else "handset")


def _nothing(key: int, seconds: float) -> None:
    pass


def _never() -> bool:
    return False
