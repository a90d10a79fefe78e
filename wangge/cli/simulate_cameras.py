"""wangge simulate cameras: RTSP cameras that anybody can play, with faults on command."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from wangge.cli.options import DATA, Data, Json, Url
from wangge.cli.output import as_json, say


def _option(flag: str, metavar: str | None, text: str, least: float | None = None, most: float | None = None) -> object:
    return typer.Option(flag, metavar=metavar, help=text, min=least, max=most)


def cameras(
    count: Annotated[int, _option("--count", "N", "How many: cam-0001, cam-0002, …", 1, 9999)] = 4,
    file: Annotated[Path | None, _option("--file", "F", "Play this video for ever instead, as one camera.")] = None,
    id: Annotated[str, _option("--id", "ID", "With --file: the camera's name.")] = "cam-0001",
    host: Annotated[str, _option("--host", "ADDRESS", "Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, _option("--port", "N", "RTSP port; 0: the system chooses.", 0, 65535)] = 8554,
    seconds: Annotated[float | None, _option("--for", "S", "For how long; else until stopped.")] = None,
    seed: Annotated[int, _option("--seed", "K", "The same seed shows and does the same things.")] = 0,
    user: Annotated[str | None, _option("--user", "U", "Ask for digest authentication.")] = None,
    password: Annotated[str | None, _option("--password", "P", "With --user.")] = None,
    qop: Annotated[bool, _option("--qop", None, "Digest with qop=auth.")] = False,
    scenes: Annotated[int, _option("--scenes", "N", "Different scenes; more cameras share them.", 1, 999)] = 2,
    light: Annotated[str, _option("--light", "L", "day or night.")] = "day",
    engine: Annotated[str, _option("--engine", "E", "auto, rendered, drawn, or pattern (made at once).")] = "auto",
    size: Annotated[str, _option("--size", "WxH", "Of the main stream.")] = "1280x720",
    fps: Annotated[float, _option("--fps", "X", "Pictures a second; the sub-stream has half.")] = 15.0,
    kbps: Annotated[int, _option("--kbps", "K", "Kilobits a second of the main stream.")] = 2000,
    gop: Annotated[float, _option("--gop-s", "S", "Seconds between key frames.")] = 2.0,
    codec: Annotated[str, _option("--codec", "C", "h264 or h265 (main stream).")] = "h264",
    keep_codec: Annotated[bool, _option("--keep-codec", None, "With --file: serve H.265 as it is.")] = False,
    bframes: Annotated[bool, _option("--bframes", None, "Main stream with B-frames.")] = False,
    vfr: Annotated[bool, _option("--vfr", None, "Variable frame rate.")] = False,
    no_sub: Annotated[bool, _option("--no-sub", None, "No sub-stream.")] = False,
    audio: Annotated[str, _option("--audio", "A", "none, pcma or aac.")] = "none",
    fault: Annotated[
        list[str] | None, _option("--fault", "F", "KIND[=VALUE]@START[+DURATION][:ID]; may be given again.")
    ] = None,
    faults: Annotated[float, _option("--faults", "SHARE", "Share of cameras with a fault by seed.", 0, 1)] = 0.0,
    control: Annotated[int | None, _option("--control", "PORT", "HTTP port for faults on command.", 0, 65535)] = None,
    onvif: Annotated[int | None, _option("--onvif", "PORT", "HTTP port of an ONVIF device.", 0, 65535)] = None,
    truth: Annotated[Path | None, _option("--truth", "FILE", "Write what was done and sent, as NDJSON.")] = None,
    check: Annotated[bool, _option("--check", None, "Compare the events found; exit 1 when they differ.")] = False,
    wait: Annotated[float, _option("--wait", "S", "With --check: how long to wait for the last events.")] = 30.0,
    data: Data = DATA,
    url: Url = None,
    json: Json = False,
) -> None:
    """Serve cameras at rtsp://127.0.0.1:N/ID (main stream) and rtsp://127.0.0.1:N/ID/sub."""
    from simulators.cameras.options import Options
    from wangge.cli import camera_simulation
    from wangge.running import find

    options = Options(
        count=count,
        file=file,
        id=id,
        host=host,
        port=port,
        seconds=seconds,
        seed=seed,
        user=user,
        password=password,
        qop=qop,
        scenes=scenes,
        light=light,
        engine=engine,
        size=size,
        fps=fps,
        kbps=kbps,
        gop_s=gop,
        codec=codec,
        keep_codec=keep_codec,
        bframes=bframes,
        vfr=vfr,
        sub=not no_sub,
        audio=audio,
        fault=tuple(fault or ()),
        faults=faults,
        control=control,
        onvif=onvif,
        truth=truth,
    )
    service = find(data, url) if check else None
    figures, report = camera_simulation.simulate(options, service, wait, sys.stderr if json else sys.stdout)
    if json:
        as_json(figures)
    else:
        say(", ".join(f"{name} {value}" for name, value in figures.items() if name != "check"))
        if report is not None:
            say(report.table())
    raise typer.Exit(0 if report is None or report.passed else 1)
