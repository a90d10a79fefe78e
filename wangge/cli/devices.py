"""wangge devices: register, import, list, make credentials. Goes to the store itself."""

from pathlib import Path
from typing import Annotated, Any

import typer

from wangge.cli import camera_devices
from wangge.cli.device_options import Grid, Id, Lat, Lon, Model, Name
from wangge.cli.options import DATA, Config, Data, Json, commands, run, settings_of
from wangge.cli.output import as_json, say, table, tell

app = commands("Devices: import, add, list, credentials.")
add = commands("Register one device.")
app.add_typer(add, name="add")


@add.command(epilog="Example: wangge devices add handset --id h-0001 --worker w0001")
def handset(
    id: Id,
    worker: Annotated[str | None, typer.Option("--worker", metavar="W", help="Worker who carries it.")] = None,
    name: Name = None,
    model: Model = None,
    datum: Annotated[str, typer.Option("--datum", help="wgs84, gcj02 or bd09: what it sends.")] = "wgs84",
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Register a handset."""
    fields = {"id": id, "kind": "handset", "worker": worker, "name": name, "model": model, "datum": datum}
    _add(data, config, fields, json=json)


@add.command(epilog="Example: wangge devices add terminal --id t-0001 --grid 431102001001001 --lat 26.42 --lon 111.61")
def terminal(
    id: Id,
    grid: Grid = None,
    lat: Lat = None,
    lon: Lon = None,
    name: Name = None,
    model: Model = None,
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Register a POS terminal."""
    fields = {"id": id, "kind": "terminal", "grid": grid, "lat": lat, "lon": lon, "name": name, "model": model}
    _add(data, config, fields, json=json)


@app.command("list", epilog="Example: wangge devices list --kind terminal --json")
def list_devices(
    kind: Annotated[str | None, typer.Option("--kind", help="handset, terminal or camera.")] = None,
    division: Annotated[str, typer.Option("--division", metavar="CODE", help="Beginning of a division code.")] = "",
    retired: Annotated[bool, typer.Option("--retired", help="Also those taken out of service.")] = False,
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print the registered devices, by id."""
    from wangge.cli import registry_work

    rows = run(registry_work.listed(data, settings_of(data, config), kind, division, retired=retired))
    if json:
        as_json(rows)
    elif rows:
        titles = ("id", "kind", "name", "worker", "grid", "has_credential", "heard_at")
        table(titles, ([row[title] for title in titles] for row in rows))
    else:
        say("No devices.")


@app.command(epilog="Example: wangge devices credential h-0001 --json")
def credential(
    device: Annotated[str, typer.Argument(metavar="ID", help="The device.")],
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a device's new token and print it once; the one before stops working at once."""
    from wangge.cli import registry_work

    made = run(registry_work.credential(data, settings_of(data, config), device))
    if json:
        as_json(made)
    else:
        say(made["token"])
        tell(f"The token of {device}; it is shown only here, and the one before no longer works.")


@app.command(epilog="Example: wangge devices retire c-0001")
def retire(
    device: Annotated[str, typer.Argument(metavar="ID", help="The device.")],
    data: Data = DATA,
    config: Config = None,
) -> None:
    """Take a device out of service: no token, no more recording; its facts and footage stay for their days."""
    from wangge.cli import registry_work

    run(registry_work.retired(data, settings_of(data, config), device))
    say(f"{device} is out of service.")


@app.command("import", epilog="Example: wangge devices import grids.geojson --datum gcj02 --dry-run")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or GeoJSON.")],
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="What is in it; told by itself if absent.")
    ] = None,
    datum: Annotated[str, typer.Option("--datum", help="wgs84, gcj02 or bd09: of its positions.")] = "wgs84",
    partial: Annotated[bool, typer.Option("--partial", help="Take the good rows even when others are bad.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything, then take it back.")] = False,
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Import divisions, grids, workers, shifts, places or devices: all good rows or nothing."""
    from wangge.cli import registry_work

    settings = settings_of(data, config)
    report = run(registry_work.imported(data, settings, file, kind=kind, datum=datum, partial=partial, dry_run=dry_run))
    if json:
        as_json(report)
    else:
        for error in report["errors"]:
            tell(f"row {error['row']}: {error['reason']}")
        word = "would be taken" if dry_run else "taken" if report["applied"] else "not taken"
        say(f"{report['rows']} rows of {report['kind']}, {report['bad_rows']} bad; {word}.")
        for name, counts in report["counts"].items():
            say(f"{name}: {counts['added']} added, {counts['changed']} changed, {counts['same']} the same")
    raise typer.Exit(1 if report["bad_rows"] else 0)


camera_devices.add_to(app, add)


def _add(data: Path, config: Path | None, fields: dict[str, Any], *, json: bool) -> None:
    from wangge.cli import registry_work

    run(registry_work.added(data, settings_of(data, config), fields))
    if json:
        as_json({name: value for name, value in fields.items() if value is not None})
    else:
        say(f"{fields['id']} is registered; make its token with `wangge devices credential {fields['id']}`.")
