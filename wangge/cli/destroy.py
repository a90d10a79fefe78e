"""wangge destroy: remove the embedded store of a data folder for good."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from wangge.cli.options import Data, one_command
from wangge.cli.output import say

app = one_command()
OURS = ("local-token", "first-administrator.txt")
MARKS = ("store.place", "wangge.lock", "local-token")
"""A folder with none of these files never held a service, so nothing in it is ours to remove."""


@app.command(epilog="Example: wangge destroy --data ./data --yes")
def destroy(
    data: Data,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask (needed without a terminal).")] = False,
) -> None:
    """Remove the store, its passwords and the audit heads of a stopped service. Foreign files stay."""
    from core.errors import InvalidInput
    from store.embedded import destroy as remove
    from store.embedded.account import remove_tree

    if not data.is_dir():
        raise typer.BadParameter(f"there is no folder {data}", param_hint="--data")
    if not any((data / mark).is_file() for mark in MARKS):
        raise InvalidInput(f"{data} is no data folder of Wangge; nothing was removed.")
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("it is needed without a terminal", param_hint="--yes")
        if not typer.confirm(f"Remove everything that Wangge keeps in {data}?"):
            raise typer.Exit(1)
    was_served = (data / "local-token").is_file()
    remove(data)
    if was_served:
        remove_tree(data / "attachments")
    if (data / "audit" / "seal.key").is_file():
        remove_tree(data / "audit")
    for name in OURS:
        (data / name).unlink(missing_ok=True)
    _remove_if_empty(data)
    say(f"The store of {data} is gone.")


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
