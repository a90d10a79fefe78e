"""WHEP over a real path: ICE, DTLS and SRTP on loopback, every packet compared with what the camera sent."""

import asyncio
import os
import random
import socket
import struct
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest

from bench.live_source import Film, Player
from bench.live_viewer import Viewer, viewer
from core.errors import InvalidInput, NotFound
from streams.hub import Hub
from streams.live import Live, NoPicture, NotPlayable, TooManyViewers
from streams.live.h264 import PPS, SPS, nal_units
from tests.streams.live.conftest import live_view, settings, until
from tests.streams.live.test_rtp import put_together


async def answered(live: Live, offer: str, stream: str = "main") -> str:
    return (await live.offer("c", stream, offer)).sdp  # type: ignore[arg-type]


def pictures(seen: Viewer) -> list[tuple[int, list[bytes]]]:
    """(timestamp, NAL units) of whole pictures, in order of sequence numbers."""
    made, parts = list[tuple[int, list[bytes]]](), list[bytes]()
    for _, stamp, is_last, payload in seen.seen.packets:
        parts.append(payload)
        if is_last:
            made.append((stamp, put_together(parts)))
            parts = []
    return made


async def test_pictures_come_as_the_camera_sent_them(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with live_view({("c", "main"): hub}) as live:
            await until(lambda: len(hub.gop()) > 8)
            async with viewer(lambda offer: answered(live, offer), keeps=True) as seen:
                await until(lambda: seen.seen.pictures >= 40)
                await until(lambda: seen.seen.reports > 0)
    got = pictures(seen)
    sent = [list(nal_units(data)) for *_, data, _ in plain.packets]
    kinds = [unit[0] & 31 for unit in got[0][1]]
    assert kinds[:2] == [SPS, PPS], "it begins with a key picture that has its parameter sets"
    start = next(n for n, units in enumerate(sent) if units == got[0][1])
    assert [units for _, units in got] == [sent[(start + n) % len(sent)] for n in range(len(got))]
    numbers = [sequence for sequence, *_ in seen.seen.packets]
    assert numbers == [(numbers[0] + n) & 0xFFFF for n in range(len(numbers))]
    steps = [(b - a) & 0xFFFFFFFF for (a, _), (b, _) in pairwise(got)]
    assert set(steps[:8]) == {1}, "pictures from before are pressed together"
    assert set(steps[-15:]) == {6000}
    assert live.stats.first_pictures.count == 1


async def test_request_for_a_key_frame_is_answered_from_what_is_kept(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with live_view({("c", "main"): hub}) as live, viewer(lambda o: answered(live, o), keeps=True) as seen:
            await until(lambda: seen.seen.pictures > 20)  # over a second: the first answer is not repeated before
            await until(lambda: 5 < len(hub.gop()) < 10)
            before = seen.seen.pictures
            await seen.ask_for_key()
            await until(lambda: live.stats.key_requests == 1)
            await until(lambda: seen.seen.pictures > before + 3)
            for _ in range(5):
                await seen.ask_for_key()
            await until(lambda: live.stats.key_requests == 6)
            await until(lambda: seen.seen.pictures > before + 20)
    got = pictures(seen)[before:]
    keys = [n for n, (_, units) in enumerate(got) if units[0][0] & 31 == SPS]
    assert keys[0] <= 2, "at once, not with the camera's next key frame"
    assert len([n for n in keys if n < 12]) <= 2, "and not once for each request"
    stamps = [stamp for stamp, _ in got]
    assert all(0 < (b - a) & 0xFFFFFFFF < 90_000 for a, b in pairwise(stamps))


async def test_silent_camera_is_not_shown_again_and_again(plain: Film) -> None:
    hub = Hub()
    async with live_view({("c", "main"): hub}) as live:
        with Player(hub, plain):
            await until(lambda: hub.gop())
            stack = AsyncExitStack()
            seen = await stack.enter_async_context(viewer(lambda o: answered(live, o)))
            await until(lambda: seen.seen.pictures > 5)
        async with stack:
            feed = live._chooser.feeds.find("c/main")
            assert feed is not None
            await until(lambda: not feed.is_fresh)
            sent = live.stats.sent_packets
            await seen.ask_for_key()
            await until(lambda: live.stats.key_requests == 1)
            assert live.stats.sent_packets == sent
            with Player(hub, plain):
                await until(lambda: live.stats.sent_packets > sent + 10)


async def test_lost_packets_are_sent_again(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with (
            live_view({("c", "main"): hub}) as live,
            viewer(lambda offer: answered(live, offer), keeps=True) as seen,
        ):
            await until(lambda: seen.seen.pictures > 5)
            lost = (seen.seen.packets[-1][0] + 20) & 0xFFFF
            seen.lose(lost)
            seen.lose(lost + 1)
            await until(lambda: (seen.seen.packets[-1][0] - lost) & 0xFFFF in range(2, 999))
            assert {lost, lost + 1}.isdisjoint(sequence for sequence, *_ in seen.seen.packets)
            await seen.ask_for_lost(lost, 0b1)
            await until(lambda: {lost, lost + 1} <= {sequence for sequence, *_ in seen.seen.packets})
            await seen.ask_for_lost((lost + 20_000) & 0xFFFF)
            known = seen.seen.pictures
            await until(lambda: seen.seen.pictures > known + 2)
            assert live.stats.repeated_packets == 2


async def test_delete_ends_a_session(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with live_view({("c", "main"): hub}) as live:
            sessions = list[str]()

            async def exchange(offer: str) -> str:
                answer = await live.offer("c", "main", offer)
                sessions.append(answer.session)
                assert (answer.shown, live.whep.camera_of(answer.session)) == ("c/main", "c")
                return answer.sdp

            async with viewer(exchange) as seen:
                await until(lambda: seen.seen.pictures)
                live.whep.trickle(sessions[0], "a=candidate:1 1 udp 1 127.0.0.1 9 typ host")
                with pytest.raises(InvalidInput):
                    live.whep.trickle(sessions[0], "a=ice-ufrag:other")
                live.whep.delete(sessions[0])
                await asyncio.wait_for(seen.ended.wait(), 5)
                assert seen.seen.goodbyes == 1
            await until(lambda: not live.feeds)
            assert live.stats.closed == {"deleted": 1}
            with pytest.raises(NotFound):
                live.whep.delete(sessions[0])


async def test_ten_viewers_leave_without_a_word(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with live_view({("c", "main"): hub}, silent_s=3) as live:
            tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
            async with AsyncExitStack() as stack:
                for _ in range(10):
                    await stack.enter_async_context(viewer(lambda offer: answered(live, offer), says_goodbye=False))
                assert (live.stats.whep, live.feeds, len(hub.readers)) == (10, 1, 1)
            await until(lambda: live.stats.whep == 0, 8)
            assert live.stats.closed == {"silent": 10}
            await until(lambda: len(asyncio.all_tasks()) <= tasks)
            assert (live.feeds, len(hub.readers), live._ports.peers, len(live._ports._known)) == (0, 0, 0, 0)
            assert (len(live._places), len(live.whep)) == (0, 0)
            assert len(os.listdir("/proc/self/fd")) <= files


async def test_goodbye_is_noticed_at_once(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with live_view({("c", "main"): hub}) as live:
            async with viewer(lambda offer: answered(live, offer)) as seen:
                await until(lambda: seen.seen.pictures)
            await until(lambda: live.stats.whep == 0, 2)
            assert live.stats.closed == {"goodbye": 1}


async def test_limits(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        hubs = {("c", "main"): hub, ("d", "main"): hub, ("e", "main"): hub}
        async with live_view(hubs, most_sessions=3, most_sessions_per_camera=2, connect_s=1.0) as live:
            offers = list[str]()

            async def noted(offer: str) -> str:
                offers.append(offer)
                return await answered(live, offer)

            async with viewer(noted):
                await live.offer("c", "main", offers[0])
                with pytest.raises(TooManyViewers, match="camera c"):
                    await live.offer("c", "main", offers[0])
                await live.offer("d", "main", offers[0])
                with pytest.raises(TooManyViewers, match="3 viewers"):
                    await live.offer("e", "main", offers[0])
                await until(lambda: live.stats.closed["not_connected"] == 2, 5)
                assert live.stats.refused == {"too_many_viewers": 2}
                with pytest.raises(InvalidInput):
                    await live.offer("e", "main", "v=0")
                with pytest.raises(NotFound):
                    await live.offer("x", "main", offers[0])
                assert len(live._places) == 1


async def test_wrong_fingerprint_is_refused(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with live_view({("c", "main"): hub}) as live:

            async def forged(offer: str) -> str:
                head, _, tail = offer.partition("sha-256 ")
                return await answered(live, head + "sha-256 " + "00" + tail[2:])

            async with viewer(forged) as seen:
                await until(lambda: live.stats.closed["refused"] == 1)
            assert not seen.seen.count
            assert not live.feeds


async def test_camera_that_sends_nothing() -> None:
    async with live_view({("c", "main"): Hub()}, first_key_s=0.2) as live:
        with pytest.raises(NoPicture):
            await live.offer("c", "main", OFFER)
        assert (live.feeds, len(live._places)) == (0, 0)


async def test_change_of_parameters_while_watching(plain: Film, smaller: Film) -> None:
    hub = Hub()
    with Player(hub, plain) as camera:
        async with live_view({("c", "main"): hub}) as live, viewer(lambda o: answered(live, o), keeps=True) as seen:
            await until(lambda: seen.seen.pictures > 3)
            camera.play(smaller)
            first = list(nal_units(smaller.packets[0][3]))
            await until(lambda: any(units == first for _, units in pictures(seen)))


async def test_b_frames_are_replaced_by_the_sub_stream(reordered: Film, plain: Film) -> None:
    main, sub = Hub(), Hub()
    with Player(main, reordered), Player(sub, plain):
        async with live_view({("c", "main"): main, ("c", "sub"): sub}) as live:
            shown = list[str]()

            async def exchange(offer: str) -> str:
                answer = await live.offer("c", "main", offer)
                shown.append(answer.shown)
                return answer.sdp

            async with viewer(exchange) as seen:
                await until(lambda: seen.seen.pictures > 3)
            assert shown == ["c/sub"]
            await until(lambda: not live.feeds)
            assert (main.readers, sub.readers) == ((), ())


@pytest.mark.parametrize("which", ["reordered", "h265"])
async def test_camera_that_changes_to_what_cannot_be_shown(
    which: str, plain: Film, request: pytest.FixtureRequest
) -> None:
    hub = Hub()
    with Player(hub, plain) as camera:
        async with live_view({("c", "main"): hub}) as live, viewer(lambda o: answered(live, o), keeps=True) as seen:
            await until(lambda: seen.seen.pictures > 3)
            camera.play(request.getfixturevalue(which))
            await asyncio.wait_for(seen.ended.wait(), 5)
            assert live.stats.closed == {"changed": 1}
            async with viewer(lambda o: answered(live, o)) as again:
                await until(lambda: again.seen.pictures > 3)
                assert live._chooser.transcodes.running == 1


async def test_camera_that_moves_to_another_worker(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with live_view({("c", "main"): hub}) as live, viewer(lambda o: answered(live, o)) as seen:
            await until(lambda: seen.seen.pictures)
            live.forget("d")
            assert not seen.ended.is_set()
            live.forget("c")
            await asyncio.wait_for(seen.ended.wait(), 5)
            await until(lambda: not hub.readers)
            assert live.stats.closed == {"moved": 1}


async def test_begins_with_a_key_frame_also_without_a_kept_gop(plain: Film) -> None:
    hub = Hub(most_gop_packets=3)  # a new reader waits for the camera's next key frame
    with Player(hub, plain):
        async with live_view({("c", "main"): hub}) as live, viewer(lambda o: answered(live, o), keeps=True) as seen:
            await until(lambda: seen.seen.pictures > 3)
    assert pictures(seen)[0][1][0][0] & 31 == SPS


async def test_garbage_on_the_path_disturbs_nobody(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with live_view({("c", "main"): hub}, connect_s=1.0) as live, viewer(lambda o: answered(live, o)) as seen:
            rng = random.Random(7)
            for size in range(1, 200):
                first = rng.choice((0, 1, 20, 22, 63, 128, 144, 200))
                await seen.send_raw(bytes((first,)) + rng.randbytes(size))
            port = live._ports.candidates[0]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for size in range(200):
                    stranger.sendto(rng.randbytes(size), port)
                    stranger.sendto(b"\0\1" + struct.pack(">HI", size, 0x2112A442) + rng.randbytes(12 + size), port)
            known = seen.seen.pictures
            await until(lambda: seen.seen.pictures > known + 5)
            assert (live.stats.whep, len(live._ports._known)) == (1, 1)


@pytest.mark.parametrize("which", ["reordered", "h265"])
async def test_transcoded_when_nothing_else_is_there(which: str, request: pytest.FixtureRequest) -> None:
    hub = Hub()
    with Player(hub, request.getfixturevalue(which)):
        hubs = {("c", "main"): hub, ("d", "main"): hub}
        async with live_view(hubs, most_transcodes=1) as live:
            async with viewer(lambda o: answered(live, o), keeps=True) as seen, viewer(lambda o: answered(live, o)):
                await until(lambda: seen.seen.pictures > 8)
                assert live._chooser.transcodes.running == 1, "two viewers share one"
                with pytest.raises(NotPlayable, match=r"sub-stream|transcoded already"):
                    await live.offer("d", "main", OFFER)
            kinds = [unit[0] & 31 for unit in pictures(seen)[0][1]]
            assert kinds[:2] == [SPS, PPS]
            await until(lambda: live._chooser.transcodes.running == 0)
            assert hub.readers == ()


OFFER = """v=0
o=- 1 1 IN IP4 127.0.0.1
m=video 9 UDP/TLS/RTP/SAVPF 96
a=recvonly
a=rtcp-mux
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;profile-level-id=42e01f
a=setup:actpass
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=fingerprint:sha-256 00
"""


async def test_live_view_that_was_restarted_serves_again(plain: Film) -> None:
    hub = Hub()
    live = Live(settings(), lambda camera, stream: hub)
    with Player(hub, plain):
        for _ in range(2):
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(live.run())
                await live.started.wait()
                async with viewer(lambda o: answered(live, o)) as seen:
                    await until(lambda: seen.seen.pictures > 2)
                    running.cancel()
                    await asyncio.wait_for(seen.ended.wait(), 5)
            assert (live.feeds, hub.readers) == (0, ())
            with pytest.raises(NoPicture, match="not running"):
                await live.offer("c", "main", OFFER)
