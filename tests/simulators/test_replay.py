"""A recorded track as a handset: file order, shifted times, made times, arrays."""

from pathlib import Path

import pytest

from simulators.errors import SimulatorError
from simulators.manifest import Handset
from simulators.outgoing import rfc3339
from simulators.replay import messages_of, read_track, replay
from simulators.session import Options
from tests.simulators.conftest import START_MS
from tests.simulators.test_mqtt_pool import Listener, until


def gpx(path: Path, points: int, *, timed: bool = True, step_s: int = 7) -> Path:
    rows = []
    for i in range(points):
        at = f"<time>{rfc3339(START_MS - 86_400_000 + i * step_s * 1000)}</time>" if timed else ""
        rows.append(f'<trkpt lat="{26.4 + i * 1e-5:.6f}" lon="111.6"><ele>{100 + i}</ele>{at}</trkpt>')
    half = points // 2
    path.write_text(
        '<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1"><trk>'
        f"<trkseg>{''.join(rows[:half])}</trkseg><trkseg>{''.join(rows[half:])}</trkseg></trk></gpx>"
    )
    return path


def test_times_as_recorded_or_shifted(tmp_path: Path) -> None:
    path = gpx(tmp_path / "t.gpx", 20)
    plain = read_track(path)
    assert [fix.fixed_at for fix in plain] == [START_MS - 86_400_000 + i * 7000 for i in range(20)]
    assert plain[3].lat == pytest.approx(26.40003)
    assert plain[3].altitude_m == 103
    moved = read_track(path, shift_to_ms=START_MS)
    assert [fix.fixed_at for fix in moved] == [START_MS + i * 7000 for i in range(20)]


def test_spacing(tmp_path: Path) -> None:
    path = gpx(tmp_path / "t.gpx", 5, timed=False)
    with pytest.raises(SimulatorError, match=r"5 points of .* have no time"):
        read_track(path)
    fixes = read_track(path, shift_to_ms=START_MS, spacing_s=2.5)
    assert [fix.fixed_at - START_MS for fix in fixes] == [0, 2500, 5000, 7500, 10_000]


@pytest.mark.parametrize(("text", "why"), [("<gpx/>", "no track points"), ("no xml", "cannot read")])
def test_no_track(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "t.gpx"
    path.write_text(text)
    with pytest.raises(SimulatorError, match=why):
        read_track(path)
    with pytest.raises(SimulatorError, match="cannot read"):
        read_track(tmp_path / "none.gpx")


def test_arrays(tmp_path: Path) -> None:
    fixes = read_track(gpx(tmp_path / "t.gpx", 20))
    assert [len(m.keys) for m in messages_of("d", fixes, 8)] == [8, 8, 4]
    assert [len(m.keys) for m in messages_of("d", fixes, 0)] == [1] * 20
    with pytest.raises(SimulatorError, match="1 to 500"):
        messages_of("d", fixes, 501)


@pytest.mark.parametrize("array", [0, 6])
async def test_a_track_arrives_in_file_order(tmp_path: Path, broker: int, array: int) -> None:
    device = f"track-{array}"
    path = gpx(tmp_path / "t.gpx", 50)
    with Listener(broker) as listener:
        summary = await replay(
            path, Handset(device, "t"), Options(url=f"mqtt://127.0.0.1:{broker}"), shift_to_ms=START_MS, array=array
        )
        assert summary.facts_acked == 50
        await until(lambda: len(listener.keys(device)) == 50)
        assert listener.keys(device) == [START_MS + i * 7000 for i in range(50)]


async def test_realtime(tmp_path: Path, broker: int) -> None:
    path = gpx(tmp_path / "t.gpx", 11, step_s=1)
    options = Options(url=f"mqtt://127.0.0.1:{broker}", speedup=20)
    summary = await replay(path, Handset("track-r", "t"), options, realtime=True)
    assert summary.facts_acked == 11
    assert 0.5 <= summary.wall_s < 5
