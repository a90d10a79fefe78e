"""wangge bench: the benchmarks; each starts its own store on free ports in a temporary folder."""

import importlib
import importlib.util
import sys
from typing import Annotated

import typer

from core.errors import NotFound

NAMES = ("ingest", "record", "analyse", "detect", "patrol", "events")
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(
    epilog="Example: wangge bench ingest --quick --json",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="ingest, record, analyse, detect, patrol or events.")],
) -> None:
    """Run a benchmark; its own options (--quick, --seeds A-B, --protocol P, --json) follow the name."""
    if name not in NAMES:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(NAMES)}", param_hint="NAME")
    if importlib.util.find_spec(f"bench.{name}") is None:
        raise NotFound(f"The benchmark {name} is not part of this version.")
    sys.exit(importlib.import_module(f"bench.{name}").main(context.args))
