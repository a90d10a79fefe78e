"""wangge backup: a verified copy of the store while the service runs."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from wangge.cli.options import DATA, Config, Data, Json, one_command, settings_of
from wangge.cli.output import as_json, say

app = one_command()


@app.command(epilog="Example: wangge backup /mnt/backup/2026-11-24")
def backup(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty folder.")],
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Write a verified backup of the store into a new folder; writers go on."""
    from store.backup import backup as write
    from wangge.stores import configured_dsn

    done = write(configured_dsn(settings_of(data, config).store) or data, target)
    if json:
        as_json(asdict(done))
    else:
        say(f"{done.size_bytes / (1 << 20):,.1f} MiB in {target}, verified.")
