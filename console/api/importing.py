"""Importing files into the registry by the API: the same as `wangge devices import`, dry run first."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from console.caller import needs
from console.context import console_of
from console.rights import Operator
from core.errors import InvalidInput, NotAllowed
from core.fix import Datum
from devices.importing import ImportOptions, import_file
from store.audit import Entry, record

router = APIRouter(prefix="/registry", tags=["places"])

_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}}


class BadRow(BaseModel):
    """What is wrong with a row of the file."""

    row: int
    field: str
    reason: str


class ImportCounts(BaseModel):
    """Rows by what became of them."""

    added: int
    changed: int
    same: int


class ImportReport(BaseModel):
    """What an import did, or (dry run) would do. errors: the first 1,000."""

    kind: str
    rows: int
    applied: bool
    dry_run: bool
    bad_rows: int
    errors: list[BadRow]
    counts: dict[str, ImportCounts]
    ignored_columns: list[str]


@router.post("/import", openapi_extra=_BODY)
async def import_into_registry(
    request: Request,
    caller: Annotated[Operator, needs("registry.write")],
    name: Annotated[str, Query(min_length=1, max_length=200, description="Name of the file; may tell its kind.")],
    kind: Annotated[str | None, Query(max_length=40, description="What is in it, if its name does not tell.")] = None,
    datum: Annotated[Datum, Query(description="Of its positions.")] = "wgs84",
    partial: Annotated[bool, Query(description="Take the good rows even when others are bad.")] = False,
    dry_run: Annotated[bool, Query(description="Do everything, then take it back.")] = False,
) -> ImportReport:
    """Takes a CSV or GeoJSON file as the body: all good rows or nothing. Only for administrators of the whole city."""
    if caller.division:
        raise NotAllowed("A file may hold any place; only an administrator of the whole city imports.")
    content = await request.body()
    if not content:
        raise InvalidInput("The body is empty; send the file.")
    console = console_of(request)
    options = ImportOptions(console.zone, kind, datum, partial, dry_run, console.log_ins)
    async with console.store.transaction(timeout_s=600) as connection:
        report = await import_file(connection, name, content, options, datetime.now(UTC))
        if report.applied and not dry_run:
            details: dict[str, object] = {"kind": report.kind, "rows": report.rows}
            entry = Entry(caller.who, "registry.import", caller.role, name, peer=caller.peer, details=details)
            await record(connection, entry)
    plain = asdict(report) | {"errors": [error._asdict() for error in report.errors]}
    plain["counts"] = {table: counts._asdict() for table, counts in report.counts.items()}
    return ImportReport.model_validate(plain, extra="ignore")
