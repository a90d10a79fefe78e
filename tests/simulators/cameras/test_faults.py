"""Each fault does what its name says, to whom and for how long it should, and is in the ground truth."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.cameras import Server, ledger
from simulators.cameras.camera import camera
from simulators.cameras.fault_kinds import KINDS, MILD, PICTURE_KINDS, checked, parsed
from simulators.cameras.fault_plan import drawn
from simulators.cameras.feed import NTP_EPOCH_S
from simulators.cameras.fleet import Fleet
from simulators.cameras.footage import Plan
from simulators.cameras.injector import Injector, Running
from simulators.cameras.loop import Encoded, prepared
from simulators.cameras.source import SceneSource
from simulators.cameras.variants import Fault, spoiled
from simulators.errors import SimulatorError
from tests.simulators.cameras.conftest import MAIN, SUB, Client, encoded, timestamp


@pytest.fixture(scope="module")
def pair() -> tuple[Encoded, Encoded]:
    return encoded(MAIN, 1.0), encoded(SUB, 1.0)


@dataclass(frozen=True)
class Given:
    """A source that is there already."""

    loops: tuple[tuple[Encoded, Encoded]]

    def pair(self) -> tuple[Encoded, Encoded]:
        return self.loops[0]

    def spoiled(self, fault: Fault) -> tuple[Encoded, Encoded]:
        main, sub = self.loops[0]
        return spoiled(main, fault, 3), spoiled(sub, fault, 3)

    def __hash__(self) -> int:
        return id(self.loops)


@asynccontextmanager
async def stage(pair: tuple[Encoded, Encoded], count: int = 2) -> AsyncIterator[Injector]:
    """A server with cameras cam-0001 … and its injector."""
    main, sub = (prepared(one) for one in pair)
    fleet, source = Fleet(), Given((pair,))
    for number in range(1, count + 1):
        name = f"cam-{number:04d}"
        fleet.cameras[name] = camera(name, [main], [sub], 5)
        fleet.sources[name] = source
    async with Server(fleet.cameras.values()) as server:
        injector = Injector(server, fleet, "day", 5)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(injector.keep_listening())
            yield injector
            injector.close()
            task.cancel()


async def begin(injector: Injector, kind: str, value: float | None = None, camera: str | None = "cam-0001") -> Running:
    found, amount = await injector.prepare(kind, value, camera)
    return next(injector.begin(one, found, amount, None) for one in injector.cameras(camera))


async def client(injector: Injector, camera: str = "cam-0001", stream: str = "main") -> Client:
    one = await Client.connect(injector.server.port)
    try:
        await one.play(injector.server.url(camera, stream))
        await one.receive()
    except (ConnectionError, asyncio.IncompleteReadError):
        await one.close()
        raise
    return one


def decoded(loop: Encoded) -> list[NDArray[np.uint8]]:
    """Luma of the pictures of a loop."""
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, av.VideoCodecContext)
    found = []
    for unit in [*loop.units, None]:
        packet = None if unit is None else av.Packet(unit.data)
        if packet is not None and unit is not None:
            packet.pts, packet.time_base = unit.pts, Fraction(1, 90_000)
        found += [frame.to_ndarray(format="gray") for frame in context.decode(packet)]
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("kind", PICTURE_KINDS)
def test_pictures_show_the_fault(kind: str, pair: tuple[Encoded, Encoded]) -> None:
    plain, faulty = pair[0], spoiled(pair[0], Fault(kind), 3)
    assert [(unit.pts, unit.is_key) for unit in plain.units] == [(unit.pts, unit.is_key) for unit in faulty.units]
    before, after = decoded(plain), decoded(faulty)
    assert len(before) == len(after)
    if kind == "freeze":
        assert all(np.array_equal(one, after[0]) for one in after)
    elif kind == "dark":
        assert after[0].mean() < 0.4 * before[0].mean()
    elif kind == "over_exposed":
        assert after[0].mean() > 1.4 * before[0].mean()
    else:
        assert np.abs(after[0].astype(int) - before[0]).mean() > (2 if kind == "cast" else 4)


async def test_a_picture_changes_at_a_key_frame_and_no_time_stamp_moves(pair: tuple[Encoded, Encoded]) -> None:
    async with stage(pair) as injector:
        one, other = await client(injector), await client(injector, "cam-0002")
        running = await begin(injector, "resolution_change", 0.5)
        sizes, stamps = [], []
        until = time.monotonic() + 4
        while len(sizes) < 3 and time.monotonic() < until:
            packet = await one.receive()
            stamps.append(timestamp(packet))
            if packet[12] & 0x1F == 24:
                size = struct.unpack_from(">H", packet, 13)[0]
                sizes.append(packet[15 : 15 + size])
            if len(sizes) == 2:
                injector.end(running)
        assert len(set(sizes)) == 2
        unlike = sorted({(b - a) % (1 << 32) for a, b in pairwise(stamps)})
        assert unlike == [0, 6000]
        assert injector.fleet.cameras["cam-0002"].streams["main"][0].loop.width == 320
        await one.close()
        await other.close()


async def test_stall_keeps_the_connection(pair: tuple[Encoded, Encoded]) -> None:
    async with stage(pair) as injector:
        one, other = await client(injector), await client(injector, "cam-0002")
        running = await begin(injector, "stall")
        status, _, _ = await one.ask("GET_PARAMETER", injector.server.url("cam-0001"))
        assert status == 200
        await one.falls_silent()
        await other.receive()
        injector.end(running)
        packet = await one.receive()
        assert packet[12] & 0x1F == 24, "a key frame comes first"
        await one.close()
        await other.close()


async def test_half_open_says_nothing_until_it_is_cut(pair: tuple[Encoded, Encoded]) -> None:
    async with stage(pair) as injector:
        one = await client(injector)
        running = await begin(injector, "half_open")
        one.writer.write(b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n")
        await one.falls_silent()
        new = await Client.connect(injector.server.port)
        new.writer.write(f"OPTIONS {injector.server.url('cam-0001')} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(new.reader.readexactly(1), 0.3)
        injector.end(running)
        await new.is_cut()
        await (await client(injector)).close()
        await new.close()
        await one.close()


async def test_refused_alone_and_together(pair: tuple[Encoded, Encoded]) -> None:
    async with stage(pair) as injector:
        one, other = await client(injector), await client(injector, "cam-0002")
        running = await begin(injector, "refuse")
        await one.is_cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client(injector)
        await other.receive()
        second = await begin(injector, "refuse", camera="cam-0002")
        with pytest.raises(ConnectionRefusedError):
            await _until_refused(injector.server.port)
        injector.end(running)
        injector.end(second)
        await _until_open(injector)
        await one.close()
        await other.close()


async def test_a_disconnection_is_over_at_once(pair: tuple[Encoded, Encoded]) -> None:
    async with stage(pair) as injector:
        one = await client(injector)
        running = await begin(injector, "disconnect")
        await one.is_cut()
        await _until_open(injector)
        assert running.ended_ms is not None
        assert injector.rows(running.ended_ms + 60_000)[0].near_miss
        await one.close()


async def _until_refused(port: int) -> None:
    for _ in range(200):
        with suppress(ConnectionResetError):
            await (await Client.connect(port)).close()
        await asyncio.sleep(0.01)


async def _until_open(injector: Injector) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            await (await client(injector)).close()
        except ConnectionError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        else:
            return


async def test_clock_and_time_stamps(pair: tuple[Encoded, Encoded]) -> None:
    async with stage(pair) as injector:
        await begin(injector, "wrong_clock", -3600)
        one = await client(injector)
        report = next(data for channel, data in one.packets if channel == 1)
        assert report[1] == 200
        seconds, part, rtp = struct.unpack_from(">III", report, 8)
        assert abs(seconds + part / 2**32 - NTP_EPOCH_S - time.time() + 3600) < 2
        first = timestamp(one.packets[-1][1])
        assert abs((rtp - first + (1 << 31)) % (1 << 32) - (1 << 31)) < 90_000
        await begin(injector, "timestamp_jump", 1000)
        jumped = False
        for _ in range(40):
            now = timestamp(await one.receive())
            jumped = jumped or (now - first) % (1 << 32) > 900 * 90_000
        assert jumped
        await one.close()


async def test_garbage_never_hurts_the_others(pair: tuple[Encoded, Encoded]) -> None:
    async with stage(pair) as injector:
        other = await client(injector, "cam-0002")
        one = await client(injector)
        await begin(injector, "garbage")
        noise = b""
        async with asyncio.timeout(5):
            while len(noise) < 20_000:
                noise += await one.reader.read(4096)
        for _ in range(20):
            new = await Client.connect(injector.server.port)
            new.writer.write(f"DESCRIBE {injector.server.url('cam-0001')} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
            assert await new.reader.read(100)
            await new.close()
        stamps: set[int] = set()
        while len(stamps) < 5:
            stamps.add(timestamp(await other.receive()))
        await one.close()
        await other.close()


async def test_a_slow_line_lags_and_catches_up(pair: tuple[Encoded, Encoded]) -> None:
    async with stage(pair) as injector:
        one = await client(injector)
        feed = injector.fleet.cameras["cam-0001"].streams["main"][0]
        running = await begin(injector, "slow", 0.3)
        stamp, until = 0, time.monotonic() + 1.8
        while time.monotonic() < until:
            stamp = timestamp(await one.receive())
        lag = (feed.timestamp_at(time.monotonic()) - stamp) % (1 << 32)
        assert lag > 60_000
        injector.end(running)
        async with asyncio.timeout(5):
            while (feed.timestamp_at(time.monotonic()) - timestamp(await one.receive())) % (1 << 32) > 20_000:
                pass
        assert feed.players[0].dropped == 0
        await one.close()


async def test_truth_tells_faults_and_frames(pair: tuple[Encoded, Encoded]) -> None:
    async with stage(pair) as injector:
        one = await client(injector)
        long = await begin(injector, "blur", 1.0)
        await begin(injector, "noise", 0.2, "cam-0002")
        await one.close()
        now = round(time.time() * 1000) + 400_000
        rows = {(row.code, row.kind, row.subject): row for row in ledger.rows(injector, injector.server, now)}
    blur, noise = rows["CAM-03", "blur", "cam-0001"], rows["CAM-03", "noise", "cam-0002"]
    assert (blur.detectable, blur.near_miss, blur.began_at_ms) == (True, False, long.began_ms)
    assert (noise.detectable, noise.near_miss) == (False, True)
    assert rows["SENT", "h264", "cam-0001"].figures["frames"] >= 1  # type: ignore[operator]


def test_plan_by_seed() -> None:
    cameras = [f"c{number}" for number in range(200)]
    found = drawn(0.5, cameras, 3600, 4)
    assert found == drawn(0.5, cameras, 3600, 4) != drawn(0.5, cameras, 3600, 5)
    assert len({one.camera for one in found}) == 100
    assert {one.kind for one in found} >= {*PICTURE_KINDS, "stall", "wrong_clock"}
    assert any(KINDS[one.kind].is_picture and one.value < MILD for one in found)
    assert all(0 <= one.start_s <= 3600 for one in found)
    assert drawn(0, cameras, None, 1) == []


@pytest.mark.parametrize(
    "text", ["blur", "blur@x", "nothing@1", "blur=3@1", "slow=0@1", "blur@1+", "blur@-1+3", "@1", "blur@1+2:"]
)
def test_what_is_no_fault(text: str) -> None:
    with pytest.raises(SimulatorError):
        parsed(text)


def test_written_faults() -> None:
    one = parsed("wrong_clock=-3600.5@10+60:cam-0007")
    assert (one.kind, one.value, one.start_s, one.lasts_s, one.camera) == ("wrong_clock", -3600.5, 10, 60, "cam-0007")
    assert parsed("dark@3").value == 1.0
    assert checked("dark", None)[0].code_of("night") == "CAM-04"
    assert checked("dark", None)[0].code_of("day") == "CAM-02"


def test_scenes_are_cached_and_moved_ones_keep_their_instants() -> None:
    source = SceneSource(Plan(1, replace(MAIN, gop_s=20.0, fps=0.5), replace(SUB, gop_s=20.0, fps=0.25)))
    plain = source.pair()
    assert source.pair() == plain
    moved = source.spoiled(Fault("shake", 1.0))
    assert [unit.pts for unit in moved[0].units] == [unit.pts for unit in plain[0].units]
    assert moved[0].units != plain[0].units
