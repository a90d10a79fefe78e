"""The tree restarts what fails, gives up by rule, never swallows a cancel, and tells the board."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import FakeClock
from core.errors import ConfigurationError, StoreUnavailable
from core.health import Board
from core.supervise import GaveUp, Part, RestartPolicy, Run, Supervisor, explain


class Flaky:
    """A part that fails as told, then works until cancelled."""

    def __init__(self, *failures: Exception, works_s: float = 0) -> None:
        self.failures, self.works_s = list(failures), works_s
        self.starts: list[float] = []
        self.cancelled = False

    def on(self, clock: FakeClock) -> Run:
        async def run(part: Part) -> None:
            self.starts.append(clock.monotonic())
            part.ready()
            if self.failures:
                await clock.sleep(self.works_s)
                raise self.failures.pop(0)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise

        return run


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(0)


@pytest.fixture
def tree(clock: FakeClock) -> Supervisor:
    return Supervisor(Board(clock), clock, chance=lambda: 0.0)


async def test_backoff_doubles_up_to_its_most_and_the_part_heals(tree: Supervisor, clock: FakeClock) -> None:
    part = Flaky(*[StoreUnavailable("away")] * 5)
    async with tree:
        tree.start("x", part.on(clock), RestartPolicy(first_s=1, most_s=4))
        await clock.run_ms(1_500)
        assert (health := tree.board.get("x")) is not None
        assert (health.state, health.why, health.restarts) == ("down", "away", 2)
        await clock.run_ms(60_000)
        assert part.starts == [0, 1, 3, 7, 11, 15]
        assert (health := tree.board.get("x")) is not None
        assert (health.state, health.restarts) == ("ok", 5)
    assert part.cancelled


async def test_a_steady_run_starts_the_backoff_anew(tree: Supervisor, clock: FakeClock) -> None:
    part = Flaky(*[ValueError("x")] * 3, works_s=100)
    async with tree:
        tree.start("x", part.on(clock), RestartPolicy(first_s=1, give_up_after=2, steady_s=60))
        await clock.run_ms(1_000_000)
    assert part.starts == [0, 101, 202, 303]


async def test_giving_up_leaves_the_others_alone(tree: Supervisor, clock: FakeClock) -> None:
    bad, good = Flaky(*[ValueError("x")] * 9), Flaky()
    async with tree:
        tree.start("bad", bad.on(clock), RestartPolicy(give_up_after=3))
        tree.start("good", good.on(clock))
        await clock.run_ms(1_000_000)
        assert len(bad.starts) == 3
        assert [(p.part, p.state, p.why) for p in tree.board.parts()] == [
            ("bad", "down", "gave up: ValueError: x"),
            ("good", "ok", ""),
        ]
        tree.start("bad", Flaky().on(clock))
        await clock.run_ms(1)
        assert (health := tree.board.get("bad")) is not None
        assert health.state == "ok"


async def test_errors_that_trying_again_does_not_mend_are_final(tree: Supervisor, clock: FakeClock) -> None:
    part = Flaky(ExceptionGroup("g", [ExceptionGroup("h", [ConfigurationError("no such key")])]))
    async with tree:
        tree.start("x", part.on(clock))
        await clock.run_ms(100_000)
    assert len(part.starts) == 1


async def test_a_vital_part_takes_the_service_with_it(tree: Supervisor, clock: FakeClock) -> None:
    bystander = Flaky()

    async def service() -> None:
        async with tree:
            tree.start("by", bystander.on(clock))
            tree.start("v", Flaky(ConfigurationError("bad port")).on(clock), vital=True)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await service()
    assert [type(e) for e in caught.value.exceptions] == [GaveUp]
    assert "bad port" in str(caught.value.exceptions[0])
    assert bystander.cancelled


async def test_cancelling_from_outside_ends_every_part_and_is_not_swallowed(tree: Supervisor, clock: FakeClock) -> None:
    part = Flaky()

    async def service() -> None:
        async with tree:
            tree.start("x", part.on(clock))
            await asyncio.Event().wait()

    task = asyncio.ensure_future(service())
    await clock.run_ms(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert part.cancelled


@pytest.mark.parametrize("ending", [None, StoreUnavailable("no farewell")])
async def test_a_part_that_hides_its_cancel_ends_all_the_same(tree: Supervisor, ending: Exception | None) -> None:
    starts = list[int]()

    async def stubborn(part: Part) -> None:
        starts.append(1)
        part.ready()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if ending is not None:
                raise ending from None

    async with asyncio.timeout(5), tree:
        tree.start("x", stubborn)
        await tree.ready()
    assert starts == [1]


async def test_a_part_in_backoff_can_be_stopped(tree: Supervisor, clock: FakeClock) -> None:
    async with tree:
        tree.start("x", Flaky(ValueError("x")).on(clock), RestartPolicy(first_s=1000, most_s=1000))
        await clock.run_ms(10)
        await tree.stop("x")
        await tree.stop("x")
        assert tree.board.get("x") is None
        assert clock.sleeping == 0


async def test_readiness_waits_for_every_part(tree: Supervisor) -> None:
    go = asyncio.Event()

    async def slow(part: Part) -> None:
        await go.wait()
        part.degraded("no disk yet")

    async with tree:
        tree.start("slow", slow)
        waiting = asyncio.ensure_future(tree.ready())
        await asyncio.sleep(0)
        assert [p.why for p in tree.board.unready()] == ["starting"]
        assert not waiting.done()
        go.set()
        await asyncio.wait_for(waiting, 1)
        assert (health := tree.board.get("slow")) is not None
        assert (health.state, health.why) == ("ok", "finished")


async def test_a_name_runs_once(tree: Supervisor, clock: FakeClock) -> None:
    async with tree:
        tree.start("x", Flaky().on(clock))
        with pytest.raises(ValueError, match="runs already"):
            tree.start("x", Flaky().on(clock))


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_delays_stay_within_their_bounds(failures: int, chance: float) -> None:
    policy = RestartPolicy(first_s=0.5, most_s=30)
    assert 0.375 <= policy.delay_s(failures, chance) <= 30


def test_explaining_groups() -> None:
    group = ExceptionGroup("g", [StoreUnavailable("away"), StoreUnavailable("away"), KeyError("k"), OSError()])
    assert explain(group) == "away; KeyError: 'k'; OSError"


@pytest.mark.parametrize("outside", [False, True])
async def test_a_part_with_children_of_its_own_starts_again(tree: Supervisor, clock: FakeClock, outside: bool) -> None:
    """A child that fails while the part waits for its children: not taken for a cancel of the part."""
    starts = 0

    async def child() -> None:
        await clock.sleep(1)
        raise StoreUnavailable("away")

    async def run(part: Part) -> None:
        nonlocal starts
        starts += 1
        part.ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(clock.sleep(100))
            group.create_task(child())
            if outside:
                await clock.sleep(100)

    async with tree:
        tree.start("x", run, RestartPolicy(first_s=1, most_s=1))
        await clock.run_ms(6_500)
        assert starts == 4
        assert (health := tree.board.get("x")) is not None
        assert health.restarts == 3


async def test_a_part_cancelled_from_within_starts_again(tree: Supervisor, clock: FakeClock) -> None:
    async def run(part: Part) -> None:
        part.ready()
        await clock.sleep(1)
        raise asyncio.CancelledError

    async with tree:
        tree.start("x", run, RestartPolicy(first_s=1, most_s=1))
        await clock.run_ms(2_500)
        assert (health := tree.board.get("x")) is not None
        assert (health.restarts, health.state) == (1, "ok")
        await clock.run_ms(1_000)
        assert (health := tree.board.get("x")) is not None
        assert (health.restarts, health.why) == (2, "RuntimeError: the part was cancelled from within")
