"""wangge status: every part, since when and why; rates, lag, disk."""

import shutil
from typing import Any

import typer

from wangge.cli.options import DATA, Data, Json, Url, one_command
from wangge.cli.output import as_json, say, table

app = one_command()


@app.command(epilog="Example: wangge status --data ./data --json")
def status(data: Data = DATA, url: Url = None, json: Json = False) -> None:
    """Print the state of every part (exit 1 when the service is not ready), rates, addresses, disk."""
    from wangge.running import find

    service = find(data, url)
    found: dict[str, Any] = service.get("/api/health")
    found["disk"] = {}
    if data.is_dir():
        usage = shutil.disk_usage(data)
        found["disk"] = {"folder": str(data), "free_bytes": usage.free, "total_bytes": usage.total}
    found["service"] = {name: service.fields.get(name) for name in ("pid", "http", "store_dir") if service.fields}
    if json:
        as_json(found)
    else:
        _show(found)
    raise typer.Exit(0 if found["ready"] else 1)


def _show(found: dict[str, Any]) -> None:
    table(
        ("part", "state", "since", "why"),
        ((part["part"], part["state"], part["since"], part["why"]) for part in found["parts"]),
    )
    say("")
    table(("figure", "value"), ((name, f"{value:,.2f}") for name, value in sorted(found["rates"].items())))
    say("")
    addresses = list(found["addresses"].items())
    if disk := found["disk"]:
        addresses.append(("disk free", f"{disk['free_bytes'] / (1 << 30):.1f} GiB of {disk['folder']}"))
    table(("where", "address"), addresses)
