"""wangge destroy: remove the embedded store of a data folder for good."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from wangge.cli.options import Data, one_command
from wangge.cli.output import say

app = one_command()
OURS = ("local-token", "first-administrator.txt")


@app.command(epilog="Example: wangge destroy --data ./data --yes")
def destroy(
    data: Data,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask (needed without a terminal).")] = False,
) -> None:
    """Remove the store, its passwords and the audit heads of a stopped service. Foreign files stay."""
    from store.embedded import destroy as remove

    if not data.is_dir():
        raise typer.BadParameter(f"there is no folder {data}", param_hint="--data")
    if not yes and sys.stdin.isatty() and not typer.confirm(f"Remove everything that Wangge keeps in {data}?"):
        raise typer.Exit(1)
    remove(data)
    for name in OURS:
        (data / name).unlink(missing_ok=True)
    for folder in (data / "audit", data / "attachments"):
        if folder.is_dir():
            shutil.rmtree(folder)
    _remove_if_empty(data)
    say(f"The store of {data} is gone.")


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
