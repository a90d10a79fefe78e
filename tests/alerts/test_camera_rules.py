"""CAM-01 to CAM-07 and REC-01 to REC-03 through the real engine, from facts as the workers write them."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from alerts.settings import AlertsSettings, BudgetSettings
from core.camera import CameraFact, KindCode, Light, QualityFigures
from store.pool import Store
from tests.alerts.room import START_MS, Room, room
from tests.support.city import City, make_city

WELL = QualityFigures(
    luma_mean=110,
    luma_p95=190,
    dark_share=0.02,
    bright_share=0.01,
    sharpness_ratio=1.0,
    edges_lost=0.05,
    shift_share=0.0,
    noise=1.5,
    cast=0.02,
    frozen_s=0.0,
    width=640,
    height=360,
    edges_ratio=1.0,
    luma_ratio=1.0,
    noise_ratio=1.0,
    cast_change=0.01,
    bright_change=0.0,
)
COVERED = {"edges_lost": 0.97, "edges_ratio": 0.05, "sharpness_ratio": 0.02, "shift_share": None, "luma_p95": 90}
BLACK = {"edges_lost": None, "edges_ratio": None, "sharpness_ratio": None, "shift_share": None, "luma_p95": 18}
BLURRED = {"edges_lost": 0.3, "edges_ratio": 0.7, "sharpness_ratio": 0.1}
MOVED = {"edges_lost": 0.6, "shift_share": 0.08, "sharpness_ratio": 0.3}
TURNED = {"edges_lost": 0.92, "edges_ratio": 0.9, "shift_share": None, "sharpness_ratio": 0.2}


def sample(
    r: Room, at_s: float, camera: int = 0, *, light: Light = Light.DAY, picture: str | None = None, **changes: Any
) -> CameraFact:
    figures = msgspec.structs.asdict(msgspec.structs.replace(WELL, **changes))
    return r.camera_fact(at_s, KindCode.QUALITY, camera, light=light, score=0.9, figures=figures, picture=picture)


async def samples(r: Room, since_s: float, count: int, **changes: Any) -> float:
    """Samples ten seconds apart, each judged by itself; when the next is due."""
    for n in range(count):
        await r.camera(sample(r, since_s + 10 * n, **changes))
    return since_s + 10 * count


def lost(r: Room, at_s: float, camera: int = 0, stream: str = "main", reason: str = "stalled") -> CameraFact:
    since_ms = START_MS + round(at_s * 1000)
    figures = {"stream": stream, "state": "lost", "since_ms": since_ms, "reason": reason}
    return r.camera_fact(at_s + 1, KindCode.SIGNAL, camera, figures=figures)


def up(r: Room, at_s: float, camera: int = 0, stream: str = "main") -> CameraFact:
    figures = {"stream": stream, "state": "up", "since_ms": START_MS + round(at_s * 1000)}
    return r.camera_fact(at_s, KindCode.SIGNAL, camera, figures=figures)


def gap(r: Room, from_s: float, to_s: float, reason: str, stream: str = "main") -> CameraFact:
    figures = {
        "stream": stream,
        "from_ms": START_MS + round(from_s * 1000),
        "to_ms": START_MS + round(to_s * 1000),
        "reason": reason,
    }
    return r.camera_fact(to_s, KindCode.GAP, figures=figures)


async def test_a_lost_signal_opens_after_ten_seconds_and_ends_with_its_gap(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.camera(up(r, 0))
        await r.camera(lost(r, 100))
        await r.until(109)
        assert await r.events() == []
        await r.until(110)
        (event,) = await r.events()
        assert (event.code, event.subject, event.subject_kind, event.grid) == (
            "CAM-01",
            "c0",
            "camera",
            "431102001001000",
        )
        assert event.causes["reason"] == "stalled"
        assert event.lat is not None
        await r.camera(up(r, 400), gap(r, 99, 400, "signal"))
        (event,) = await r.events()
        assert event.step == "self_ended"
        assert event.causes["lost_s"] == 300
        assert event.causes["gap_s"] == 301


async def test_a_gap_told_after_the_signal_is_back_is_noted_too(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.camera(lost(r, 100))
        await r.until(130)
        await r.camera(up(r, 200))
        await r.camera(gap(r, 98, 205, "signal"))
        (event,) = await r.events()
        assert event.causes["gap_s"] == 107
        assert event.causes["lost_s"] == 100


async def test_short_losses_and_the_sub_stream_make_no_event(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.camera(lost(r, 100), up(r, 108))
        await r.camera(lost(r, 200, stream="sub"))
        await r.until(900)
        assert await r.events() == []


async def test_a_loss_told_with_its_end_is_one_event(store: Store) -> None:
    """While the store was away the facts waited in a journal."""
    async with room(store, make_city(1)) as r:
        await r.camera(lost(r, 100), up(r, 300), received_s=3600)
        (event,) = await r.events()
        assert (event.code, event.late, event.step) == ("CAM-01", True, "self_ended")
        await r.camera(lost(r, 4000))
        await r.until(4100)
        assert len(await r.events()) == 2


async def test_a_clock_that_was_put_back_does_not_keep_a_loss_open(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.camera(lost(r, 1000))
        await r.until(1100)
        await r.camera(up(r, 500), received_s=500.1)
        (event,) = await r.events()
        assert event.step == "self_ended"


async def test_cameras_that_go_together_are_one_event(store: Store) -> None:
    async with room(store, make_city(20)) as r:
        await r.camera(*(up(r, 0, i) for i in range(20)))
        await r.camera(*(lost(r, 100 + i / 10, i) for i in range(8)))
        await r.until(130)
        (event,) = await r.events()
        assert (event.code, event.causes["kind"], event.causes["devices"]) == ("DQ-01", "mass_silence", "camera")
        await r.camera(*(up(r, 300, i) for i in range(6)))
        await r.until(320)
        events = {event.code: event for event in await r.events()}
        assert events["DQ-01"].step == "self_ended"
        assert len([e for e in await r.events("CAM-01") if e.step == "reported"]) == 2


async def test_retired_cameras_are_left_alone(store: Store) -> None:
    city = make_city(1)
    record = city.registry.by_key(city.camera(0))
    assert record is not None
    gone = _with(city, msgspec.structs.replace(record, retired_at_ms=START_MS - 1))
    async with room(store, gone) as r:
        await r.camera(lost(r, 100))
        await samples(r, 200, 6, **COVERED)
        assert await r.events() == []


@pytest.mark.parametrize(
    ("changes", "light", "code", "kind"),
    [
        (COVERED, Light.DAY, "CAM-02", "flat"),
        (BLACK, Light.DAY, "CAM-02", "black"),
        (BLACK, Light.NIGHT, "CAM-04", "dark"),
        (BLURRED, Light.DAY, "CAM-03", "blurred"),
        ({"noise": 20.0, "noise_ratio": 10.0}, Light.NIGHT, "CAM-03", "noise"),
        ({"bright_share": 0.7, "bright_change": 0.65, "luma_p95": 255.0}, Light.DAY, "CAM-03", "over_exposed"),
        ({"cast": 0.4, "cast_change": 0.4}, Light.DAY, "CAM-03", "cast"),
        ({"frozen_s": 45.0}, Light.DAY, "CAM-05", "frozen"),
        (MOVED, Light.DAY, "CAM-06", "shifted"),
        (TURNED, Light.DAY, "CAM-06", "elsewhere"),
    ],
)
async def test_a_fault_of_the_picture_is_one_event_that_ends(
    store: Store, changes: dict[str, Any], light: Light, code: str, kind: str
) -> None:
    async with room(store, make_city(1)) as r:
        at = await samples(r, 0, 6, light=light)
        at = await samples(r, at, 6, light=light, picture="c0/evidence/1.jpg", **changes)
        (event,) = await r.events()
        assert (event.code, event.causes["kind"], event.step) == (code, kind, "reported")
        assert event.began_at_ms == START_MS + 60_000
        assert event.causes["light"] == light.name.lower()
        assert event.evidence[1]["path"] == "c0/evidence/1.jpg"
        await samples(r, at, 4, light=light)
        (event,) = await r.events()
        assert event.step == "self_ended"


async def test_the_picture_of_an_earlier_sample_is_evidence(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.camera(sample(r, 0, picture="c0/pictures/old.jpg", **BLURRED))
        at = await samples(r, 10, 10)
        await r.camera(sample(r, at, picture="c0/pictures/1.jpg", **BLURRED))
        await samples(r, at + 10, 5, **BLURRED)
        (event,) = await r.events()
        (picture,) = [link for link in event.evidence if link["kind"] == "picture"]
        assert (picture["path"], picture["at_ms"]) == ("c0/pictures/1.jpg", START_MS + round(at * 1000))


async def test_single_bad_samples_open_nothing(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        at = 0.0
        for _ in range(6):
            for changes in (COVERED, BLURRED, MOVED):
                at = await samples(r, at, 1, **changes)
                at = await samples(r, at, 3)
        assert await r.events() == []


async def test_a_cover_that_begins_as_a_blur_is_a_cover(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        at = await samples(r, 0, 5)
        at = await samples(r, at, 2, **BLURRED)
        at = await samples(r, at, 10, **COVERED)
        (event,) = await r.events()
        assert event.code == "CAM-02"
        at = await samples(r, at, 2, **BLURRED)
        await samples(r, at, 5)
        assert [e.step for e in await r.events()] == ["self_ended"]


async def test_a_blurred_camera_that_is_covered_becomes_a_covered_one(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        at = await samples(r, 0, 6, **BLURRED)
        at = await samples(r, at, 6, **COVERED)
        blurred, covered = sorted(await r.events(), key=lambda e: e.began_at_ms)
        assert (blurred.code, blurred.step, blurred.causes["became"]) == ("CAM-03", "self_ended", "CAM-02")
        assert (covered.code, covered.step) == ("CAM-02", "reported")
        await samples(r, at, 12, **BLURRED)
        assert [e.code for e in await r.events() if e.step == "reported"] == ["CAM-03"]


async def test_thresholds_of_one_camera_and_wrong_ones(store: Store) -> None:
    city = make_city(3)
    for i, thresholds in ((0, {"cam_03": {"sharpness_ratio": 0.05}}), (1, {"cam_03": {"sharpnes": 1}, "cam_01": 7})):
        record = city.registry.by_key(city.camera(i))
        assert record is not None
        city = _with(city, msgspec.structs.replace(record, settings={"thresholds": thresholds}))
    with capture_logs() as logs:
        async with room(store, city) as r:
            for n in range(6):
                await r.camera(*(sample(r, 10 * n, i, **BLURRED) for i in range(3)))
            assert sorted(e.subject for e in await r.events()) == ["c1", "c2"]
    refused = {(log["device"], log["section"]) for log in logs if log["event"] == "alerts.thresholds_refused"}
    assert refused == {("c1", "cam_03")}


async def test_a_clock_that_is_off(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        for n, offset in enumerate((0.1, 28_800.0, 0.2, 28_800.0, 28_800.0)):
            await r.camera(r.camera_fact(n * 60, KindCode.CLOCK, figures={"offset_s": offset, "source": "rtcp"}))
        (event,) = await r.events()
        assert (event.code, event.causes["offset_s"]) == ("CAM-07", 28_800.0)
        for n in range(3):  # by ONVIF the clock is right: the times in its RTCP are nonsense
            await r.camera(r.camera_fact(600 + n * 60, KindCode.CLOCK, figures={"offset_s": -0.4, "source": "onvif"}))
            await r.camera(
                r.camera_fact(601 + n * 60, KindCode.CLOCK, figures={"offset_s": 28_800.0, "source": "rtcp"})
            )
        (event,) = await r.events()
        assert event.step == "self_ended"


async def test_gaps_close_together_are_one_event_and_signal_gaps_are_none(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.camera(gap(r, 0, 500, "signal"), gap(r, 600, 605, "restart"), gap(r, 700, 900, "overload", "sub"))
        assert await r.events() == []
        await r.camera(gap(r, 1000, 1060, "restart"))
        await r.camera(gap(r, 1200, 1240, "disk"))
        (event,) = await r.events()
        assert (event.code, event.count, event.causes["missing_s"], event.step) == ("REC-01", 2, 100, "reported")
        await r.until(1240 + 1801)
        (event,) = await r.events()
        assert event.step == "self_ended"
        assert event.ended_at_ms == START_MS + 1_240_000


async def test_too_little_room_is_said_ahead(store: Store) -> None:
    def storage(at_s: float, left: float | None) -> CameraFact:
        figures = {"free_bytes": 10**12, "days_possible": 21.5, "days_wanted": 30, "days_left": left}
        return r.camera_fact(at_s, KindCode.STORAGE, None, root="01ROOT", figures=figures)

    async with room(store, make_city(1)) as r:
        for n, left in enumerate((None, 9.0, 2.9, None, 5.0, 4.0)):
            await r.camera(storage(n * 60, left))
        assert await r.events() == []
        for n in range(3):
            await r.camera(storage(1000 + n * 60, 2.5))
        (event,) = await r.events()
        assert (event.code, event.subject, event.subject_kind, event.level) == ("REC-02", "01ROOT", "storage", "city")
        assert event.division == "4311"
        assert event.causes["days_left"] == 2.5
        for n in range(3):
            await r.camera(storage(2000 + n * 60, None))
        assert [e.step for e in await r.events()] == ["self_ended"]


async def test_a_disk_that_fails_again_at_once_is_one_event(store: Store) -> None:
    def disk(at_s: float, state: str) -> CameraFact:
        figures = {"state": state, "error": "No space left on device", "since_ms": START_MS + round(at_s * 1000)}
        return r.camera_fact(at_s, KindCode.DISK, None, root="01ROOT", figures=figures)

    async with room(store, make_city(1)) as r:
        await r.camera(disk(0, "ok"))
        for n, state in enumerate(("failing", "ok", "failing", "ok")):
            await r.camera(disk(10 + 20 * n, state))
        (event,) = await r.events()
        assert (event.code, event.step, event.causes["error"]) == ("REC-03", "reported", "No space left on device")
        await r.until(131)
        (event,) = await r.events()
        assert event.step == "self_ended"


async def test_a_mistake_in_one_fact_stops_nobody(store: Store) -> None:
    async with room(store, make_city(1), AlertsSettings(budget=BudgetSettings(enabled=False))) as r:
        figures = {"luma_mean": "x", "offset_s": [], "from_ms": None}
        nonsense = [r.camera_fact(n, kind, figures=figures) for n, kind in enumerate(KindCode)]
        await r.camera(*nonsense)
        await samples(r, 100, 6, **COVERED)
        assert [e.code for e in await r.events("CAM-02")] == ["CAM-02"]


async def test_states_survive_a_new_engine(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        at = await samples(r, 0, 2, **COVERED)
        await r.camera(lost(r, at))
        await r.engine._give_back()
        assert await r.engine.start()
        await samples(r, at + 60, 1, **COVERED)
        assert sorted(e.code for e in await r.events()) == ["CAM-01", "CAM-02"]


def _with(city: City, record: Any) -> City:
    tables = city.registry.tables
    changed = replace(tables, devices={**tables.devices, record.key: record})
    return City(type(city.registry)(changed), city.count)
