"""wangge simulate cameras: RTSP cameras that anybody can play, with faults on command."""

from pathlib import Path
from typing import Annotated

import typer

from wangge.cli.options import Json
from wangge.cli.output import as_json, say

Text = str | None


def cameras(
    count: Annotated[int, typer.Option("--count", min=1, max=9999, metavar="N", help="How many: cam-0001, …")] = 4,
    file: Annotated[Path | None, typer.Option("--file", metavar="F", help="Play this video for ever instead.")] = None,
    id: Annotated[str, typer.Option("--id", metavar="ID", help="With --file: the camera's name.")] = "cam-0001",
    port: Annotated[int, typer.Option("--port", min=0, metavar="N", help="RTSP port; 0: the system chooses.")] = 8554,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="S", help="For how long; else until stopped.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="K", help="The same seed shows and does the same.")] = 0,
    user: Annotated[Text, typer.Option("--user", metavar="U", help="Ask for digest authentication.")] = None,
    password: Annotated[Text, typer.Option("--password", metavar="P", help="With --user.")] = None,
    json: Json = False,
) -> None:
    """Serve cameras at rtsp://127.0.0.1:N/ID (main stream) and rtsp://127.0.0.1:N/ID/sub."""
    from simulators.cameras.options import Options
    from wangge.cli import camera_simulation

    options = Options(
        count=count, file=file, id=id, port=port, seconds=seconds, seed=seed, user=user, password=password
    )
    figures = camera_simulation.simulate(options)
    if json:
        as_json(figures)
    else:
        say(", ".join(f"{name} {value}" for name, value in figures.items()))
