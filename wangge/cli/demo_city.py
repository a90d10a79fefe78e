"""wangge demo-city: a plausible city in the registry. Goes to the store itself."""

from typing import Annotated

import typer

from wangge.cli.options import DATA, Config, Data, Json, one_command, run, settings_of
from wangge.cli.output import as_json, say, table

app = one_command()


@app.command("demo-city", epilog="Example: wangge demo-city --grids 200")
def demo_city(
    grids: Annotated[int, typer.Option("--grids", min=1, max=25_000, metavar="N", help="How many grids.")],
    seed: Annotated[int, typer.Option("--seed", metavar="K", help="The same seed makes the same city.")] = 1,
    cameras: Annotated[int, typer.Option("--cameras", min=0, metavar="N", help="How many cameras.")] = 0,
    shifts: Annotated[bool, typer.Option(help="Plausible shifts; else everybody is on duty round the clock.")] = True,
    components: Annotated[bool, typer.Option(help="Also lamps, manhole covers, hydrants and the like.")] = True,
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a city of N grids: divisions, workers with handsets and shifts, terminals, places. Twice changes nothing."""
    from wangge.cli import registry_work

    settings = settings_of(data, config)
    counts = run(
        registry_work.demo(
            data, settings, grids, seed, cameras=cameras, round_the_clock=not shifts, components=components
        )
    )
    if json:
        as_json(counts)
    else:
        say(f"A city of {grids} grids.")
        table(("table", "added", "changed", "same"), ((name, *row.values()) for name, row in counts.items()))
