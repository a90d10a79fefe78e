"""The footage's disk is full and has room again: told (REC-03), live view and the service go on, nothing is torn."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.filmed import HANGING_UP, Film, filming
from tests.faults.harness import status, until
from tests.faults.test_disk_full import full, small_disk
from tests.support.rtsp import FPS

QUICK = {
    "WANGGE_STREAMS__CLEANER__HEADROOM_BYTES": "0",
    "WANGGE_STREAMS__CLEANER__HEADROOM_SHARE": "0",
    "WANGGE_STREAMS__CLEANER__RESERVE_S": "0",
    "WANGGE_STREAMS__RECORDER__RETRY_S": "1",
    "WANGGE_ALERTS__RULES__REC_03__OK_S": "2",
    "WANGGE_ALERTS__RULES__REC_01__GAP_S": "3",
}
"""No headroom, so that it is the disk that refuses; and short waits."""
SMALL_RING = {"WANGGE_STREAMS__RECORDER__RING_PACKETS": "100"}
"""Six seconds of pictures; the usual one holds minutes."""
soak = [pytest.mark.soak, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("seconds", "ring"),
    [pytest.param(4.0, {}, id="short"), pytest.param(30.0, SMALL_RING, id="longer-than-the-ring", marks=soak)],
)
async def test_the_disk_of_the_footage_is_full_and_has_room_again(
    service_folder: Path, seconds: float, ring: dict[str, str]
) -> None:
    with small_disk(service_folder / "disk") as disk:
        root = {"WANGGE_STREAMS__ROOT": str(disk / "footage")}
        async with filming(service_folder / "data", **QUICK, **root, **ring) as film:
            film.folder = disk / "footage"
            worker = film.worker
            with full(disk):
                (event,) = await until(lambda: film.events("REC-03"), 30, "REC-03")
                assert event["ended_at"] is None
                assert event["causes"]["error"] == "No space left on device"
                await asyncio.sleep(seconds)
                await _goes_on(film)
            await until(lambda: _over(film), 40, "the end of REC-03")
            await film.recorded()
            if ring:
                await until(lambda: film.events("REC-01", "a"), 20, "REC-01")
            assert await film.events("CAM-01") == [], "the cameras were there all the time"
            assert film.worker == worker, "the worker went on"
            await film.agrees()
            reel = await film.stop()
    for one, sent in reel.sent.items():
        assert len(sent) == 1, "cameras were read all the time"
        assert [part.reason for part in reel.parts[one]] == ["start", "disk"]
        first, last = reel.parts[one]
        missing = (last.began_s - first.ended_s) * FPS
        print(f"{one}: {missing:.0f} pictures missing; the disk was full for more than {seconds:g} s")
        assert abs(sent[0].frames - first.pictures - last.pictures - missing) <= HANGING_UP
        assert reel.told(*one) == (["disk"] if ring else [])
        assert ring or missing <= 2 * FPS, "what waited in the ring was written; a fragment and a GOP are gone"


async def _goes_on(film: Film) -> None:
    assert await film.up.is_ready()
    async with film.client() as client:
        answer = await client.get("/api/cameras/b/snapshot.jpg", params={"width": "160"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), answer.text
    parts = {one["part"]: one for one in (await asyncio.to_thread(status, film.up.data))["parts"]}
    assert "nothing is recorded" in parts["streams.worker.1"]["why"]


async def _over(film: Film) -> bool:
    return (await film.events("REC-03"))[0]["ended_at"] is not None
