"""The child process of `wangge up --demo`: simulated devices, the city's past sent once, or simulated cameras.

    python -m wangge.demo_devices devices MANIFEST mqtt://HOST:PORT TRUTH
    python -m wangge.demo_devices history MANIFEST http://HOST:PORT END_MS
    python -m wangge.demo_devices cameras PORT day|night TRUTH

Ends with status 0 when its stdin ends: the service that holds the other end is gone or wants us to go.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvloop

from simulators import history, manifest
from simulators.anomalies import AnomalyMix
from simulators.run import run_city
from simulators.session import Options

RUN_SECONDS = 7 * 86400.0
OPENING = ("sos", "removed", "mock", "low_battery", "tampered", "paper_out")
MIX = AnomalyMix(1.0, near_miss=0.1, opening=OPENING)
"""Six things at once, then one every few minutes: each device has its turn in the first two hours."""
TRUTH_EVERY_S = 10.0
CAMERAS = 4
CAMERA_FAULTS = ("refuse@40+60:cam-0003", "cover@300+420:cam-0002")
"""CAM-01 within the first minute; CAM-02 once the camera is known well."""
TRACKS_END_BEFORE_MS = 20 * 60_000
"""Between the past and the present, so that nobody seems to have jumped."""
AT_ONCE = 500
PAUSE_S = 0.05
"""Between two payloads of the past: the present must not wait for it."""


def main(arguments: list[str]) -> int:
    """Exit status 0: done, or told to end."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    os.nice(5)
    if arguments[0] == "cameras":
        os.nice(5)
        _film(int(arguments[1]), arguments[2], Path(arguments[3]))
        return 0
    what, file, url, *rest = arguments
    devices = manifest.load(Path(file))
    if what == "devices":
        asyncio.run(_live(devices, url, Path(rest[0])))
    else:
        _send_past(devices, url, int(rest[0]))
    return 0


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


async def _live(devices: manifest.Manifest, url: str, truth: Path) -> None:
    """One long run: a new one would put everybody back to the beginning."""
    seed = time.time_ns() // 1_000_000_000
    await run_city(devices, RUN_SECONDS, Options(url=url, seed=seed, mix=MIX, truth=truth, truth_every_s=TRUTH_EVERY_S))


def _film(port: int, light: str, truth: Path) -> None:
    """Four cameras until we are told to end; one goes away for a minute, later one is covered."""
    from simulators.cameras.options import Options as CameraOptions
    from simulators.cameras.run import run_cameras

    options = CameraOptions(count=CAMERAS, scenes=CAMERAS, port=port, light=light, fault=CAMERA_FAULTS, truth=truth)
    uvloop.run(run_cameras(options))


def _send_past(devices: manifest.Manifest, url: str, end_ms: int) -> None:
    """Tracks first (few, and the map wants them), then transactions, device by device."""
    tokens = {one.id: one.token for one in devices.handsets}
    tokens |= {one.id: one.token for one in devices.terminals}
    with httpx.Client(base_url=url, timeout=60.0, trust_env=False) as client:
        tracks = sorted(
            history.handset_tracks(devices.handsets, end_ms=end_ms - TRACKS_END_BEFORE_MS),
            key=lambda row: row["device"],
        )
        for device, rows in _grouped({"device": row.pop("device"), "row": row} for row in tracks):
            _send(client, "/v1/fixes", tokens[device], rows)
        sales = history.pos_transactions(devices.terminals, end_ms=end_ms)
        for device, rows in _grouped({"device": row["terminal"], "row": _record(row)} for row in sales):
            _send(client, "/v1/pos", tokens[device], rows)


def _record(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the past as the contract's POS record."""
    record = {name: value for name, value in row.items() if value is not None and name not in ("terminal", "at_ms")}
    return {"kind": "transaction", "at": row["at_ms"], **record}


def _grouped(rows: Iterator[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Up to AT_ONCE rows of one device at a time."""
    device, group = "", list[dict[str, Any]]()
    for row in rows:
        if group and (row["device"] != device or len(group) == AT_ONCE):
            yield device, group
            group = []
        device = row["device"]
        group.append(row["row"])
    if group:
        yield device, group


def _send(client: httpx.Client, path: str, token: str, rows: list[dict[str, Any]]) -> None:
    """One payload; told to wait, it waits."""
    while True:
        answer = client.post(path, content=msgspec.json.encode(rows), headers={"Authorization": f"Bearer {token}"})
        if answer.status_code not in (429, 503):
            answer.raise_for_status()
            time.sleep(PAUSE_S)
            return
        time.sleep(float(answer.headers.get("Retry-After", "1")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
