"""wangge restore: a backup into a data folder that has no store yet."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from wangge.cli.options import DATA, Config, Data, Json, one_command, settings_of
from wangge.cli.output import as_json, say

app = one_command()


@app.command(epilog="Example: wangge restore /mnt/backup/2026-11-24 --data ./data-restored")
def restore(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `wangge backup` wrote.")],
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Bring a backup back into a data folder without a store, or into an empty database (store.dsn)."""
    from store.backup import restore as bring_back
    from wangge.stores import configured_dsn

    settings = settings_of(data, config).store
    done = bring_back(source, configured_dsn(settings) or data, user=settings.user)
    if json:
        as_json(asdict(done))
    else:
        say(f"The backup of {done.made_at} is in {data}; start it with `wangge up --data {data}`.")
