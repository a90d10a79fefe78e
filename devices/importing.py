"""Importing files into the registry: all good rows or nothing, and a report that names every bad row.

Read → parse (pure, in a thread) → check what rows refer to → write. Importing a file twice changes nothing. The caller
holds the transaction; what is refused, and a dry run, are rolled back to the savepoint at which the import began.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import psycopg

from core.errors import InvalidInput
from core.fix import Datum
from devices.applying import APPLY, Applied, Moment, check_references, find_grids
from devices.camera_secrets import put_log_ins
from devices.kinds import Kind, guess_kind, kinds
from devices.merging import Counts
from devices.parsing import RowError, Rows, parse_rows
from devices.reading import Document, read_document
from store.pool import Connection

KEPT_ERRORS = 1000
_GRID_REQUIRED = ("places", "terminals", "cameras")
_GRID_FOUND = ("components", *_GRID_REQUIRED)


class ImportOptions(NamedTuple):
    """How to import.

    zone: of times without an offset; kind: what is in the file, None: told by its name and columns; datum: of its
    positions; partial: take the good rows even when others are bad; dry_run: do everything, then take it back;
    log_ins: file where log-ins of cameras go (devices.camera_secrets), None: none are taken.
    """

    zone: ZoneInfo
    kind: str | None = None
    datum: Datum = "wgs84"
    partial: bool = False
    dry_run: bool = False
    log_ins: Path | None = None


@dataclass(slots=True)
class ImportReport:
    """What an import did, or would do. errors: the first 1,000 by row; counts: by table."""

    kind: str
    rows: int
    applied: bool = False
    dry_run: bool = False
    bad_rows: int = 0
    errors: list[RowError] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)
    ignored_columns: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        """True when no row was bad."""
        return self.bad_rows == 0


async def import_file(
    connection: Connection, name: str, data: bytes, options: ImportOptions, now: datetime
) -> ImportReport:
    """Imports one file. name: file name, may tell the kind; now: when rows without `valid_from` begin to hold.

    Raises InvalidInput when the file as a whole cannot be read; bad rows are in the report.
    """
    known = kinds(options.zone)
    document = await asyncio.to_thread(read_document, data)
    kind = _kind(name, document, options.kind, known)
    rows, errors = await asyncio.to_thread(parse_rows, document, kind, options.datum)
    report = ImportReport(kind.name, len(document.records), dry_run=options.dry_run)
    report.ignored_columns = tuple(column for column in document.columns if column and column not in kind.fields)
    async with connection.transaction() as savepoint:
        stop = bool(errors) and not options.partial
        applied = await _write(
            connection, kind, rows, Moment(now, options.zone, options.log_ins is not None), stop=stop
        )
        errors, report.counts = errors + applied.errors, applied.counts
        report.bad_rows = len({error.row for error in errors})
        report.errors = sorted(errors)[:KEPT_ERRORS]
        report.applied = not options.dry_run and (options.partial or not errors)
        if not report.applied:
            raise psycopg.Rollback(savepoint)
        if options.log_ins is not None and applied.log_ins:  # before the commit: no camera without its log-in
            await asyncio.to_thread(put_log_ins, options.log_ins, applied.log_ins)
    if not options.dry_run and not report.applied:
        report.counts = {}
    return report


async def _write(connection: Connection, kind: Kind, rows: Rows, moment: Moment, *, stop: bool) -> Applied:
    """Checks and writes the good rows; with the errors found on the way. stop: only check."""
    errors = await check_references(connection, rows, dict(kind.references))
    rows = rows.without({error.row for error in errors})
    if kind.name in _GRID_FOUND:
        rows, found = await find_grids(connection, rows, required=kind.name in _GRID_REQUIRED)
        errors += found
    if not rows.values or stop:
        return Applied({}, errors)
    applied = await APPLY[kind.name](connection, rows, moment)
    return applied._replace(errors=errors + applied.errors)


def _kind(name: str, document: Document, wanted: str | None, known: dict[str, Kind]) -> Kind:
    if wanted is None:
        stem = name.rpartition("/")[2].rpartition(".")[0] or name
        return guess_kind(stem, document.columns, document.geojson, known)
    if wanted not in known:
        raise InvalidInput(f"{wanted!r} is no kind of import; name one of {', '.join(known)}.")
    return known[wanted]
