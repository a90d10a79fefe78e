"""The registry in memory: what exists, whose it is, and who is on duty, at any instant.

A `Registry` never changes for its readers: a change of the store makes a new one (`devices/keeper.py`), which shares
all that stayed the same. Answers about "whose" and "where" are given for an instant, not for now. All look-ups are
pure memory, safe from any thread and from the event loop.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from devices.geometry import Grid, GridIndex
from devices.records import (
    FOREVER,
    NEVER,
    Assignment,
    DeviceKind,
    DeviceRecord,
    Division,
    Duty,
    Place,
    Site,
    Worker,
)
from devices.shifts import WorkerShifts

EARLIEST_MS = 0
LATEST_MS = 221_845_392_000_000
"""The year 9000."""

_Held = TypeVar("_Held", Assignment, Site)
_Key = TypeVar("_Key", int, str)


@dataclass(frozen=True, slots=True)
class Tables:
    """The rows behind a registry, by key. Intervals of one key are sorted by their beginning."""

    devices: Mapping[int, DeviceRecord] = field(default_factory=dict)
    aliases: Mapping[tuple[str, str], int] = field(default_factory=dict)
    handset_workers: Mapping[int, tuple[Assignment, ...]] = field(default_factory=dict)
    sites: Mapping[int, tuple[Site, ...]] = field(default_factory=dict)
    workers: Mapping[str, Worker] = field(default_factory=dict)
    worker_grids: Mapping[str, tuple[Assignment, ...]] = field(default_factory=dict)
    shifts: Mapping[str, WorkerShifts] = field(default_factory=dict)
    grids: Mapping[str, Grid] = field(default_factory=dict)
    places: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    divisions: Mapping[str, Division] = field(default_factory=dict)


class Registry:
    """A snapshot of what exists. Instants are UTC epoch milliseconds."""

    def __init__(
        self, tables: Tables | None = None, before: "Registry | None" = None, changed: frozenset[int] = frozenset()
    ) -> None:
        """before: the registry that this one follows; what still holds of its answers is kept. changed: device keys."""
        self.tables = tables = tables or Tables()
        self._by_id = {record.id: record for record in tables.devices.values()}
        self._duties: dict[int, Duty] = {}
        self._index: GridIndex | None = None
        self._handsets_by_worker: dict[str, list[int]] | None = None
        self._workers_by_grid: dict[str, list[str]] | None = None
        if before is not None:
            self._duties = {key: duty for key, duty in before._duties.copy().items() if key not in changed}
            self._index = before._index if before.tables.grids is tables.grids else None

    # Devices

    def device(self, device_id: str) -> DeviceRecord | None:
        """The device of that id, retired ones too (they have no valid token)."""
        return self._by_id.get(device_id)

    def by_key(self, key: int) -> DeviceRecord | None:
        """The device of that key."""
        return self.tables.devices.get(key)

    def by_alias(self, protocol: str, alias: str) -> DeviceRecord | None:
        """The device that a protocol knows under another name (`jt808`: terminal phone, `owntracks`: user/device)."""
        key = self.tables.aliases.get((protocol, alias))
        return None if key is None else self.tables.devices.get(key)

    def devices(self, kind: DeviceKind | None = None) -> Iterator[DeviceRecord]:
        """All devices in service, of one kind or of every kind."""
        return (d for d in self.tables.devices.values() if not d.retired and (kind is None or d.kind == kind))

    # Whose and where, at an instant

    def worker_of(self, key: int, at_ms: int) -> str | None:
        """Id of the worker who had the handset then."""
        held = _held(self.tables.handset_workers.get(key), at_ms)
        return None if held is None else held.to

    def worker(self, worker_id: str) -> Worker | None:
        """The worker of that id."""
        return self.tables.workers.get(worker_id)

    def handsets_of(self, worker_id: str, at_ms: int) -> list[int]:
        """Keys of the handsets that a worker had then."""
        if self._handsets_by_worker is None:
            self._handsets_by_worker = _inverted(self.tables.handset_workers)
        keys = self._handsets_by_worker.get(worker_id, ())
        return [key for key in keys if self.worker_of(key, at_ms) == worker_id]

    def workers_of(self, grid: str, at_ms: int) -> list[str]:
        """Ids of the workers who had a grid then; the one who held it the longest first."""
        if self._workers_by_grid is None:
            self._workers_by_grid = _inverted(self.tables.worker_grids)
        held = (
            (span.since_ms, worker)
            for worker in self._workers_by_grid.get(grid, ())
            for span in self.tables.worker_grids[worker]
            if span.to == grid and span.since_ms <= at_ms < span.until_ms
        )
        return [worker for _, worker in sorted(held)]

    def grids_of(self, key: int, at_ms: int) -> tuple[str, ...]:
        """Codes of the grids that a device belonged to then, the own one first; a worker may stand in for another."""
        worker = self.worker_of(key, at_ms)
        if worker is not None:
            spans = self.tables.worker_grids.get(worker, ())
            codes = tuple(span.to for span in spans if span.since_ms <= at_ms < span.until_ms)
            if codes:
                return codes
        site = self.site_of(key, at_ms)
        return () if site is None else (site.grid,)

    def grid_of(self, key: int, at_ms: int) -> str | None:
        """Code of the device's own grid then: the worker's (held the longest), else where the device stands."""
        codes = self.grids_of(key, at_ms)
        return codes[0] if codes else None

    def site_of(self, key: int, at_ms: int) -> Site | None:
        """Where a terminal or camera stood then."""
        return _held(self.tables.sites.get(key), at_ms)

    def division_of(self, key: int, at_ms: int) -> str | None:
        """Six-digit code of the district that the device belonged to then."""
        code = self.grid_of(key, at_ms)
        return None if code is None else code[:6]

    # Duty

    def duty_at(self, key: int, at_ms: int) -> Duty:
        """Duty of the handset's worker then, constant over [since_ms, until_ms); the last answer a handset is kept.

        Instants that no device can mean (before 1970, after 9000) are off duty.
        """
        duty = self._duties.get(key)
        if duty is not None and duty.since_ms <= at_ms < duty.until_ms:
            return duty
        duty = self._duties[key] = self._duty(key, at_ms)
        return duty

    def shifts_of(self, worker_id: str, since_ms: int, until_ms: int) -> list[tuple[int, int]]:
        """Planned shifts of a worker that overlap an interval, whole, as (start_ms, end_ms) in order."""
        shifts = self.tables.shifts.get(worker_id)
        return [] if shifts is None else shifts.shifts_between(since_ms, until_ms)

    def _duty(self, key: int, at_ms: int) -> Duty:
        if not EARLIEST_MS <= at_ms < LATEST_MS:
            nonsense = (NEVER, EARLIEST_MS) if at_ms < EARLIEST_MS else (LATEST_MS, FOREVER)
            return Duty(False, False, *nonsense)
        spans = self.tables.handset_workers.get(key, ())
        held = _held(spans, at_ms)
        if held is None:
            since = max((span.until_ms for span in spans if span.until_ms <= at_ms), default=NEVER)
            until = min((span.since_ms for span in spans if span.since_ms > at_ms), default=FOREVER)
            return Duty(True, False, since, until)
        shifts = self.tables.shifts.get(held.to)
        if shifts is None:
            return Duty(True, False, held.since_ms, held.until_ms)
        duty = shifts.duty_at(at_ms)
        if held.since_ms <= duty.since_ms and duty.until_ms <= held.until_ms:
            return duty
        return Duty(duty.on, duty.planned, max(duty.since_ms, held.since_ms), min(duty.until_ms, held.until_ms))

    # Grids and divisions

    def grid(self, code: str) -> Grid | None:
        """The grid of a 15-digit code."""
        return self.tables.grids.get(code)

    def grid_at(self, lat: float, lon: float) -> Grid | None:
        """The grid that contains a WGS-84 position."""
        return self.index.grid_at(lat, lon)

    @property
    def index(self) -> GridIndex:
        """The tree over all grids; made on first use (about 50 ms for 10,590 grids)."""
        if self._index is None:
            self._index = GridIndex(list(self.tables.grids.values()))
        return self._index

    def work_places(self, grid: str) -> tuple[Place, ...]:
        """Places of a grid where standing still is work: work places and checkpoints, by ordinal."""
        return self.tables.places.get(grid, ())

    def checkpoints(self, grid: str) -> tuple[Place, ...]:
        """Places of a grid that a worker has to reach, by ordinal."""
        return tuple(place for place in self.work_places(grid) if place.kind == "checkpoint")

    def division(self, code: str) -> Division | None:
        """The division of a code."""
        return self.tables.divisions.get(code)


def _held(spans: tuple[_Held, ...] | None, at_ms: int) -> _Held | None:
    """The interval that holds at_ms, or None."""
    for span in spans or ():
        if span.since_ms <= at_ms < span.until_ms:
            return span
    return None


def _inverted(ties: Mapping[_Key, tuple[Assignment, ...]]) -> dict[str, list[_Key]]:
    """For each thing tied to, the subjects that ever were."""
    found: dict[str, list[_Key]] = {}
    for subject, spans in ties.items():
        for to in {span.to for span in spans}:
            found.setdefault(to, []).append(subject)
    return found
