"""Value types of the registry: devices, people, places, and assignments that hold for an interval.

Instants are UTC epoch milliseconds; an interval is [since_ms, until_ms); FOREVER and NEVER stand for open ends.
"""

from typing import Literal, NamedTuple

import msgspec

from core.fix import Datum

DeviceKind = Literal["handset", "terminal", "camera"]
PlaceKind = Literal["work", "checkpoint"]

FOREVER = 253_402_300_800_000
"""Open end: the year 10000."""
NEVER = -62_135_596_800_000
"""Open beginning: the year 1."""


class DeviceRecord(msgspec.Struct, frozen=True):
    """One device. `key` is the short surrogate that fact rows carry, `id` the name it authenticates with.

    token_sha256: digest of the only valid token; None when it has none (or is retired): it cannot connect.
    """

    key: int
    id: str
    kind: DeviceKind
    name: str | None = None
    model: str | None = None
    datum: Datum = "wgs84"
    url: str | None = None
    settings: dict[str, object] = {}
    retired_at_ms: int | None = None
    token_sha256: bytes | None = None

    @property
    def retired(self) -> bool:
        """True when it was taken out of service; it stays known for its history."""
        return self.retired_at_ms is not None


class Duty(NamedTuple):
    """Whether a handset's worker is on duty; constant over [since_ms, until_ms).

    planned: False for a handset without a worker or without a shift plan: it counts as on duty for keeping
    positions, but rules that need a planned shift leave it out. An interval on duty is one planned shift (cut where
    another one overlaps or the handset changes hands); time off duty is also cut at each midnight of the site.
    """

    on: bool
    planned: bool
    since_ms: int
    until_ms: int


class Assignment(NamedTuple):
    """Who or where for an interval: the worker of a handset, the grid of a worker."""

    since_ms: int
    until_ms: int
    to: str


class Site(NamedTuple):
    """Where a device stands for an interval. lat/lon: WGS-84 degrees, or None when only the grid is known."""

    since_ms: int
    until_ms: int
    grid: str
    lat: float | None
    lon: float | None


class Place(NamedTuple):
    """A place in a grid. work: standing still here is work; checkpoint: to be reached within radius_m for dwell_s."""

    id: str
    grid: str
    kind: PlaceKind
    name: str
    lat: float
    lon: float
    radius_m: float
    dwell_s: int
    ordinal: int | None


class Worker(NamedTuple):
    """A grid worker."""

    id: str
    name: str
    phone: str | None
    team: str | None
    retired_at_ms: int | None


class Division(NamedTuple):
    """A part of the city down to community or village; a scope is a prefix of the code."""

    code: str
    name: str
    kind: str


class RegistryChange(NamedTuple):
    """What a listener is told after the registry changed.

    devices: keys of devices whose record, assignment, site or shifts changed (also new ones); revoked: keys of those
    whose token no longer works (rotated, revoked, retired): their connections must be closed.
    """

    devices: frozenset[int]
    revoked: frozenset[int]
