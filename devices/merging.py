"""Bulk writing of registry rows: COPY into a staging table, then one statement that adds and changes what differs.

Rows that are the same already are not touched, so that importing a file twice writes nothing and wakes nobody.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from typing import NamedTuple

import msgspec
from psycopg import sql

from store.pool import Connection

_BLOCK_ROWS = 2000
_STRETCH_ROWS = 50_000
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

STAGE = "CREATE TEMPORARY TABLE {staging} ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA"
COPY = "COPY {table} ({columns}) FROM STDIN"
MERGE = """
WITH differing AS (
    SELECT {staged} FROM {staging} AS staged
    WHERE NOT EXISTS (SELECT FROM {table} AS present
                      WHERE {same_key} AND ({present}) IS NOT DISTINCT FROM ({staged}))
), merged AS (
    INSERT INTO {table} ({columns}) SELECT {columns} FROM differing
    ON CONFLICT ({key}) DO UPDATE SET {assignments}
    RETURNING (xmax = 0) AS added
)
SELECT count(*) FILTER (WHERE added), count(*) FILTER (WHERE NOT added) FROM merged
"""


class Counts(NamedTuple):
    """What a bulk write did."""

    added: int = 0
    changed: int = 0
    same: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """The sum of both."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


async def merge(
    connection: Connection, table: str, key: Sequence[str], columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> Counts:
    """Adds rows, or changes the named columns of those whose key exists. Keys must be unique among the rows.

    Needs an open transaction; runs in stretches of 50,000 rows. Columns that are not named keep their values (or get
    the default of the table).
    """
    counts = Counts()
    for begin in range(0, len(rows), _STRETCH_ROWS):
        counts = counts.plus(await _merge(connection, table, key, columns, rows[begin : begin + _STRETCH_ROWS]))
    return counts


async def _merge(
    connection: Connection, table: str, key: Sequence[str], columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> Counts:
    staging = f"staging_{table}"
    changing = [column for column in columns if column not in key] or list(key)
    parts = {
        "table": sql.Identifier(table),
        "staging": sql.Identifier(staging),
        "columns": _names(columns),
        "key": _names(key),
        "staged": _names(columns, "staged"),
        "present": _names(columns, "present"),
        "same_key": sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("present", name), sql.Identifier("staged", name)) for name in key
        ),
        "assignments": sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("excluded", name)) for name in changing
        ),
    }
    await connection.execute(sql.SQL(STAGE).format(**parts))
    await copy_rows(connection, staging, columns, rows)
    await connection.execute(sql.SQL("ANALYZE {}").format(parts["staging"]))
    row = await (await connection.execute(sql.SQL(MERGE).format(**parts))).fetchone()
    await connection.execute(sql.SQL("DROP TABLE {}").format(parts["staging"]))
    assert row is not None
    return Counts(row[0], row[1], len(rows) - row[0] - row[1])


async def copy_rows(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """COPY of rows into a table; the text is made in a thread, a block at a time."""
    statement = sql.SQL(COPY).format(table=sql.Identifier(table), columns=_names(columns))
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for begin in range(0, len(rows), _BLOCK_ROWS):
            await copy.write(await asyncio.to_thread(copy_text, rows[begin : begin + _BLOCK_ROWS]))


def copy_text(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows in PostgreSQL's COPY text format."""
    return "".join(_lines(rows)).encode()


def _lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    for row in rows:
        yield "\t".join(map(_field, row)) + "\n"


def _field(value: object) -> str:
    match value:
        case None:
            return "\\N"
        case str():
            return value.translate(_ESCAPES)
        case bool():
            return "t" if value else "f"
        case int():
            return int.__repr__(value)
        case float():
            return float.__repr__(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return f"\\\\x{value.hex()}"
        case _:
            return msgspec.json.encode(value).decode().translate(_ESCAPES)


def _names(columns: Iterable[str], qualifier: str | None = None) -> sql.Composed:
    names = (sql.Identifier(qualifier, name) if qualifier else sql.Identifier(name) for name in columns)
    return sql.SQL(", ").join(names)
