"""Leases of cameras: divided evenly, taken over from the dead, found within a beat."""

import random
from datetime import datetime

import pytest

from store import media_roots
from store.camera_leases import CameraLeases, Plan, Worker, divide, share
from store.pool import Store
from tests.store.footage_rows import ROOT, execute, make_cameras


def leases_of(store: Store, name: str, worker: str | None = None, ttl_s: float = 15.0) -> CameraLeases:
    return CameraLeases(store, Worker(name, worker or f"here/{name}", "here", f"http://{name}", ROOT), ttl_s)


def expire(store: Store, holder: str) -> None:
    """What the passing of the TTL does."""
    for table in ("leases", "stream_workers"):
        execute(
            store.dsn, f"UPDATE {table} SET expires_at = clock_timestamp() - interval '1 s' WHERE holder = %s", holder
        )


@pytest.mark.parametrize(("cameras", "workers", "most"), [(0, 1, 0), (1, 2, 1), (64, 2, 32), (65, 2, 33), (3, 0, 3)])
def test_share(cameras: int, workers: int, most: int) -> None:
    assert share(cameras, workers) == most


def test_division() -> None:
    assert divide("a", ["a"], [1, 2, 3], {}, []) == Plan((1, 2, 3))
    assert divide("a", ["a", "b"], [1, 2, 3, 4], dict.fromkeys([1, 2, 3, 4], "a"), [1, 2, 3, 4]) == Plan((), (3, 4))
    assert divide("b", ["a", "b"], [1, 2, 3, 4], {1: "a", 2: "a"}, []) == Plan((3, 4))
    assert divide("a", [], [1], {2: "a"}, [2]) == Plan((1,), (2,)), "a camera that is no more is given back"
    assert divide("b", ["a", "b"], [1, 2], {}, []) == Plan((2,)), "two that start together begin at different places"


def test_any_start_settles_into_fair_shares_without_taking_from_anybody() -> None:
    rng = random.Random(4)
    for _ in range(200):
        cameras = list(range(rng.randrange(1, 40)))
        workers = [f"w{n}" for n in range(rng.randrange(1, 6))]
        holders = {camera: rng.choice([*workers, "dead"]) for camera in cameras if rng.random() < 0.6}
        for _ in range(10):
            for worker in workers:
                held = [camera for camera, holder in holders.items() if holder == worker]
                plan = divide(worker, workers, cameras, holders, held)
                assert all(holders[camera] == worker for camera in plan.give_back)
                assert not holders.keys() & set(plan.take)
                for camera in plan.give_back:
                    del holders[camera]
                holders |= dict.fromkeys(plan.take, worker)
            holders = {camera: holder for camera, holder in holders.items() if holder != "dead"}
        assert holders.keys() == set(cameras)
        loads = [list(holders.values()).count(worker) for worker in workers]
        assert max(loads) <= share(len(cameras), len(workers))


async def test_a_second_worker_gets_its_share_and_a_dead_ones_goes_to_the_others(store: Store) -> None:
    cameras = await make_cameras(store, 5)
    one, two = leases_of(store, "one"), leases_of(store, "two")
    assert (await one.beat(cameras)).taken == tuple(cameras)
    assert (await two.beat(cameras)).taken == ()
    assert (await one.beat(cameras)).given_back == (cameras[3], cameras[4])
    assert (await two.beat(cameras)).taken == (cameras[3], cameras[4])
    assert await one.beat(cameras) == type(await one.beat(cameras))()
    async with store.connection() as connection:
        workers = {worker.url: worker.cameras for worker in await media_roots.media_workers(connection)}
        assert workers == {"http://one": set(cameras[:3]), "http://two": set(cameras[3:])}
    expire(store, "one")
    assert (await two.beat(cameras)).taken == (cameras[0], cameras[1], cameras[2])
    one._renew_at_s = 0.0
    late = await one.beat(cameras)
    assert late.lost == tuple(cameras[:3])
    assert two.epochs[cameras[0]] == 2


async def test_a_camera_that_is_added_is_taken_at_the_next_beat(store: Store) -> None:
    cameras = await make_cameras(store, 2)
    one = leases_of(store, "one")
    await one.beat(cameras[:1])
    assert (await one.beat(cameras)).taken == (cameras[1],)
    assert (await one.beat(cameras[:1])).given_back == (cameras[1],)
    async with store.connection() as connection:
        (worker,) = await media_roots.media_workers(connection)
        assert worker.cameras == {cameras[0]}


async def test_the_successor_in_a_place_takes_over_at_once(store: Store) -> None:
    cameras = await make_cameras(store, 4)
    dead, other = leases_of(store, "dead", "here/0"), leases_of(store, "other")
    await dead.beat(cameras[:2])
    await other.beat(cameras)
    successor = leases_of(store, "successor", "here/0")
    assert (await successor.beat(cameras)).taken == (cameras[0], cameras[1])
    assert set(successor.epochs.values()) == {2}
    assert (await other.beat(cameras)).given_back == ()


async def test_leases_that_lapsed_in_an_outage_and_that_nobody_took_only_get_a_new_epoch(store: Store) -> None:
    cameras = await make_cameras(store, 3)
    one = leases_of(store, "one")
    await one.beat(cameras)
    expire(store, "one")
    one._renew_at_s = 0.0
    beat = await one.beat(cameras)
    assert (beat.taken, beat.lost, beat.given_back) == ((), (), ())
    assert set(one.epochs.values()) == {2}


async def test_release_lets_others_in_at_once(store: Store) -> None:
    cameras = await make_cameras(store, 3)
    one, two = leases_of(store, "one"), leases_of(store, "two")
    await one.beat(cameras)
    await one.release()
    assert one.epochs == {}
    assert (await two.beat(cameras)).taken == tuple(cameras)


async def test_roots_and_the_key_of_the_media_port(store: Store) -> None:
    await make_cameras(store)
    async with store.connection() as connection:
        await media_roots.register(connection, "r2", "there", "/footage")
        await media_roots.beat(connection, "r2", "http://x", 5, 10)
        root = next(root for root in await media_roots.roots(connection) if root.id == "r2")
        assert (root.host, root.path, root.url, root.bytes_free, root.bytes_total) == (
            "there",
            "/footage",
            "http://x",
            5,
            10,
        )
        assert len(await media_roots.media_key(connection)) == 64


@pytest.mark.parametrize("ttl_s", [3.0, 15.0, 300.0])
async def test_a_worker_that_beats_when_it_should_renews_each_time(store: Store, ttl_s: float) -> None:
    """Whatever the settings say: two rounds may fail before anybody else may take the cameras."""
    cameras = await make_cameras(store, 1)
    one = leases_of(store, "one", ttl_s=ttl_s)
    await one.beat(cameras)
    assert 3 * one.beat_s <= ttl_s
    one._renew_at_s -= 0.9 * one.beat_s  # what the passing of nearly a beat does
    before = await _expiry(store)
    await one.beat(cameras)
    assert await _expiry(store) > before


async def _expiry(store: Store) -> datetime:
    async with store.connection() as connection:
        row = await (await connection.execute("SELECT expires_at FROM leases")).fetchone()
    assert row is not None
    at: datetime = row[0]
    return at
