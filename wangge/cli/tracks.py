"""wangge tracks export: the stored fixes of a device as a file. Goes to the store itself; audited."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from wangge.cli.options import DATA, Config, Data, commands, run, settings_of

app = commands("Tracks of devices.")


@app.callback()
def _group() -> None:
    """Tracks of devices."""


@app.command(
    epilog="Example: wangge tracks export --device h-0001 --from 2026-11-24T08:00:00+08:00 "
    "--to 2026-11-24T16:00:00+08:00 --format gpx --out day.gpx"
)
def export(
    device: Annotated[str, typer.Option("--device", metavar="ID", help="The device.")],
    since: Annotated[str, typer.Option("--from", metavar="T", help="RFC 3339 with offset.")],
    until: Annotated[str, typer.Option("--to", metavar="T", help="RFC 3339 with offset, not included.")],
    format: Annotated[str, typer.Option("--format", help="geojson, gpx, mfjson or csv.")] = "geojson",
    datum: Annotated[str, typer.Option("--datum", help="wgs84, gcj02 or bd09.")] = "wgs84",
    out: Annotated[Path | None, typer.Option("--out", metavar="F", help="Write there instead of stdout.")] = None,
    purpose: Annotated[str, typer.Option("--purpose", metavar="TEXT", help="Why; kept in the audit log.")] = (
        "local administrator"
    ),
    data: Data = DATA,
    config: Config = None,
) -> None:
    """Write every stored fix of a time, in order of its own time."""
    from wangge.cli import track_work

    wanted = track_work.wanted(device, since, until, datum, purpose)
    if format not in track_work.FORMATS:
        raise typer.BadParameter(f"{format!r} is none of {', '.join(track_work.FORMATS)}", param_hint="--format")
    settings = settings_of(data, config)
    with _whole(out) as target:
        run(track_work.export(data, settings, wanted, format, target))


@contextmanager
def _whole(out: Path | None) -> Iterator[TextIO]:
    """stdout, a pipe, or a file that appears when all of it is written; the one before stays till then."""
    if out is None:
        yield sys.stdout
        return
    if out.exists() and not out.is_file():
        with out.open("w", encoding="utf-8", newline="") as target:
            yield target
        return
    out = out.resolve()
    unfinished = out.with_name(f".{out.name}.partial")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as target:
            yield target
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
