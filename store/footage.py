"""Footage: its rows as values, and the one bulk write by which recorders store them (design §4).

Why a fence, although overlapping recordings are legal: a run and its files belong to the one process that made them,
so two recorders of a camera never write the same row. What must not be is two recorders that both go on for good. An
*open* segment therefore needs its camera's lease at the moment of writing; a recorder whose camera is in
`Recorded.lost` closes its segments and stops. Runs, clock points, init sections and *closed* segments are stored
without a lease: they describe finished files of the writer's own, which a journal may bring hours later, and nothing
of that footage may get lost.

Against cleaner and sweep the rows guard themselves: a segment never goes from closed back to open, never shrinks while
its state stays, and never comes back once it is being deleted (`state` 2) or was deleted (`footage_runs.gone`). The
same rows may be sent again, in any number: the newest wins. Times are UTC epoch microseconds.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal

import msgspec
from psycopg import AsyncConnection

Connection = AsyncConnection[Any]

OPEN, CLOSED, DELETING = 0, 1, 2
"""`SegmentRow.state`."""
LONGEST_SEGMENT_S: Final = 900
"""No segment spans more; reads by time rely on it, so recorders must."""
FENCED_IDLE_S: Final = 5.0

ClockKind = Literal["map", "rtcp"]


class RunRow(msgspec.Struct, frozen=True, gc=False):
    """One unbroken recording. id: 26 letters 0-9A-Z that sort by time. stream: 0 main, 1 sub. epoch: of the lease."""

    id: str
    camera: int
    stream: int
    root: str
    epoch: int
    began_us: int
    reason: str


class ClockRow(msgspec.Struct, frozen=True, gc=False):
    """One point of a run's clock map: media time `pts_90k` was `utc_us`."""

    run: str
    kind: ClockKind
    pts_90k: int
    utc_us: int


class InitRow(msgspec.Struct, frozen=True, gc=False):
    """An initialisation section. digest: SHA-256 of `init`. codecs: RFC 6381."""

    digest: bytes
    codecs: str
    width: int
    height: int
    init: bytes


class SegmentRow(msgspec.Struct, frozen=True, gc=False):
    """One file `<run>-<n>.mp4`. Describes its first `size` bytes, which are whole fragments; sample_index:
    streams.mp4.index. day: the UTC day of its folder. end_pts, end_us: end of the last sample, excluded."""

    run: str
    n: int
    camera: int
    stream: int
    root: str
    day: date
    state: int
    init_digest: bytes
    start_pts: int
    end_pts: int
    start_us: int
    end_us: int
    durable_until_us: int
    size: int
    samples: int
    sample_index: bytes


class Changes(msgspec.Struct, frozen=True):
    """What a worker has to say since it last did; its journal keeps these as they are (msgspec.msgpack)."""

    runs: Sequence[RunRow] = ()
    clocks: Sequence[ClockRow] = ()
    inits: Sequence[InitRow] = ()
    segments: Sequence[SegmentRow] = ()


class Recorded(msgspec.Struct, frozen=True):
    """What became of them. lost: cameras whose lease is not ours, so that their open segments were not written.

    refused: (run, n) of segments that are closed, being deleted or deleted already: nothing to do about them.
    """

    lost: frozenset[int] = frozenset()
    refused: tuple[tuple[str, int], ...] = ()


def lease_name(camera: int) -> str:
    """The lease of a camera (its registry key)."""
    return f"camera:{camera}"


async def record(
    connection: Connection, changes: Changes, *, holder: str, epochs: Mapping[int, int], retry: bool = False
) -> Recorded:
    """Writes all changes inside the caller's transaction, first of all that is in it; five statements at most.

    holder, epochs: the leases that we hold, camera → epoch (store.camera_leases). retry: never needed for a live
    recorder; True lets open segments of a journal whose recorder is dead in, which the sweep then closes.
    Runs must come with or before their segments; a segment of an unknown run is refused. Raises what psycopg raises.
    """
    opened = {row.camera for row in changes.segments if row.state == OPEN}
    lost = frozenset[int]() if retry else await lost_leases(connection, opened, holder, epochs)
    if changes.runs:
        await _write_runs(connection, changes.runs)
    if changes.inits:
        await _write_inits(connection, changes.inits)
    if changes.clocks:
        await _write_clocks(connection, changes.clocks)
    rows = [row for row in changes.segments if row.state == CLOSED or row.camera not in lost]
    refused = await _write_segments(connection, rows) if rows else ()
    return Recorded(lost, refused)


async def lost_leases(
    connection: Connection, cameras: Collection[int], holder: str, epochs: Mapping[int, int]
) -> frozenset[int]:
    """The fence: which of the cameras are not ours; the leases of the others are locked until the commit.

    First statement of a transaction; what is written afterwards must leave the lost ones out. Locks in the order of
    names, as store.camera_leases does. Index: leases_pkey.
    """
    if not cameras:
        return frozenset()
    held = sorted(camera for camera in cameras if camera in epochs)
    found = await connection.execute(
        "SELECT l.name, set_config('idle_in_transaction_session_timeout', %(idle)s, true) FROM leases l "
        "JOIN unnest(%(names)s::text[], %(epochs)s::bigint[]) AS mine (name, epoch) USING (name) "
        "WHERE l.holder = %(holder)s AND l.epoch = mine.epoch AND l.expires_at > clock_timestamp() "
        "ORDER BY l.name FOR SHARE OF l",
        {
            "idle": str(round(FENCED_IDLE_S * 1000)),
            "names": [lease_name(camera) for camera in held],
            "epochs": [epochs[camera] for camera in held],
            "holder": holder,
        },
    )
    ours = {int(name.partition(":")[2]) for name, _ in await found.fetchall()}
    return frozenset(cameras) - ours


async def _write_runs(connection: Connection, runs: Sequence[RunRow]) -> None:
    rows = {row.id: row for row in runs}.values()
    await connection.execute(
        "INSERT INTO footage_runs AS r (id, camera, stream, root, epoch, began_at, reason) "
        "SELECT id, camera, stream, root, epoch, to_timestamp(began_us / 1e6), reason FROM unnest(%s::text[], "
        "%s::integer[], %s::smallint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[]) "
        "AS new (id, camera, stream, root, epoch, began_us, reason) ORDER BY id "
        "ON CONFLICT (id) DO UPDATE SET began_at = EXCLUDED.began_at WHERE r.began_at <> EXCLUDED.began_at",
        (
            [row.id for row in rows],
            [row.camera for row in rows],
            [row.stream for row in rows],
            [row.root for row in rows],
            [row.epoch for row in rows],
            [row.began_us for row in rows],
            [row.reason for row in rows],
        ),
    )


async def _write_inits(connection: Connection, inits: Sequence[InitRow]) -> None:
    rows = {row.digest: row for row in inits}.values()
    await connection.execute(
        "INSERT INTO footage_inits (digest, codecs, width, height, init) SELECT * FROM unnest(%s::bytea[], %s::text[], "
        "%s::integer[], %s::integer[], %s::bytea[]) AS new (digest, codecs, width, height, init) ORDER BY digest "
        "ON CONFLICT (digest) DO NOTHING",
        (
            [row.digest for row in rows],
            [row.codecs for row in rows],
            [row.width for row in rows],
            [row.height for row in rows],
            [row.init for row in rows],
        ),
    )


async def _write_clocks(connection: Connection, clocks: Sequence[ClockRow]) -> None:
    rows = {(row.run, row.kind, row.pts_90k): row for row in clocks}.values()
    await connection.execute(
        "INSERT INTO footage_clocks AS c (run, kind, pts_90k, utc_us) SELECT run, new.kind, pts_90k, utc_us "
        "FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[]) AS new (run, kind, pts_90k, utc_us) "
        "JOIN footage_runs r ON r.id = run ORDER BY 1, 2, 3 "
        "ON CONFLICT (run, kind, pts_90k) DO UPDATE SET utc_us = EXCLUDED.utc_us WHERE c.utc_us <> EXCLUDED.utc_us",
        (
            [row.run for row in rows],
            [row.kind for row in rows],
            [row.pts_90k for row in rows],
            [row.utc_us for row in rows],
        ),
    )


_SEGMENTS: Final = """
INSERT INTO footage_segments AS s (run, n, camera, stream, root, day, state, init_digest, start_pts, end_pts, start_at,
    end_at, durable_until, bytes, samples, sample_index)
SELECT run, n, new.camera, new.stream, new.root, day, state, init_digest, start_pts, end_pts,
    to_timestamp(start_us / 1e6), to_timestamp(end_us / 1e6), to_timestamp(durable_us / 1e6), bytes, samples,
    sample_index
FROM unnest(%(run)s::text[], %(n)s::integer[], %(camera)s::integer[], %(stream)s::smallint[], %(root)s::text[],
    %(day)s::date[], %(state)s::smallint[], %(init)b::bytea[], %(start_pts)s::bigint[], %(end_pts)s::bigint[],
    %(start_us)s::bigint[], %(end_us)s::bigint[], %(durable_us)s::bigint[], %(bytes)s::bigint[], %(samples)s::integer[],
    %(index)b::bytea[]) AS new (run, n, camera, stream, root, day, state, init_digest, start_pts, end_pts, start_us,
    end_us, durable_us, bytes, samples, sample_index)
JOIN footage_runs r ON r.id = run WHERE NOT r.gone @> n ORDER BY run, n FOR SHARE OF r
ON CONFLICT (run, n) DO UPDATE SET state = EXCLUDED.state, init_digest = EXCLUDED.init_digest,
    start_pts = EXCLUDED.start_pts, end_pts = EXCLUDED.end_pts, start_at = EXCLUDED.start_at, end_at = EXCLUDED.end_at,
    durable_until = greatest(s.durable_until, EXCLUDED.durable_until), bytes = EXCLUDED.bytes,
    samples = EXCLUDED.samples, sample_index = EXCLUDED.sample_index
WHERE s.state <> 2 AND (EXCLUDED.state > s.state OR EXCLUDED.state = s.state AND EXCLUDED.bytes >= s.bytes)
RETURNING run, n
"""
"""Locking the runs FOR SHARE makes `gone` certain: the last step of deleting updates them first."""


async def _write_segments(connection: Connection, segments: Sequence[SegmentRow]) -> tuple[tuple[str, int], ...]:
    rows = {(row.run, row.n): row for row in segments}
    values = list(rows.values())
    columns: dict[str, list[object]] = {
        "run": [row.run for row in values],
        "n": [row.n for row in values],
        "camera": [row.camera for row in values],
        "stream": [row.stream for row in values],
        "root": [row.root for row in values],
        "day": [row.day for row in values],
        "state": [row.state for row in values],
        "init": [row.init_digest for row in values],
        "start_pts": [row.start_pts for row in values],
        "end_pts": [row.end_pts for row in values],
        "start_us": [row.start_us for row in values],
        "end_us": [row.end_us for row in values],
        "durable_us": [row.durable_until_us for row in values],
        "bytes": [row.size for row in values],
        "samples": [row.samples for row in values],
        "index": [row.sample_index for row in values],
    }
    found = await connection.execute(_SEGMENTS.encode(), columns)
    written = {(run, n) for run, n in await found.fetchall()}
    return tuple(sorted(rows.keys() - written))
