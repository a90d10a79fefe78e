"""Facts about cameras: stored once, tailed in their lanes, rolled up, dropped by age, the same on both flavours."""

from core.camera import CameraFact, KindCode, Light
from core.lane import CAMERA, Lane
from store.camera_facts import CameraFactWriter, lane_of
from store.pool import Store
from store.retention import Retention
from store.rollup import RollUp
from store.settings import RetentionSettings
from store.tail import Tail
from tests.store.days import HOUR_MS, NOW_MS, days_ago, held_lease, rows

NOW_US = NOW_MS * 1000


def quality(at_ms: int, score: float, device: int = 1) -> CameraFact:
    return CameraFact(at_ms * 1000, KindCode.QUALITY, device, Light.NIGHT, score, figures={"noise": 1.5})


async def test_facts_are_stored_once_and_tailed_as_values(either_store: Store) -> None:
    writer = CameraFactWriter(either_store)
    facts = [
        CameraFact(NOW_US, KindCode.SIGNAL, 1, figures={"stream": "main", "state": "lost"}, picture="a/b.jpg"),
        CameraFact(NOW_US, KindCode.STORAGE, root="r1", figures={"free_bytes": 1 << 40}),
        quality(NOW_MS, 0.25),
    ]
    assert await writer.write(facts, NOW_US) == 3
    assert await writer.write([*facts, quality(NOW_MS, 0.5)], NOW_US) == 1
    tail = Tail(either_store, "rules", CAMERA, Lane.LIVE)
    part = await tail.slice(100)
    assert part is not None
    assert len(part.facts) == 4
    by_kind = {fact.kind: fact for fact in part.facts[:3]}
    signal = by_kind[KindCode.SIGNAL]
    assert (signal.device, signal.at_ms, signal.received_at_ms) == (1, NOW_MS, NOW_MS)
    assert signal.figures == {"stream": "main", "state": "lost"}
    assert signal.picture == "a/b.jpg"
    assert by_kind[KindCode.STORAGE].root == "r1"
    assert by_kind[KindCode.STORAGE].device is None
    assert (by_kind[KindCode.QUALITY].score, by_kind[KindCode.QUALITY].light) == (0.25, Light.NIGHT)


def test_late_measurements_go_to_back_fill_and_states_keep_their_order() -> None:
    late = NOW_US - 121_000_000
    assert lane_of(quality(NOW_MS - 119_000, 1), NOW_US) == Lane.LIVE
    assert lane_of(quality(NOW_MS - 121_000, 1), NOW_US) == Lane.BACKFILL
    assert lane_of(CameraFact(late, KindCode.SIGNAL, 1), NOW_US) == Lane.LIVE
    assert lane_of(CameraFact(late, KindCode.DISK, root="r"), NOW_US) == Lane.LIVE


async def test_hours_are_the_same_in_both_flavours(either_store: Store) -> None:
    start = days_ago(1) // HOUR_MS * HOUR_MS
    writer = CameraFactWriter(either_store)
    facts = [quality(start, 0.5), quality(start + 1000, 0.25), quality(start + HOUR_MS, 1.0), quality(start, 0.75, 2)]
    facts.append(CameraFact(start * 1000, KindCode.CLOCK, 1, figures={"offset_s": 2}))
    await writer.write(facts, start * 1000)
    await writer.write([quality(start + 2000, 0.75)], NOW_US)
    job = RollUp(either_store, await held_lease(either_store))
    if await job.start():
        await job.catch_up()
    query = (
        "SELECT device, (date_part('epoch', hour) * 1000)::bigint, samples, score, least_score "
        "FROM camera_quality_per_hour ORDER BY 1, 2"
    )
    assert await rows(either_store, query) == [
        (1, start, 3, 0.5, 0.25),
        (1, start + HOUR_MS, 1, 1.0, 1.0),
        (2, start, 1, 0.75, 0.75),
    ]


async def test_old_facts_go_by_their_own_setting(either_store: Store) -> None:
    writer = CameraFactWriter(either_store)
    for days in (95, 50, 1):
        await writer.write([quality(days_ago(days), 0.5)], NOW_US)
    lease = await held_lease(either_store)
    report = await Retention(either_store, lease, RetentionSettings()).run(NOW_MS)
    assert len(report.dropped["camera_facts"]) == 1
    report = await Retention(either_store, lease, RetentionSettings(camera_facts_days=10)).run(NOW_MS)
    assert len(report.dropped["camera_facts"]) == 1
    assert await rows(either_store, "SELECT count(*) FROM camera_facts") == [(1,)]
