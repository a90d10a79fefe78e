"""`seek`: from the request for any instant in 30 days of 64 cameras to the first byte of the clip.

The rows are those that recorders would have written: a segment a minute, a run a day, a clock point an hour. Two of the
cameras, which the requests are for, have sample indexes of their full size (15 uneven pictures a second); the others a
short one, so that the month fits a benchmark's disk. Files are made, sparse, where the requests will look.
"""

import asyncio
import hashlib
import random
import statistics
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from bench.own_store import own_store
from bench.report import Result, at_most
from core.media import TrackFormats, VideoFormat
from store.footage_spans import segments_between
from store.pool import Store
from store.session import connect
from streams.clips import Clips
from streams.clips.places import segment_path
from streams.mp4 import Fragment, SegmentIndex, TrackRun, codecs, init_section

CAMERAS, DAYS, REQUESTS = 64, 30, 200
QUICK_CAMERAS, QUICK_DAYS, QUICK_REQUESTS = 4, 2, 40
FULL_CAMERAS = 2
LIMIT_S = 0.100
CLIP_S, LONG_S, DAY_S = 600, 3600, 86_400
ROOT = "01BENCHSEEK000000000000000"
RATE = 15
FORMATS = TrackFormats(VideoFormat("h264", 1280, 720, bytes.fromhex("0164001fffe1")))

RUNS = """
INSERT INTO footage_runs (id, camera, stream, root, epoch, began_at, reason)
SELECT lpad((camera * 1000 + day)::text, 26, '0'), camera, 0, %(root)s, 1,
       %(start)s::timestamptz + day * interval '1 day', 'start'
FROM generate_series(1, %(cameras)s) AS camera, generate_series(0, %(days)s - 1) AS day
"""
CLOCKS = """
INSERT INTO footage_clocks (run, kind, pts_90k, utc_us)
SELECT id, 'map', hour * 324000000::bigint, (extract(epoch FROM began_at) * 1e6)::bigint + hour * 3600000000::bigint
FROM footage_runs, generate_series(0, 23) AS hour
"""
SEGMENTS = """
INSERT INTO footage_segments (run, n, camera, stream, root, day, state, init_digest, start_pts, end_pts, start_at,
                              end_at, durable_until, bytes, samples, sample_index)
SELECT r.id, n, r.camera, 0, r.root, r.began_at::date, 1, %(init)s, n * 5400000::bigint, (n + 1) * 5400000::bigint,
       r.began_at + n * interval '1 minute', r.began_at + (n + 1) * interval '1 minute',
       r.began_at + (n + 1) * interval '1 minute', %(length)s, %(samples)s, %(index)s
FROM generate_series(0, 1439) AS n CROSS JOIN footage_runs r
WHERE r.camera BETWEEN %(first)s AND %(last)s AND r.began_at::date = %(day)s
"""


def seek(*, quick: bool = False) -> list[Result]:
    """Makes the month and asks for clips at random instants, one after another."""
    cameras, days = (QUICK_CAMERAS, QUICK_DAYS) if quick else (CAMERAS, DAYS)
    with own_store() as store:
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
        with connect(store.dsn, statement_timeout_s=0) as connection:
            rows = _fill(connection, start, cameras, days)
        count = QUICK_REQUESTS if quick else REQUESTS
        return asyncio.run(_ask(store.dsn, store.folder / "footage", start, days, count, rows))


def an_index(*, full: bool) -> SegmentIndex:
    """A minute of 720p: with uneven sizes and times as cameras send them, or all alike."""
    dice = random.Random(1)
    index = SegmentIndex(len(init_section(FORMATS)))
    for second in range(60):
        keys = [number == 0 and second % 2 == 0 for number in range(RATE)]
        sizes = [60_000 if key else dice.randrange(4000, 14_000) if full else 9000 for key in keys]
        jitter = [dice.randrange(-300, 300) if full else 0 for _ in range(RATE)]
        jitter[-1] = -sum(jitter[:-1])
        run = TrackRun(second * 90_000, 340, sizes, [6000 + shift for shift in jitter], [0] * RATE, keys)
        index.add(Fragment(b"", run, None), 340 + sum(sizes))
    return index


def _fill(connection: psycopg.Connection[TupleRow], start: datetime, cameras: int, days: int) -> int:
    init = init_section(FORMATS)
    digest = hashlib.sha256(init).digest()
    connection.execute("INSERT INTO media_roots (id, host, path) VALUES (%s, 'bench', '/')", (ROOT,))
    connection.execute(
        "INSERT INTO devices (id, kind) SELECT 'c-' || number, 'camera' FROM generate_series(1, %s) AS number",
        (cameras,),
    )
    connection.execute(
        "INSERT INTO footage_inits (digest, codecs, width, height, init) VALUES (%s, %s, 1280, 720, %s)",
        (digest, codecs(FORMATS), init),
    )
    span = {"root": ROOT, "start": start, "cameras": cameras, "days": days}
    connection.execute(RUNS, span)
    connection.execute(CLOCKS)
    rows = 0
    for day in range(days):
        for first, last, full in ((1, FULL_CAMERAS, True), (FULL_CAMERAS + 1, cameras, False)):
            index = an_index(full=full)
            figures = {"init": digest, "length": index.bytes, "samples": index.samples, "index": index.encode()}
            written = connection.execute(
                SEGMENTS.encode(),
                {"first": first, "last": last, "day": (start + timedelta(days=day)).date(), **figures},
            )
            rows += written.rowcount
    connection.execute("VACUUM ANALYZE footage_segments")
    return rows


async def _ask(dsn: str, folder: Path, start: datetime, days: int, count: int, rows: int) -> list[Result]:
    dice = random.Random(2)
    start_us = round(start.timestamp() * 1e6)
    found: dict[int, list[float]] = {}
    async with Store(dsn) as store:
        clips = Clips(store, lambda _: folder)
        for length_s, times in ((CLIP_S, count), (LONG_S, count // 4), (DAY_S, max(3, count // 40))):
            for _ in range(times):
                camera = dice.randrange(1, FULL_CAMERAS + 1)
                from_us = start_us + dice.randrange((days * DAY_S - length_s) * 1000) * 1000
                to_us = from_us + length_s * 1_000_000
                await _make_files(store, folder, camera, from_us, to_us)
                found.setdefault(length_s, []).append(await _first_byte(clips, camera, from_us, to_us))
        clips.close()
    short, long, whole_day = (sorted(found[length]) for length in (CLIP_S, LONG_S, DAY_S))
    details = {
        "segments": rows,
        "requests": len(short),
        "median_s": round(statistics.median(short), 4),
        "worst_s": round(short[-1], 4),
        "hour_s": round(statistics.median(long), 4),
        "day_s": round(statistics.median(whole_day), 4),
    }
    return [at_most("seek", short[int(len(short) * 0.95)], LIMIT_S, "s", clip_s=CLIP_S, **details)]


async def _make_files(store: Store, folder: Path, camera: int, from_us: int, to_us: int) -> None:
    """Sparse files of the length that the rows say."""
    async with store.connection() as connection:
        segments = await segments_between(connection, camera, 0, from_us, to_us, with_index=False)
    for segment in segments:
        file = segment_path(folder, segment)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as made:
            made.truncate(segment.length)


async def _first_byte(clips: Clips, camera: int, from_us: int, to_us: int) -> float:
    began = time.perf_counter()
    answer = await clips.respond_clip(camera, "main", from_us, to_us, "GET", {"range": "bytes=0-"})
    body: AsyncIterator[bytes] = answer.body
    async for _ in body:
        return time.perf_counter() - began
    raise AssertionError("a clip has bytes")
