"""Rows of footage for tests: a root, cameras, runs and segments."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import psycopg

from core.ids import ulid
from store.footage import CLOSED, InitRow, RunRow, SegmentRow
from store.pool import Store
from tests.store.days import NOW_MS

NOW_US = NOW_MS * 1000
ROOT = "r1"
INIT = InitRow(sha256(b"init").digest(), "avc1.64001f", 1280, 720, b"init")
DAY_US = 86_400_000_000


async def make_cameras(store: Store, count: int = 1, root: str = ROOT, path: str = "/nowhere") -> list[int]:
    """A media root and cameras c0, c1, …; returns their keys."""
    async with store.transaction() as connection:
        await connection.execute(
            "INSERT INTO media_roots (id, host, path) VALUES (%s, 'here', %s) ON CONFLICT DO NOTHING", (root, path)
        )
        found = await connection.execute(
            "INSERT INTO devices (id, kind) SELECT 'c' || n, 'camera' FROM generate_series(0, %s) AS n RETURNING key",
            (count - 1,),
        )
        return [row[0] for row in await found.fetchall()]


def run_row(camera: int, began_us: int = NOW_US, stream: int = 0, root: str = ROOT, epoch: int = 1) -> RunRow:
    return RunRow(ulid(began_us // 1000, f"{camera}/{stream}"), camera, stream, root, epoch, began_us, "start")


def segment_row(run: RunRow, n: int, state: int = CLOSED, **changes: Any) -> SegmentRow:
    """The n-th minute of a run, 1,000,000 bytes."""
    start_us = run.began_us + n * 60_000_000
    fields: dict[str, Any] = {
        "run": run.id,
        "n": n,
        "camera": run.camera,
        "stream": run.stream,
        "root": run.root,
        "day": datetime.fromtimestamp(start_us / 1e6, UTC).date(),
        "state": state,
        "init_digest": INIT.digest,
        "start_pts": n * 5_400_000,
        "end_pts": (n + 1) * 5_400_000,
        "start_us": start_us,
        "end_us": start_us + 60_000_000,
        "durable_until_us": start_us,
        "size": 1_000_000,
        "samples": 900,
        "sample_index": b"index",
    }
    return SegmentRow(**(fields | changes))


def execute(dsn: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """One statement on a session of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []
