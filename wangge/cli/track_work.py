"""Exports a track from the store: checks and audits in one transaction, then streams in another."""

from datetime import datetime
from pathlib import Path
from typing import Any, TextIO, cast, get_args

import typer

from console import tracks
from console.rights import Operator
from console.track_formats import WRITERS
from core.fix import Datum
from wangge.cli.registry_work import opened
from wangge.settings import Settings

FORMATS: tuple[str, ...] = get_args(tracks.Format)
LOCAL = Operator("local", "administrator")
EXPORT_TIMEOUT_S = 3600.0


def wanted(device: str, since: str, until: str, datum: str, purpose: str) -> tracks.Wanted:
    """What to export, checked; wrong usage is status 2."""
    if datum not in get_args(Datum):
        raise typer.BadParameter(f"{datum!r} is none of {', '.join(get_args(Datum))}", param_hint="--datum")
    return tracks.Wanted(device, _instant(since, "--from"), _instant(until, "--to"), cast("Datum", datum), purpose)


def _instant(text: str, option: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter(
            f"{text!r} is no instant with offset like 2026-11-24T08:00:00+08:00", param_hint=option
        )
    return at


async def export(data: Path, settings: Settings, what: tracks.Wanted, form: Any, target: TextIO) -> None:
    """Writes the track. Raises NotFound for an unknown device."""
    async with opened(data, settings) as store:
        async with store.transaction() as connection:
            key = await tracks.permit(connection, LOCAL, what, None, "track.export")
        async with store.transaction(timeout_s=EXPORT_TIMEOUT_S) as reading:
            await reading.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            async for piece in WRITERS[cast("tracks.Format", form)](
                what.device, lambda: tracks.points(reading, LOCAL, key, what)
            ):
                target.write(piece)
    target.flush()
