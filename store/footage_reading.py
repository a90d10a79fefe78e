"""Reads of what belongs to footage beside its segments (store.footage_spans): runs, clock maps, init sections."""

from collections.abc import Collection
from typing import Any

from psycopg import AsyncConnection

from store.footage import ClockRow, InitRow, RunRow

Connection = AsyncConnection[Any]


def epoch_us(column: str) -> str:
    """SQL of a time as epoch microseconds (exact until 2100: float8 has them)."""
    return f"(date_part('epoch', {column}) * 1e6)::bigint"


async def runs(connection: Connection, ids: Collection[str]) -> dict[str, RunRow]:
    """Runs by id; unknown ones are missing."""
    found = await connection.execute(
        f"SELECT id, camera, stream, root, epoch, {epoch_us('began_at')}, reason FROM footage_runs "  # noqa: S608
        "WHERE id = ANY (%s)".encode(),
        (list(ids),),
    )
    return {row[0]: RunRow(*row) for row in await found.fetchall()}


async def clock_points(connection: Connection, ids: Collection[str], kind: str = "map") -> dict[str, list[ClockRow]]:
    """Points of the clock maps of these runs, by media time. Index: footage_clocks_pkey."""
    found = await connection.execute(
        "SELECT run, kind, pts_90k, utc_us FROM footage_clocks WHERE run = ANY (%s) AND kind = %s "
        "ORDER BY run, pts_90k",
        (list(ids), kind),
    )
    points: dict[str, list[ClockRow]] = {run: [] for run in ids}
    for row in await found.fetchall():
        points[row[0]].append(ClockRow(*row))
    return points


async def inits(connection: Connection, digests: Collection[bytes]) -> dict[bytes, InitRow]:
    """Initialisation sections by digest."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(
            "SELECT digest, codecs, width, height, init FROM footage_inits WHERE digest = ANY (%b)", (list(digests),)
        )
        return {row[0]: InitRow(*row) for row in await cursor.fetchall()}
