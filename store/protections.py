"""Protected footage: spans of a camera that the cleaner leaves alone, with whose wish it is and why.

Protected footage may fill MOST_SHARE of a media root's disk; a wish beyond it is refused, since protection must never
be what leaves no room for today. Wishes and the cleaner's choice of what goes take the same advisory lock, so footage
that was there when `protect` returned stays.
"""

from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from core.errors import Conflict, InvalidInput, NotFound
from store.footage import LONGEST_SEGMENT_S
from store.footage_reading import epoch_us

Connection = AsyncConnection[Any]

MOST_SHARE: Final = 0.2
MOST_AHEAD_US: Final = 86_400_000_000
LOCK: Final = 8023

ACTIVE: Final = "p.ended_at IS NULL AND (p.until IS NULL OR p.until > clock_timestamp())"
COVERS: Final = (
    f"EXISTS (SELECT FROM footage_protections p WHERE p.camera = s.camera AND {ACTIVE} "
    "AND p.from_at < s.end_at AND p.to_at > s.start_at)"
)
"""SQL: whether a segment s is protected. Index: footage_protections_camera."""


@dataclass(frozen=True, slots=True)
class Protection:
    """One wish. Times: epoch microseconds; until_us None: until it is taken back; ended_us: when it was."""

    id: int
    camera: int
    from_us: int
    to_us: int
    reason: str
    who: str
    event_id: str | None
    made_us: int
    until_us: int | None
    ended_us: int | None


_COLUMNS: Final = (
    f"id, camera, {epoch_us('from_at')}, {epoch_us('to_at')}, reason, who, event_id, {epoch_us('made_at')}, "
    f"{epoch_us('until')}, {epoch_us('ended_at')}"
)

_PROTECTED_BYTES: Final = f"""
SELECT kept.root, sum(kept.bytes)::bigint FROM (
    SELECT p.camera, unnest(range_agg(tstzrange(p.from_at, p.to_at))) AS span
    FROM footage_protections p WHERE {ACTIVE} GROUP BY p.camera
) AS wish CROSS JOIN (VALUES (0::smallint), (1::smallint)) AS of (stream) CROSS JOIN LATERAL (
    SELECT s.root, sum(s.bytes) AS bytes FROM footage_segments s
    WHERE s.camera = wish.camera AND s.stream = of.stream AND s.start_at < upper(wish.span)
        AND s.start_at > lower(wish.span) - make_interval(secs => {LONGEST_SEGMENT_S})
        AND s.end_at > lower(wish.span) AND s.state <> 2 GROUP BY s.root
) AS kept GROUP BY kept.root
"""  # noqa: S608 - our own constants
"""Index: footage_segments_time, once a span. Overlapping wishes are joined to spans first, so that each segment counts
once (twice where two spans share it)."""


async def protected_bytes(connection: Connection) -> dict[str, int]:
    """Bytes of protected footage, by root; roots without any are missing."""
    found = await connection.execute(_PROTECTED_BYTES.encode())
    return dict(await found.fetchall())


async def protect(
    connection: Connection,
    camera: int,
    from_us: int,
    to_us: int,
    *,
    reason: str,
    who: str,
    event_id: str | None = None,
    until_us: int | None = None,
    most_share: float = MOST_SHARE,
) -> Protection:
    """Protects all footage of a camera in [from, to), both streams, inside the caller's transaction.

    Raises InvalidInput for a span that is empty or reaches more than a day ahead, NotFound for an unknown camera,
    Conflict when it would fill more than `most_share` of a media root's disk.
    """
    if to_us <= from_us:
        raise InvalidInput("The end of what is to be protected is not after its beginning.")
    await _lock(connection)
    try:
        found = await connection.execute(
            "INSERT INTO footage_protections (camera, from_at, to_at, reason, who, event_id, until) SELECT %(camera)s, "
            "to_timestamp(%(from)s / 1e6), to_timestamp(%(to)s / 1e6), %(reason)s, %(who)s, %(event)s, "
            "to_timestamp(%(until)s::bigint / 1e6) "
            "WHERE to_timestamp((%(to)s - %(ahead)s) / 1e6) <= clock_timestamp() RETURNING " + _COLUMNS,
            {
                "camera": camera,
                "from": from_us,
                "to": to_us,
                "reason": reason,
                "who": who,
                "event": event_id,
                "until": until_us,
                "ahead": MOST_AHEAD_US,
            },
        )
    except psycopg.errors.ForeignKeyViolation as error:
        raise NotFound("There is no such camera.") from error
    row = await found.fetchone()
    if row is None:
        raise InvalidInput("Footage can be protected up to a day ahead; protect the rest when it is there.")
    await _check_share(connection, most_share)
    return Protection(*row)


async def _check_share(connection: Connection, most_share: float) -> None:
    """The new row is in already; its transaction is rolled back by the error."""
    kept = await protected_bytes(connection)
    found = await connection.execute("SELECT id, path, bytes_total FROM media_roots WHERE id = ANY (%s)", (list(kept),))
    for root, path, total in await found.fetchall():
        if total and kept[root] > most_share * total:
            raise Conflict(
                f"Protected footage would fill {kept[root] / total:.1%} of the disk of {path}; "
                f"{most_share:.0%} is the most. Export clips and end protections that are not needed any more.",
                root=root,
                protected_bytes=kept[root],
                total_bytes=total,
            )


async def unprotect(connection: Connection, protection: int) -> Protection:
    """Ends a protection; what is past its time goes soon. Raises NotFound, also when it was ended before."""
    found = await connection.execute(
        f"UPDATE footage_protections SET ended_at = clock_timestamp() WHERE id = %s AND ended_at IS NULL "  # noqa: S608
        f"RETURNING {_COLUMNS}".encode(),
        (protection,),
    )
    row = await found.fetchone()
    if row is None:
        raise NotFound("There is no such protection, or it was ended before.")
    return Protection(*row)


async def protections(
    connection: Connection, camera: int | None = None, *, only_active: bool = True, most: int = 1000
) -> list[Protection]:
    """Protections, newest first."""
    where = f"(%(camera)s::integer IS NULL OR p.camera = %(camera)s) AND (NOT %(active)s OR {ACTIVE})"
    found = await connection.execute(
        f"SELECT {_COLUMNS} FROM footage_protections p WHERE {where} ORDER BY id DESC LIMIT %(most)s".encode(),  # noqa: S608
        {"camera": camera, "active": only_active, "most": most},
    )
    return [Protection(*row) for row in await found.fetchall()]


async def _lock(connection: Connection) -> None:
    """One wish at a time, and none while the cleaner chooses; until the commit."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
