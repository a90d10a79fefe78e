"""wangge clips: footage by camera and time, asked of the running service (its worker holds the files); audited."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from wangge.cli.options import DATA, Data, Json, Url, commands
from wangge.cli.output import as_json, progress, progress_done, say, table

app = commands("Footage of cameras.")

PIECE = 1 << 20
Camera = Annotated[str, typer.Option("--camera", metavar="ID", help="The camera.")]
Since = Annotated[str | None, typer.Option("--from", metavar="T", help="RFC 3339 with offset.")]
Until = Annotated[str | None, typer.Option("--to", metavar="T", help="RFC 3339 with offset, not included.")]
Stream = Annotated[str, typer.Option("--stream", help="main or sub.")]


@app.command("list", epilog="Example: wangge clips list --camera cam-0001 --from 2026-11-24T08:00:00+08:00")
def list_clips(
    camera: Camera,
    since: Since = None,
    until: Until = None,
    stream: Stream = "main",
    data: Data = DATA,
    url: Url = None,
    json: Json = False,
) -> None:
    """Show what is recorded of a time (default: the last 24 hours), with its gaps."""
    from wangge.running import find

    end = _instant(until, "--to") or datetime.now(UTC)
    begin = _instant(since, "--from") or end - timedelta(days=1)
    span = {"from": begin.isoformat(), "to": end.isoformat(), "stream": _stream(stream)}
    found = find(data, url).get(f"/api/cameras/{camera}/recordings", **span)
    if json:
        as_json(found)
        return
    rows = [("footage", one) for one in found["spans"]] + [("gap", one) for one in found["gaps"]]
    rows.sort(key=lambda row: str(row[1]["from"]))
    table(["", "from", "to", "seconds", "size", "why"], [_row(kind, one) for kind, one in rows])


@app.command(
    epilog="Example: wangge clips export --camera cam-0001 --from 2026-11-24T08:00:00+08:00 "
    "--to 2026-11-24T08:05:00+08:00 --out clip.mp4"
)
def export(
    camera: Camera,
    since: Annotated[str, typer.Option("--from", metavar="T", help="RFC 3339 with offset.")],
    until: Annotated[str, typer.Option("--to", metavar="T", help="RFC 3339 with offset, not included.")],
    out: Annotated[Path, typer.Option("--out", metavar="F.mp4", help="File to write.")],
    stream: Stream = "main",
    purpose: Annotated[str, typer.Option("--purpose", metavar="TEXT", help="Why; kept in the audit log.")] = (
        "local administrator"
    ),
    data: Data = DATA,
    url: Url = None,
) -> None:
    """Write the footage of a time as one MP4; gaps are skipped and named on stderr."""
    from wangge.cli.output import tell
    from wangge.running import find

    span = {
        "from": (_instant(since, "--from") or datetime.now(UTC)).isoformat(),
        "to": (_instant(until, "--to") or datetime.now(UTC)).isoformat(),
        "stream": _stream(stream),
    }
    service = find(data, url)
    gaps = service.get(f"/api/cameras/{camera}/recordings", **span)["gaps"]
    out = out.resolve()
    unfinished = out.with_name(f".{out.name}.partial")
    try:
        written = _download(service, f"/api/cameras/{camera}/clip.mp4", span | {"purpose": purpose}, unfinished)
        unfinished.replace(out)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
    for gap in gaps:
        tell(f"gap: nothing from {gap['from']} to {gap['to']} ({gap.get('reason') or 'unknown'})")
    say(f"{out}  {written:,} bytes")


def _download(service: Any, path: str, query: dict[str, str], target: Path) -> int:
    """Streams an answer to a file. Raises what the service's problem document says."""
    import httpx

    from wangge.running import NotRunning, Refused, error_of

    try:
        with service.client.stream("GET", path, params=query) as answer:
            if answer.is_error:
                answer.read()
                raise error_of(answer)
            whole, written = int(answer.headers.get("content-length", 0)), 0
            with target.open("wb") as file:
                for piece in answer.iter_bytes(PIECE):
                    written += file.write(piece)
                    progress(f"{written / 1e6:.1f} of {whole / 1e6:.1f} MB")
    except httpx.TransportError as error:
        raise NotRunning(f"The service at {service.url} broke off: {error}") from error
    progress_done()
    if whole and written != whole:
        raise Refused(f"The service broke off after {written} of {whole} bytes; nothing was kept.")
    return written


def _instant(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter(
            f"{text!r} is no instant with offset like 2026-11-24T08:00:00+08:00", param_hint=option
        )
    return at


def _stream(name: str) -> str:
    if name not in ("main", "sub"):
        raise typer.BadParameter(f"{name!r} is neither main nor sub", param_hint="--stream")
    return name


def _row(kind: str, one: dict[str, Any]) -> list[Any]:
    begin, end = datetime.fromisoformat(one["from"]), datetime.fromisoformat(one["to"])
    size = f"{one['bytes'] / 1e6:.1f} MB" if one.get("bytes") else ""
    return [kind, begin, end, f"{(end - begin).total_seconds():.1f}", size, one.get("reason") or ""]
