"""wangge devices … for cameras: adding, log-ins, thresholds, and what ONVIF tells of them.

Passwords come from a file, from stdin or in an address, never as an option of their own.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from core.errors import InvalidInput
from wangge.cli.device_options import Grid, Id, Lat, Lon, Model, Name
from wangge.cli.options import DATA, Config, Data, Json, run, settings_of
from wangge.cli.output import as_json, say, table, tell

User = Annotated[str | None, typer.Option("--user", metavar="U", help="User name at the camera.")]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="File with the password; - for stdin.")
]
Camera = Annotated[str, typer.Argument(metavar="CAMERA", help="The camera's id.")]


def add_to(app: typer.Typer, add: typer.Typer) -> None:
    """Adds the commands to `wangge devices` and to `wangge devices add`."""
    add.command(
        epilog="Example: wangge devices add camera --id c-0001 --grid 431102001001001 --url rtsp://u:p@10.0.0.7/main"
    )(camera)
    app.command(epilog="Example: wangge devices login c-0001 --user viewer --password-file -")(login)
    app.command(epilog="Example: wangge devices thresholds c-0001 --set cam_03.sharpness_ratio=0.25")(thresholds)
    app.command(epilog="Example: wangge devices probe --json")(probe)
    app.command(
        epilog="Example: wangge devices onvif 10.0.0.7 --user viewer --password-file - --id c-0001 "
        "--grid 431102001001001 --add"
    )(onvif)


def camera(
    id: Id,
    url: Annotated[
        str, typer.Option("--url", metavar="RTSP", help="Address; a user and password in it go to the log-in file.")
    ],
    sub_url: Annotated[
        str | None, typer.Option("--sub-url", metavar="RTSP", help="Address of the smaller stream, for analysis.")
    ] = None,
    audio: Annotated[bool, typer.Option("--audio", help="Record its sound too.")] = False,
    grid: Grid = None,
    lat: Lat = None,
    lon: Lon = None,
    name: Name = None,
    model: Model = None,
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Register a camera."""
    fields = {"id": id, "url": url, "sub_url": sub_url, "audio": audio or None, "grid": grid, "lat": lat, "lon": lon}
    add_camera(data, config, {**fields, "name": name, "model": model}, json=json)


def add_camera(data: Path, config: Path | None, fields: dict[str, Any], *, json: bool) -> None:
    """Registers a camera and says what became of it, without its log-in."""
    from devices.camera_secrets import LogIns
    from wangge.cli import registry_work

    settings = settings_of(data, config)
    row = run(registry_work.added(data, settings, {**fields, "kind": "camera"}))
    file = settings.streams.log_ins(data)
    if LogIns(file).of(row.id) is not None:
        tell(f"The log-in of {row.id} is in {file}, for nobody else to read; the registry has the address without it.")
    if json:
        shown = {**fields, "url": row.url, **(row.settings or {}), "kind": "camera"}
        hidden = ("user", "password")
        as_json({name: value for name, value in shown.items() if value is not None and name not in hidden})
    else:
        say(f"{row.id} is registered: {row.url}")


def login(
    camera: Camera,
    user: User = None,
    password_file: PasswordFile = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the log-in out.")] = False,
    data: Data = DATA,
    config: Config = None,
) -> None:
    """Keep a camera's log-in (`default`: for all that have none of their own); workers take it up by themselves."""
    from devices.camera_secrets import LogIn
    from wangge.cli import camera_work

    if remove == (user is not None):
        raise InvalidInput("--user: give it with --password-file, or --remove alone.")
    settings = settings_of(data, config)
    log_in = None if user is None else LogIn(user, read_password(password_file))
    run(camera_work.keep_log_in(data, settings, camera, log_in))
    done = "taken out of" if remove else "in"
    tell(f"The log-in of {camera} is {done} {settings.streams.log_ins(data)}.")


def thresholds(
    camera: Camera,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="RULE.KEY=VALUE", help="One threshold; may be given often.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Back to the settings of the rules.")] = False,
    data: Data = DATA,
    config: Config = None,
) -> None:
    """Print or change the thresholds that one camera has instead of those of the rules."""
    from wangge.cli import camera_work

    as_json(run(camera_work.thresholds(data, settings_of(data, config), camera, sets or [], clear=clear)))


def probe(
    timeout: Annotated[float, typer.Option("--timeout", metavar="S", help="Seconds to wait for answers.")] = 4.0,
    json: Json = False,
) -> None:
    """Look for ONVIF cameras on the networks of this machine."""
    from wangge.cli import camera_work

    found = run(camera_work.probed(timeout))
    if json:
        as_json(found)
    elif found:
        table(("host", "port", "name", "hardware", "address"), ([*one.values()][:5] for one in found))
    else:
        say("No camera answered; those in other networks are asked by `wangge devices onvif HOST`.")


def onvif(
    host: Annotated[str, typer.Argument(metavar="HOST", help="Address of the camera, HOST or HOST:PORT.")],
    user: User = None,
    password_file: PasswordFile = None,
    add: Annotated[bool, typer.Option("--add", help="Register it with what it tells.")] = False,
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Its id, for --add.")] = None,
    name: Name = None,
    grid: Grid = None,
    lat: Lat = None,
    lon: Lon = None,
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Ask a camera for its streams by ONVIF; --add registers it with main and sub-stream and keeps the log-in."""
    from wangge.cli import camera_work

    if add and id is None:
        raise InvalidInput("--id: --add needs it.")
    password = read_password(password_file) if user is not None else None
    told = run(camera_work.asked(host, user, password))
    if add:
        fields = {"id": id, "url": told["url"], "sub_url": told["sub_url"], "grid": grid, "lat": lat, "lon": lon}
        more = {"name": name, "model": told["model"], "user": user, "password": password}
        add_camera(data, config, {**fields, **more}, json=json)
    elif json:
        as_json(told)
    else:
        _show(told)


def _show(told: dict[str, Any]) -> None:
    say(f"{told['model'] or 'unknown model'}, clock {told['clock_offset_s']:+.1f} s")
    titles = ("use", "name", "codec", "width", "height", "fps", "url")
    table(titles, ([one[title] for title in titles] for one in told["profiles"]))


def read_password(file: Path | None) -> str:
    """The first line of a file or of stdin (`-`)."""
    if file is None:
        raise InvalidInput("--password-file: name the file with the password, or - for stdin.")
    if str(file) == "-":
        return sys.stdin.readline().rstrip("\r\n")
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"--password-file: {file} cannot be read: {reason}.") from None
