"""The store away while cameras are recorded: footage has no gap, rows follow, a clip across it is whole."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.faults.filmed import Film, filming, played
from tests.faults.harness import rows, until
from tests.support.rtsp import FPS

soak = [pytest.mark.soak, pytest.mark.timeout(300)]
BACK_WITHIN_S = 40.0


async def clip(film: Film, name: str, since: datetime, until_: datetime, file: Path) -> int:
    """Exports a span through the console; how many pictures ffprobe decodes in it."""
    span = {"from": since.isoformat(), "to": until_.isoformat()}
    async with film.client() as client:
        answer = await client.get(f"/api/cameras/{name}/clip.mp4", params=span)
    assert answer.status_code == 200, answer.text
    assert "x-wangge-footage-gaps" not in answer.headers or answer.headers["x-wangge-footage-gaps"] in ("", "0", "[]")
    await asyncio.to_thread(file.write_bytes, answer.content)
    return await asyncio.to_thread(played, file)


async def _follows(film: Film, back: datetime) -> bool:
    """Whether the rows of every stream have reached an instant."""
    query = "SELECT count(*) FROM (SELECT camera, stream, max(end_at) AS newest FROM footage_segments GROUP BY 1, 2) s"
    found = await asyncio.to_thread(rows, film.up.dsn, f"{query} WHERE newest > %s", back)
    return bool(found[0][0] == len(film.streams()))


@pytest.mark.parametrize("seconds", [8.0, pytest.param(30.0, marks=soak)])
@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=soak)])
async def test_footage_goes_on_while_the_store_is_away(
    service_folder: Path, tmp_path: Path, seconds: float, killed: bool
) -> None:
    async with filming(service_folder / "data") as film:
        since = datetime.now(UTC)
        worker = film.worker
        if killed:
            film.up.postmaster.kill()
            await asyncio.sleep(seconds)
        else:
            with film.up.store_stopped():
                await asyncio.sleep(seconds)
        back = datetime.now(UTC)
        await until(lambda: _follows(film, back), BACK_WITHIN_S, "rows of what was recorded meanwhile")
        print(f"rows have followed {(datetime.now(UTC) - back).total_seconds():.1f} s after the store was back")
        await film.up.ready()
        for name in film.names:
            pictures = await clip(film, name, since, back, tmp_path / f"{name}.mp4")
            expected = (back - since) / timedelta(seconds=1) * FPS
            assert abs(pictures - expected) <= 2, f"{pictures} pictures of {expected:.0f} in the clip of {name}"
        assert film.worker == worker, "the worker went on"
        assert await film.events("REC-01") == []
        assert await film.events("CAM-01") == []
        await film.agrees()
        reel = await film.stop()
    reel.undisturbed("a", "b", "c")
