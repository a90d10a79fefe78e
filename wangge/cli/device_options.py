"""Options that commands about devices share."""

from typing import Annotated

import typer

Id = Annotated[str, typer.Option("--id", metavar="ID", help="What it authenticates with.")]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="What people call it.")]
Grid = Annotated[str | None, typer.Option("--grid", metavar="G", help="15-digit code of the grid where it stands.")]
Lat = Annotated[float | None, typer.Option("--lat", help="Latitude, WGS-84 degrees.")]
Lon = Annotated[float | None, typer.Option("--lon", help="Longitude, WGS-84 degrees.")]
Model = Annotated[str | None, typer.Option("--model", metavar="MODEL", help="Maker and model.")]
