"""Who is simulated: devices with their tokens, grids and shifts, as the service hands them out.

The service answers `POST /api/simulation/manifest` with this document; `python -m simulators` reads it from a file.
Coordinates are WGS-84 degrees; `polygon` and `home` are [lon, lat] as in GeoJSON, instants are UTC.
"""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from simulators.errors import SimulatorError

_Device = TypeVar("_Device")


class WorkPlace(msgspec.Struct, frozen=True):
    """A place where standing still is work (station, market, checkpoint). radius_m: metres around it."""

    lat: float
    lon: float
    radius_m: float = 50.0


class Handset(msgspec.Struct, frozen=True):
    """One handset. shift: [start, end) instants; empty means no plan (then TRK-02, -03, -07 are never injected).

    start: where it was seen last, so that a new run goes on from there; None: anywhere on its round.
    """

    id: str
    token: str
    grid: str = ""
    polygon: list[tuple[float, float]] = []
    work_places: list[WorkPlace] = []
    home: tuple[float, float] | None = None
    start: tuple[float, float] | None = None
    shift: list[tuple[datetime, datetime]] = []
    worker: str | None = None


class Terminal(msgspec.Struct, frozen=True):
    """One POS terminal. profiled: the service already knows its past, so POS-05 can be expected of it."""

    id: str
    token: str
    lat: float
    lon: float
    grid: str = ""
    services: list[str] = []
    profiled: bool = False


class Manifest(msgspec.Struct, frozen=True):
    """All devices of one run."""

    handsets: list[Handset] = []
    terminals: list[Terminal] = []

    def first(self, handsets: int | None = None, terminals: int | None = None) -> "Manifest":
        """The first so many of each (None: all). Raises SimulatorError when there are fewer."""
        return Manifest(_first(self.handsets, handsets, "handsets"), _first(self.terminals, terminals, "terminals"))


def _first(devices: list[_Device], count: int | None, what: str) -> list[_Device]:
    if count is None:
        return devices
    if count > len(devices):
        raise SimulatorError(f"the manifest holds {len(devices)} {what}, {count} were asked for; register more first")
    return devices[:count]


def decode(document: bytes | str) -> Manifest:
    """Manifest from JSON. Raises SimulatorError naming what is wrong."""
    try:
        return msgspec.json.decode(document, type=Manifest)
    except msgspec.DecodeError as error:
        raise SimulatorError(f"this is not a device manifest: {error}") from error


def convert(document: Any) -> Manifest:
    """Manifest from an already parsed JSON document. Raises SimulatorError."""
    try:
        return msgspec.convert(document, type=Manifest)
    except msgspec.ValidationError as error:
        raise SimulatorError(f"this is not a device manifest: {error}") from error


def load(path: Path) -> Manifest:
    """Manifest from a file. Raises SimulatorError when it is missing or malformed."""
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise SimulatorError(f"cannot read the manifest {path}: {error.strerror}") from error


def made_up(
    handsets: int, terminals: int = 0, *, start: datetime, hours: float = 8.0, side_m: float = 500.0
) -> Manifest:
    """A manifest without a service: square grids side by side around Yongzhou, one handset and work place each.

    For trials against a foreign broker; tokens are `x` × 43. start: the shift's beginning (UTC), hours: its length.
    """
    per_row = max(1, math.isqrt(max(handsets, terminals, 1)))
    north, east = side_m / 111_195.0, side_m / 99_600.0
    shift = (start.astimezone(UTC), datetime.fromtimestamp(start.timestamp() + hours * 3600, UTC))
    cells = [(26.2 + (i // per_row) * north, 111.4 + (i % per_row) * east) for i in range(max(handsets, terminals))]
    services = ["electricity", "water", "phone", "tv", "insurance", "pension", "cash"]
    return Manifest(
        handsets=[
            Handset(
                id=f"sim-h{i:05d}",
                token="x" * 43,
                grid=f"431102001{i // 1000 + 1:03d}{i % 1000:03d}",
                polygon=[(lon, lat), (lon + east, lat), (lon + east, lat + north), (lon, lat + north), (lon, lat)],
                work_places=[WorkPlace(lat + north * 0.3, lon + east * 0.3, 50.0)],
                home=(lon + east * 0.8, lat + north * 0.8),
                shift=[shift],
            )
            for i, (lat, lon) in enumerate(cells[:handsets])
        ],
        terminals=[
            Terminal(f"sim-t{i:05d}", "x" * 43, lat + north / 2, lon + east / 2, services=services[: 2 + i % 6])
            for i, (lat, lon) in enumerate(cells[:terminals])
        ],
    )
