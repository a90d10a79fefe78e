"""The sampler with real hubs and packets: facts on a schedule, references, pictures, and one bad camera among
others."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.camera import CameraFact, KindCode, Light
from core.media import Packet
from store.camera_references import keep_references, references_for
from store.pool import Store
from streams.hub import Hub
from streams.quality import MOST_PACKETS, CameraQuality, QualitySettings, SampledCamera, Sampler, references_of
from streams.quality.pictures import Shelf, ShelfStats
from tests.streams.quality.pictures import MIDNIGHT_US, NOON_US, coded, noisy, street
from tests.support.footage import add_camera

SETTINGS = QualitySettings(learn_samples=4)


class Bench:
    """A sampler whose turns the test takes."""

    def __init__(self, root: Path, settings: QualitySettings = SETTINGS) -> None:
        self.facts: list[CameraFact] = []
        self.sampler = Sampler(settings, root, self.facts.append, "r1")
        self.hubs: dict[int, Hub] = {}

    def add(self, key: int, own: CameraQuality = CameraQuality(), **known: object) -> Hub:  # noqa: B008 - immutable
        hub = self.hubs.setdefault(key, Hub())
        reader = hub.reader("quality", MOST_PACKETS, SETTINGS.most_waiting_bytes)
        self.sampler.add(SampledCamera(key, f"c-{key}", None, own), reader, **known)  # type: ignore[arg-type]
        return hub

    def play(self, key: int, packets: list[Packet]) -> list[CameraFact]:
        before = len(self.facts)
        for packet in packets:
            self.hubs[key].publish(packet)
        self.sampler.turn()
        return self.facts[before:]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def healthy(count: int, start_us: int = NOON_US, first_s: float = 0) -> list[Packet]:
    return coded([noisy(street(), 1.5, n) for n in range(count)], start_us=start_us, first_s=first_s)


def test_a_fact_a_sample_with_light_score_and_figures(bench: Bench) -> None:
    bench.add(7)
    facts = bench.play(7, healthy(6))
    assert len(facts) == 6
    last = facts[-1]
    assert (last.kind, last.device, last.light, last.score, last.root) == (KindCode.QUALITY, 7, Light.DAY, 1.0, "r1")
    assert last.at_us == NOON_US + 50_000_000
    assert last.figures["edges_lost"] is not None
    assert facts[0].figures["edges_lost"] is None, "no reference yet"
    assert bench.play(7, healthy(1, MIDNIGHT_US, 100))[0].light == Light.NIGHT
    [row] = bench.sampler.take_references()
    assert (row.camera, row.light, row.version) == (7, Light.DAY, 1)
    assert bench.sampler.take_references() == []
    bench.sampler.give_back([row])
    assert bench.sampler.take_references() == [row]


def test_in_twilight_the_reference_that_fits_better_is_taken_and_none_is_moved(bench: Bench) -> None:
    bench.add(7)
    bench.play(7, healthy(5))
    night = noisy(street(2, 0.6), 1.5, 1)
    bench.play(7, coded([noisy(street(2, 0.6), 1.5, n) for n in range(5)], start_us=MIDNIGHT_US, first_s=100))
    assert [row.light for row in bench.sampler.take_references()] == [Light.DAY, Light.NIGHT]
    dusk_us = NOON_US + (7 * 60 + 20) * 60_000_000
    for first_s, picture in ((200, noisy(street(), 1.5, 3)), (300, night)):
        [fact] = bench.play(7, coded([picture], start_us=dusk_us, first_s=first_s))
        assert fact.light is None
        assert fact.score == 1
    assert bench.sampler.take_references() == []


def test_key_frames_between_are_not_decoded(bench: Bench) -> None:
    bench.add(7)
    bench.add(8, CameraQuality(interval_s=4))
    bench.add(9, CameraQuality(off=True))
    packets = coded([noisy(street(), 1.5, n) for n in range(16)], every_s=2, after=1)
    assert [len(bench.play(key, packets)) for key in (7, 8, 9)] == [4, 8, 0]


def test_references_from_the_store_are_used_at_once(bench: Bench) -> None:
    bench.add(7)
    bench.play(7, healthy(5))
    known = bench.sampler.take_references()
    other = Bench(Path("unused"))
    other.add(7, references=known)
    assert other.play(7, healthy(1))[0].figures["edges_lost"] is not None
    relearned = Bench(Path("unused"))
    relearned.add(7, CameraQuality(relearned_at_ms=NOON_US // 1000 + 3_600_000), references=known)
    assert relearned.play(7, healthy(1))[0].figures["edges_lost"] is None, "the operator's word is younger"
    relearned.play(7, healthy(5, NOON_US + 4 * 3_600_000_000, 100))
    assert relearned.sampler.take_references()[0].version == 2


def test_another_source_keeps_what_was_learned(bench: Bench) -> None:
    first = bench.add(7)
    bench.play(7, healthy(5))
    bench.hubs[7] = Hub()
    bench.add(7)
    assert first.readers == (), "the old reader is closed"
    assert bench.play(7, healthy(1, first_s=100))[0].figures["edges_lost"] is not None
    bench.add(7, CameraQuality(relearned_at_ms=1))
    assert bench.play(7, healthy(1, first_s=200))[0].figures["edges_lost"] is None, "the registry's word is new"
    bench.play(7, healthy(5, first_s=300))
    assert bench.sampler.take_references()[0].version == 2
    bench.sampler.relearn(7)
    assert bench.play(7, healthy(1, first_s=400))[0].figures["edges_lost"] is None


def test_a_camera_that_sends_rubbish_disturbs_no_other(bench: Bench) -> None:
    bench.add(7)
    bench.add(8)
    sound = healthy(4)
    garbage = [dataclasses.replace(packet, data=b"\x00\x00\x00\x09" + bytes(9)) for packet in sound]
    for packet in garbage:
        bench.hubs[8].publish(packet)
    assert {fact.device for fact in bench.play(7, sound)} == {7}
    assert bench.sampler.stats.undecodable == 4
    assert len(bench.play(8, healthy(2, NOON_US))) == 0, "not due before its next interval"


def test_a_fault_leaves_pictures_few_and_not_for_ever(tmp_path: Path) -> None:
    settings = QualitySettings(learn_samples=4, pictures_per_day=2, picture_spacing_s=25, pictures_days=100_000)
    bench = Bench(tmp_path, settings)
    bench.add(7)
    blurred = np.asarray(cv2.GaussianBlur(street(), (0, 0), 6), np.uint8)
    packets = coded([noisy(street(), 1.5, n) for n in range(5)] + [noisy(blurred, 1.5, n) for n in range(12)])
    facts = bench.play(7, packets)
    assert [fact.picture for fact in facts[:5]] == [None] * 5
    shown = {fact.picture for fact in facts[5:] if fact.picture}
    saved = sorted(tmp_path.glob("c-7/pictures/2025-06-01/*.jpg"))
    assert sorted(shown) == [path.relative_to(tmp_path).as_posix() for path in saved]
    assert len(saved) == 2
    assert facts[5].picture == facts[7].picture, "one picture for what happens within its spacing"
    assert facts[-1].picture is None, "the day has enough"
    assert cv2.imread(str(saved[0])).shape == (360, 640, 3)
    shelf = Shelf(tmp_path, "c-7", SETTINGS, ShelfStats())
    day_us = 86_400_000_000
    assert shelf.clean(NOON_US + 89 * day_us) == 0
    assert shelf.clean(NOON_US + 92 * day_us) == 1
    assert not saved[0].exists()


def test_a_disk_that_refuses_costs_the_picture_and_not_the_fact(tmp_path: Path) -> None:
    (tmp_path / "c-7").write_text("in the way")
    bench = Bench(tmp_path)
    bench.add(7)
    facts = bench.play(7, coded([np.full((360, 640), 20, np.uint8)] * 2))
    assert [fact.picture for fact in facts] == [None, None]
    assert bench.sampler.shelf_stats.failed == 2


def test_the_thread_judges_by_itself_ends_and_begins_again(bench: Bench) -> None:
    hub = bench.add(7)
    for turn in (1, 2):
        bench.sampler.start()
        for packet in healthy(2, first_s=100 * turn):
            hub.publish(packet)
        until(lambda: len(bench.facts) == 2 * turn)  # noqa: B023 - called at once
        bench.sampler.close()
    bench.sampler.remove(7)
    assert hub.readers == ()


def until(true: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.02)


async def test_references_are_kept_in_the_store(bench: Bench, store: Store) -> None:
    camera = await add_camera(store)
    bench.add(camera)
    bench.play(camera, healthy(5))
    [learned] = bench.sampler.take_references()
    older = learned.row()._replace(learned_us=1, reference=b"old")
    async with store.connection() as connection:
        await keep_references(connection, [learned.row()])
        await keep_references(connection, [older])
        found = references_of(await references_for(connection, [camera, 999]))
    assert found == {camera: [learned]}
