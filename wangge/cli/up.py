"""wangge up: the whole service on one machine."""

from typing import Annotated

import typer

from wangge.cli.options import DATA, Config, Data, one_command, settings_of

app = one_command()


@app.command(epilog="Example: wangge up --demo --data ./data")
def up(
    demo: Annotated[bool, typer.Option("--demo", help="A small city with simulated devices and a past.")] = False,
    data: Data = DATA,
    config: Config = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, metavar="N", help="HTTP port; 0: the system chooses every port."),
    ] = None,
    seconds: Annotated[float | None, typer.Option("--for", min=0, metavar="SECONDS", help="Stop by itself.")] = None,
) -> None:
    """Run everything: embedded store, collectors, rules, page. SIGTERM drains and ends with 0."""
    settings = settings_of(data, config)
    from wangge.service import ROLES
    from wangge.up import Wish, main

    main(Wish(settings, frozenset(ROLES), data, port, seconds, demo))
