"""wangge audit verify: rows against the chain, the chain against the signed heads outside the database."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from wangge.cli.options import DATA, Config, Data, Json, commands, settings_of
from wangge.cli.output import as_json, say

app = commands("The audit log.")


@app.callback()
def _group() -> None:
    """The audit log."""


@app.command(epilog="Example: wangge audit verify --data ./data")
def verify(
    heads: Annotated[
        Path | None, typer.Option("--heads", metavar="DIR", help="Folder of the signed heads, if not the usual one.")
    ] = None,
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Find changed and removed rows, also removed newest ones; exit 1 when there are any."""
    from store.audit_verify import verify as check
    from store.session import connect
    from wangge.stores import open_dsn

    settings = settings_of(data, config)
    folder = heads or settings.console.seal_folder or data / "audit"
    with open_dsn(data, settings.store) as dsn, connect(dsn, statement_timeout_s=0, only_checking=True) as connection:
        verdict = check(connection, folder)
    if json:
        as_json(asdict(verdict) | {"intact": not verdict.faults})
    else:
        for fault in verdict.faults:
            say(fault)
        state = "intact" if not verdict.faults else f"{len(verdict.faults)} faults"
        say(f"{verdict.rows} rows, {verdict.heads} signed heads, {verdict.waiting} not sealed yet: {state}.")
    raise typer.Exit(1 if verdict.faults else 0)
