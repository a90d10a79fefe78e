"""Day partitions of the fact tables (plain flavour): made on first need and ahead of time, safe for many at once.

A day is counted in UTC since 1970-01-01. A partition is made beside the table and then attached: ATTACH takes SHARE
UPDATE EXCLUSIVE on the parent, so writers and readers go on, where CREATE … PARTITION OF would stop them all.
On TimescaleDB the chunks come by themselves and everything here is a no-op. Blocking; session in autocommit mode.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from core.lane import FAMILIES

Connection = psycopg.Connection[TupleRow]

DAY_MS: Final = 86_400_000
AHEAD_DAYS: Final = 7
_LOCK: Final = 8018


def day_of(at_ms: int) -> int:
    """The day of an instant (epoch milliseconds)."""
    return at_ms // DAY_MS


def partition_name(table: str, day: int) -> str:
    """E.g. `fixes_20261124`."""
    return f"{table}_{_date(day):%Y%m%d}"


def is_plain(connection: Connection) -> bool:
    """Whether this database has partitions of ours at all."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'flavour'").fetchone()
    return row is None or row[0] == "plain"


def existing_days(connection: Connection, table: str) -> set[int]:
    """Days that have a partition."""
    rows = connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass",
        (table,),
    ).fetchall()
    return {_day_of_name(name) for (name,) in rows if name.rpartition("_")[2].isdigit()}


def ensure_days(connection: Connection, table: str, days: Iterable[int]) -> None:
    """Makes the partitions of these days that are not there. Safe to call from several sessions at once.

    Each day is a transaction of its own under an advisory lock of the table, so that a failure leaves the others.
    """
    missing = sorted(set(days) - existing_days(connection, table))
    for day in missing:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_LOCK, table))
            _make(connection, table, day)


def make_ahead(connection: Connection, now_ms: int, days: int = AHEAD_DAYS) -> None:
    """Partitions of every fact table from yesterday to `days` ahead; run at start and daily."""
    if is_plain(connection):
        today = day_of(now_ms)
        for table in FAMILIES.values():
            ensure_days(connection, table, range(today - 1, today + days + 1))


def _make(connection: Connection, table: str, day: int) -> None:
    name = partition_name(table, day)
    row = connection.execute("SELECT to_regclass(%s) IS NULL", (name,)).fetchone()
    if row is None or not row[0]:
        return
    parts = {
        "name": sql.Identifier(name),
        "table": sql.Identifier(table),
        "since": sql.Literal(_date(day)),
        "until": sql.Literal(_date(day + 1)),
    }
    connection.execute(sql.SQL("CREATE TABLE {name} (LIKE {table} INCLUDING ALL EXCLUDING IDENTITY)").format(**parts))
    connection.execute(
        sql.SQL("ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({since}) TO ({until})").format(**parts)
    )


def _date(day: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)


def _day_of_name(name: str) -> int:
    date = datetime.strptime(name.rpartition("_")[2], "%Y%m%d").replace(tzinfo=UTC)
    return (date - datetime(1970, 1, 1, tzinfo=UTC)).days
