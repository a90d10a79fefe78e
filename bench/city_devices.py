"""The city's devices in a process of their own: `python -m bench.city_devices MANIFEST PORT SECONDS SOS BACK_FILL`.

Handsets every 10 s, terminals every 60 s, without anomalies; SOS fixes at random moments of the run; BACK_FILL old
fixes as fast as they are taken. Prints `{"summary", "sos", "back_fill"}` as JSON.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec
import uvloop

from core.errors import WanggeError
from simulators import manifest as manifests
from simulators.anomalies import AnomalyMix
from simulators.run import run_city
from simulators.session import Options, Session, Summary
from simulators.special import BackFilled, SentSos, back_fill, sos

BACK_FILL_RATE = 50_000.0
MARGIN_S = 3.0


class CityReport(msgspec.Struct):
    """What the devices did and saw. back_fill None: none was asked for."""

    summary: Summary
    sos: list[SentSos]
    back_fill: BackFilled | None


def run_city_devices(
    manifest: Path, port: int, *, seconds: float, sos_count: int, back_filled: int
) -> "subprocess.Popen[str]":
    """Starts them; give the process to `report_of` afterwards."""
    numbers = [str(port), str(seconds), str(sos_count), str(back_filled)]
    command = [sys.executable, "-m", "bench.city_devices", str(manifest), *numbers]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def report_of(process: "subprocess.Popen[str]", timeout_s: float) -> CityReport:
    """Waits for its end. Raises WanggeError when it failed."""
    output, errors = process.communicate(timeout=timeout_s)
    if process.returncode:
        raise WanggeError(f"the simulated city failed: {errors.strip().splitlines()[-1:]}")
    return msgspec.json.decode(output, type=CityReport)


async def _run(manifest: manifests.Manifest, port: int, seconds: float, sos_count: int, back_filled: int) -> CityReport:
    pressed: list[SentSos] = []
    filled: list[BackFilled] = []

    async def beside(session: Session) -> None:
        async with asyncio.TaskGroup() as group:
            calls = group.create_task(sos(session, manifest.handsets, sos_count, within_s=max(1.0, seconds - MARGIN_S)))
            if back_filled:
                filled.append(
                    await back_fill(session, manifest.handsets, total=back_filled, facts_per_s=BACK_FILL_RATE)
                )
        pressed.extend(calls.result())

    options = Options(
        url=f"mqtt://127.0.0.1:{port}", mix=AnomalyMix.parse("none"), dead_zones=False, off_duty=False, online_s=120.0
    )
    summary = await run_city(manifest, seconds, options, meanwhile=beside)
    return CityReport(summary, pressed, filled[0] if filled else None)


if __name__ == "__main__":
    devices = manifests.load(Path(sys.argv[1]))
    port_number, length, how_many, old = int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_run(devices, port_number, length, how_many, old))))
