"""wangge simulate: devices that behave like the real ones, against the running service."""

from pathlib import Path
from typing import Annotated

import typer

from wangge.cli.options import DATA, Data, Json, Url, commands, run
from wangge.cli.output import as_json, say, table
from wangge.cli.simulate_cameras import cameras

app = commands("Simulated devices against the running service.")

Count = Annotated[int, typer.Option("--count", min=1, metavar="N", help="How many devices.")]
Seconds = Annotated[float, typer.Option("--for", min=1, metavar="S", help="For how many simulated seconds.")]
Seed = Annotated[int, typer.Option("--seed", metavar="K", help="The same seed does the same things.")]
Protocol = Annotated[str, typer.Option("--protocol", metavar="P", help="mqtt or http.")]
Interval = Annotated[float, typer.Option("--interval", min=0.1, metavar="S", help="Seconds between a handset's fixes.")]
Speedup = Annotated[float, typer.Option("--speedup", min=0.01, metavar="X", help="Simulated seconds a second.")]
Anomalies = Annotated[
    str, typer.Option("--anomalies", metavar="MIX", help="none, a share of devices, or 0.1:sos,silent.")
]
Truth = Annotated[Path | None, typer.Option("--truth", metavar="FILE", help="Write what was really done, as NDJSON.")]
Check = Annotated[bool, typer.Option("--check", help="Compare the events found with it; exit 1 when they differ.")]
Wait = Annotated[float, typer.Option("--wait", metavar="S", help="With --check: how long to wait for the last events.")]


@app.command(epilog="Example: wangge simulate handsets --count 20 --for 120 --seed 7 --truth truth.ndjson --check")
def handsets(
    count: Count = 10,
    seconds: Seconds = 60.0,
    seed: Seed = 0,
    protocol: Protocol = "mqtt",
    interval: Interval = 10.0,
    speedup: Speedup = 1.0,
    anomalies: Anomalies = "0.1",
    replay: Annotated[
        Path | None, typer.Option("--replay", metavar="F.gpx", help="One handset sends this track instead.")
    ] = None,
    shift_to: Annotated[
        str | None, typer.Option("--shift-to", metavar="T", help="With --replay: new time of the first point.")
    ] = None,
    spacing: Annotated[
        float | None, typer.Option("--spacing", metavar="S", help="With --replay: even spacing of the points.")
    ] = None,
    truth: Truth = None,
    check: Check = False,
    wait: Wait = 20.0,
    data: Data = DATA,
    url: Url = None,
    json: Json = False,
) -> None:
    """Simulate handsets on patrol, with GNSS error, dead zones and injected anomalies."""
    from wangge.cli import simulation

    plan = simulation.Plan("handsets", count, seconds, seed, protocol, interval, speedup, anomalies, truth)
    plan.replay, plan.shift_to, plan.spacing = replay, shift_to, spacing
    _run(plan, data, url, wait if check else None, json=json)


@app.command(epilog="Example: wangge simulate terminals --count 10 --for 120 --seed 7 --protocol http")
def terminals(
    count: Count = 10,
    seconds: Seconds = 60.0,
    seed: Seed = 0,
    protocol: Protocol = "mqtt",
    speedup: Speedup = 1.0,
    anomalies: Anomalies = "0.1",
    truth: Truth = None,
    check: Check = False,
    wait: Wait = 20.0,
    data: Data = DATA,
    url: Url = None,
    json: Json = False,
) -> None:
    """Simulate POS terminals with heartbeats, transactions and injected anomalies."""
    from wangge.cli import simulation

    plan = simulation.Plan("terminals", count, seconds, seed, protocol, 10.0, speedup, anomalies, truth)
    _run(plan, data, url, wait if check else None, json=json)


app.command(epilog="Example: wangge simulate cameras --count 4 --port 8554 --for 600 --fault blur@120+300:cam-0002")(
    cameras
)


def _run(plan: object, data: Path, url: str | None, wait: float | None, *, json: bool) -> None:
    from wangge.cli import simulation
    from wangge.running import find

    assert isinstance(plan, simulation.Plan)
    outcome = run(simulation.simulate(find(data, url), plan, check_after_s=wait))
    if json:
        as_json(outcome.document())
    else:
        table(("figure", "value"), outcome.figures.items())
        if outcome.report is not None:
            say("")
            say(outcome.report.table())
    raise typer.Exit(0 if outcome.succeeded else 1)
