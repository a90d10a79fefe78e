"""Sends a recorded track (GPX) as a handset: every point becomes a fix, in file order."""

import asyncio
import time
from pathlib import Path

import gpxpy
import gpxpy.gpx
import msgspec

from simulators.errors import SimulatorError
from simulators.manifest import Handset
from simulators.outgoing import MAX_FACTS, Outgoing, merge
from simulators.session import Options, Summary, session


class TrackFix(msgspec.Struct, frozen=True, omit_defaults=True):
    """A fix of a track; fixed_at in epoch milliseconds."""

    fixed_at: int
    lat: float
    lon: float
    altitude_m: float | None = None
    speed_mps: float | None = None


def read_track(path: Path, *, shift_to_ms: int | None = None, spacing_s: float | None = None) -> list[TrackFix]:
    """The points of all tracks and segments of a GPX file as fixes.

    shift_to_ms: the first point's new time, the others keep their distance to it. spacing_s: times are made, this far
    apart in file order; without shift_to_ms they then end now. Raises SimulatorError: unreadable, no points, no times.
    """
    try:
        gpx = gpxpy.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, gpxpy.gpx.GPXException) as error:
        raise SimulatorError(f"cannot read the track {path.name}: {error}") from error
    points = [point for track in gpx.tracks for segment in track.segments for point in segment.points]
    if not points:
        raise SimulatorError(f"{path.name} holds no track points")
    if spacing_s is not None:
        start = round(time.time() * 1000 - (len(points) - 1) * spacing_s * 1000)
        times = [start + round(i * spacing_s * 1000) for i in range(len(points))]
    else:
        known = [point.time for point in points if point.time is not None]
        if len(known) < len(points):
            missing = len(points) - len(known)
            raise SimulatorError(f"{missing} points of {path.name} have no time; give --spacing SECONDS")
        times = [round(at.timestamp() * 1000) for at in known]
    move = 0 if shift_to_ms is None else shift_to_ms - times[0]
    return [
        TrackFix(at + move, point.latitude, point.longitude, point.elevation, getattr(point, "speed", None))
        for at, point in zip(times, points, strict=True)
    ]


def messages_of(device: str, fixes: list[TrackFix], array: int) -> list[Outgoing]:
    """Messages of `array` fixes each (0: one plain object a message), due with their last fix."""
    encode = msgspec.json.encode
    single = [Outgoing(device, "fix", encode(fix), (fix.fixed_at,), fix.fixed_at) for fix in fixes]
    if not array:
        return single
    if not 1 <= array <= MAX_FACTS:
        raise SimulatorError(f"an array holds 1 to {MAX_FACTS} fixes, not {array}")
    return [merge(single[i : i + array]) for i in range(0, len(single), array)]


async def replay(
    path: Path,
    handset: Handset,
    options: Options,
    *,
    shift_to_ms: int | None = None,
    spacing_s: float | None = None,
    realtime: bool = False,
    array: int = 0,
) -> Summary:
    """Send a track as this handset, at once or (realtime) at the track's own pace times options.speedup.

    Raises SimulatorError, possibly in an ExceptionGroup.
    """
    fixes = read_track(path, shift_to_ms=shift_to_ms, spacing_s=spacing_s)
    messages = messages_of(handset.id, fixes, array)
    async with session([(handset.id, handset.token)], options) as one:
        began = time.monotonic()
        for message in messages:
            if realtime:
                due_s = (message.due_ms - fixes[0].fixed_at) / 1000 / options.speedup
                await asyncio.sleep(max(0.0, began + due_s - time.monotonic()))
            one.sender.send(message)
        await one.sender.drained(options.drain_s)
        return one.summary((fixes[-1].fixed_at - fixes[0].fixed_at) / 1000, [])
