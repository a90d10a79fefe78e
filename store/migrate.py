"""Migrations: numbered SQL files with checksums, applied once each, in order, under an advisory lock.

`migrations/NNNN_name.sql` holds for every database; `NNNN_name.plain.sql` or `NNNN_name.timescale.sql` beside it runs
after it in the same transaction, on a database of that flavour. The flavour is chosen when the database is made and
kept in `meta`. A file is never edited after it landed: its checksum is in `schema_migrations`. Blocking: for a thread
or the command line.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import psycopg
import structlog
from psycopg.rows import TupleRow

from core.errors import StoreError, StoreUnavailable
from store.outage import outage_errors, why_away
from store.session import Durability, connect, read_durability

log = structlog.get_logger()

Flavour = Literal["plain", "timescale"]
FLAVOURS: tuple[Flavour, ...] = ("plain", "timescale")
FOLDER = Path(__file__).parent / "migrations"
LOWEST_SERVER = 160000
_LOCK = 801_700_001
_LOCK_WAIT = "60s"
_NAME = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)(?:\.(?P<flavour>plain|timescale))?\.sql")

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    file       text PRIMARY KEY,
    number     integer NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, the flavour it is for (None: both) and its text."""

    file: str
    number: int
    flavour: Flavour | None
    text: str

    @property
    def sha256(self) -> str:
        """Of the text with Unix line ends, so that a checkout elsewhere has the same."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What a database is. flavour None: nothing of ours is in it. pending: files still to apply, in order."""

    flavour: Flavour | None
    applied: tuple[str, ...]
    pending: tuple[str, ...]
    server_version: int
    durability: Durability


def read_folder(folder: Path = FOLDER) -> list[Migration]:
    """Every migration, in the order of application. Raises StoreError for a file whose name does not fit."""
    found: list[Migration] = []
    for path in folder.glob("*.sql"):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise StoreError(f"{path.name} is no migration: name it NNNN_name.sql or NNNN_name.<flavour>.sql.")
        flavour = cast("Flavour | None", match["flavour"])
        found.append(Migration(path.name, int(match["number"]), flavour, path.read_text(encoding="utf-8")))
    found.sort(key=lambda m: (m.number, m.flavour or "", m.file))
    seen: dict[tuple[int, str | None], str] = {}
    for migration in found:
        other = seen.setdefault((migration.number, migration.flavour), migration.file)
        if other != migration.file:
            raise StoreError(f"Two migrations have the number {migration.number:04d}: {other} and {migration.file}.")
    return found


def migrate(
    dsn: str, flavour: Flavour | Literal["auto"] = "auto", *, folder: Path = FOLDER, up_to: int | None = None
) -> SchemaState:
    """Brings the database up to the newest migration (or number `up_to`) and returns its state.

    flavour: for a database that is new; auto is timescale where that extension can be had. An existing database keeps
    its own; asking for the other is a StoreError. Raises StoreError for an edited migration, a newer database, a
    failing migration (rolled back, earlier ones stay) or a server before 16; StoreUnavailable when it is away or
    another process has been migrating for a minute.
    """
    migrations = read_folder(folder)
    with connect(dsn, application_name="wangge-migrate", statement_timeout_s=0) as connection, outage_errors():
        _require_server(connection)
        _lock(connection)
        connection.execute(_LEDGER)
        recorded = _flavour(connection)
        if recorded is not None and flavour not in ("auto", recorded):
            raise StoreError(
                f"This database was made for {recorded} and stays so; for {flavour} make a new one and restore there."
            )
        chosen = recorded or (_choose(connection) if flavour == "auto" else flavour)
        applied = _applied(connection)
        pending = [g for g in _pending(migrations, chosen, applied) if up_to is None or g[0].number <= up_to]
        for group in pending:
            _apply(connection, group, None if recorded else chosen)
            recorded = chosen
        if pending:
            log.info("store.migrated", migrations=len(pending), newest=pending[-1][-1].file)
        return _state(connection, migrations)


def check(dsn: str, *, folder: Path = FOLDER) -> SchemaState:
    """What the database is and what is pending; changes nothing, takes servers that are not durable too.

    Raises StoreError for an edited migration or a newer database, StoreUnavailable when it is away.
    """
    with connect(dsn, application_name="wangge-check", only_checking=True) as connection, outage_errors():
        _require_server(connection)
        return _state(connection, read_folder(folder))


def _require_server(connection: psycopg.Connection[TupleRow]) -> None:
    version = connection.info.server_version
    if version < LOWEST_SERVER:
        raise StoreError(f"PostgreSQL {version // 10000} is too old; use 16 or newer.")


def _lock(connection: psycopg.Connection[TupleRow]) -> None:
    """Session lock until the connection closes; the wait is bounded."""
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (_LOCK_WAIT,))
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    except psycopg.errors.LockNotAvailable as error:
        raise StoreUnavailable("Another process is migrating this database; try again when it is done.") from error


def _exists(connection: psycopg.Connection[TupleRow], table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
    return bool(row and row[0])


def _flavour(connection: psycopg.Connection[TupleRow]) -> Flavour | None:
    if not _exists(connection, "meta"):
        return None
    row = connection.execute("SELECT value FROM meta WHERE name = 'flavour'").fetchone()
    if row is None or row[0] not in FLAVOURS:
        raise StoreError(
            "The table meta names no flavour: this database is not Wangge's, or its making was interfered with."
        )
    return cast("Flavour", row[0])


def _choose(connection: psycopg.Connection[TupleRow]) -> Flavour:
    """timescale where its extension is installed on the server and loaded (shared_preload_libraries), else plain."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb'),"
        " current_setting('timescaledb.disable_load', true) IS NOT NULL"  # a setting that the loader library defines
    ).fetchone()
    available, loaded = row or (False, False)
    if available and not loaded:
        log.warning(
            "store.timescale_not_loaded", remedy="add timescaledb to shared_preload_libraries before the first start"
        )
    return "timescale" if available and loaded else "plain"


def _create_extension(connection: psycopg.Connection[TupleRow]) -> None:
    """TimescaleDB with its community licence; the Apache-only build has neither columnstore nor aggregates."""
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        row = connection.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    except psycopg.Error as error:
        if why_away(error):
            raise
        raise StoreError(
            f"TimescaleDB cannot be used on this server ({error}); install and preload it, create the extension as an"
            " administrator, or make the database with the plain flavour."
        ) from error
    if row is None or row[0] != "timescale":
        raise StoreError(
            "TimescaleDB has its Apache-only licence here; set timescaledb.license to timescale, or use plain."
        )


def _applied(connection: psycopg.Connection[TupleRow]) -> dict[str, str]:
    if not _exists(connection, "schema_migrations"):
        return {}
    return dict(connection.execute("SELECT file, sha256 FROM schema_migrations ORDER BY number, file").fetchall())


def _pending(migrations: Sequence[Migration], flavour: Flavour, applied: dict[str, str]) -> list[list[Migration]]:
    """Migrations still to apply, one list a number. Raises StoreError where the database and the files disagree."""
    known = {m.file: m for m in migrations if m.flavour in (None, flavour)}
    newest = max((m.number for m in known.values()), default=0)
    for file, sha256 in applied.items():
        if file not in known:
            newer = int(file[:4]) > newest
            raise StoreError(
                f"The database has migration {file}, which this version does not know: "
                + ("it was made by a newer version; install that." if newer else "the installation is incomplete.")
            )
        if known[file].sha256 != sha256:
            raise StoreError(
                f"Migration {file} was edited after it was applied; restore it and write a new one instead."
            )
    missing = [m for file, m in known.items() if file not in applied]
    last = max((known[file].number for file in applied), default=0)
    if late := [m.file for m in missing if m.number <= last]:
        raise StoreError(f"Migration {late[0]} came after {last:04d} had been applied; give it the next free number.")
    return [[m for m in missing if m.number == number] for number in sorted({m.number for m in missing})]


def _apply(connection: psycopg.Connection[TupleRow], group: Sequence[Migration], new_flavour: Flavour | None) -> None:
    """Applies the files of one number in one transaction; `new_flavour` is recorded with the first."""
    with connection.transaction():
        if new_flavour == "timescale":
            _create_extension(connection)
        for migration in group:
            try:
                connection.execute(migration.text.encode())
            except psycopg.Error as error:
                if why_away(error):
                    raise
                raise StoreError(f"Migration {migration.file} failed: {error}") from error
            connection.execute(
                "INSERT INTO schema_migrations (file, number, sha256) VALUES (%s, %s, %s)",
                (migration.file, migration.number, migration.sha256),
            )
        if new_flavour is not None:
            connection.execute("INSERT INTO meta (name, value) VALUES ('flavour', %s)", (new_flavour,))
    log.debug("store.migration_applied", files=[m.file for m in group])


def _state(connection: psycopg.Connection[TupleRow], migrations: Sequence[Migration]) -> SchemaState:
    flavour = _flavour(connection)
    applied = _applied(connection)
    pending = _pending(migrations, flavour or _choose(connection), applied)
    return SchemaState(
        flavour=flavour,
        applied=tuple(applied),
        pending=tuple(m.file for group in pending for m in group),
        server_version=connection.info.server_version,
        durability=read_durability(connection),
    )
