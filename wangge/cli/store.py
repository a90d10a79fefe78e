"""wangge store: the embedded PostgreSQL itself."""

from dataclasses import asdict
from typing import Annotated

import typer

from wangge.cli.options import DATA, Config, Data, Json, commands, settings_of
from wangge.cli.output import as_json, say

app = commands("The embedded store.")


@app.callback()
def _group() -> None:
    """The embedded store."""


@app.command(epilog="Example: wangge store upgrade --to 18")
def upgrade(
    to: Annotated[int, typer.Option("--to", metavar="MAJOR", help="16 or 18.")] = 18,
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Bring the store of a stopped service to another PostgreSQL version; the old one stays until it is checked."""
    from store.upgrade import upgrade as bring_up

    done = bring_up(data, to, user=settings_of(data, config).store.user)
    if json:
        as_json(asdict(done))
    else:
        say(f"The store in {data} is PostgreSQL {to} (was {done.from_major}).")
