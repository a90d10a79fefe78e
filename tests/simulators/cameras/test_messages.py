"""RTSP messages: what is read from them, and that nothing that anybody sends breaks the server."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.cameras import Server
from simulators.cameras.camera import Camera
from simulators.cameras.digest import Gate, expected
from simulators.cameras.messages import (
    Interleaved,
    MessageError,
    MessageReader,
    Request,
    Target,
    channels,
    response,
    target,
)
from tests.simulators.cameras.conftest import Client

WHOLE = (
    b"DESCRIBE rtsp://h/cam-0001 RTSP/1.0\r\nCSeq: 2 \r\naccept: application/sdp\r\n\r\n"
    b"$\x01\x00\x03abc"
    b"\r\nSET_PARAMETER * RTSP/1.0\nCSeq: 3\nContent-Length: 4\n\nbody"
)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_messages_in_pieces(size: int) -> None:
    reader = MessageReader()
    found = [one for at in range(0, len(WHOLE), size) for one in reader.feed(WHOLE[at : at + size])]
    assert found == [
        Request("DESCRIBE", "rtsp://h/cam-0001", "1.0", {"cseq": "2", "accept": "application/sdp"}),
        Interleaved(1, b"abc"),
        Request("SET_PARAMETER", "*", "1.0", {"cseq": "3", "content-length": "4"}, b"body"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\n\n",
        b"PLAY x RTSP/1.0\r\nnonsense\r\n\r\n",
        b"PLAY x RTSP/1.0\r\nContent-Length: 99999999\r\n\r\n",
        b"PLAY x RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
        b"P" * 20_000,
    ],
)
def test_what_is_no_request(data: bytes) -> None:
    with pytest.raises(MessageError):
        MessageReader().feed(data)


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([WHOLE[:70], b"$", b"\r\n\r\n", b" RTSP/1.0\r\n"]))))
def test_the_reader_never_breaks(pieces: list[bytes]) -> None:
    reader = MessageReader()
    try:
        for piece in pieces:
            for one in reader.feed(piece):
                if isinstance(one, Request):
                    target(one.url)
                    response(400, one)
    except MessageError:
        pass


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("rtsp://h:1/cam-0001", Target("cam-0001", "main", None)),
        ("rtsp://h/cam-0001/", Target("cam-0001", "main", None)),
        ("rtsp://h/cam-0001/sub", Target("cam-0001", "sub", None)),
        ("rtsp://h/cam-0001/sub/trackID=1", Target("cam-0001", "sub", 1)),
        ("rtsp://h/cam-0001?channel=1&subtype=0/trackID=0", Target("cam-0001", "main", 0)),
        ("rtsp://h/cam-0001/sub?x=/../trackID=0", Target("cam-0001", "sub", 0)),
        ("rtsp://h/%E5%8D%97%E9%97%A8", Target("南门", "main", None)),
        ("*", Target("*", "main", None)),
        ("rtsp://h/", None),
        ("rtsp://h/a/b/c", None),
        ("rtsp://h/a/third", None),
    ],
)
def test_addresses(url: str, found: Target | None) -> None:
    assert target(url) == found


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=2-3", (2, 3)),
        ("RTP/AVP/TCP;unicast;interleaved=4", (4, 5)),
        ("RTP/AVP/TCP", (-1, -1)),
        ("RTP/AVP;unicast;client_port=1-2,RTP/AVP/TCP;interleaved=0-1", (0, 1)),
        ("RTP/AVP;unicast;client_port=1-2", None),
        ("RTP/AVP/TCP;interleaved=255-256", None),
        ("RTP/AVP/TCP;interleaved=1-1", None),
        ("", None),
    ],
)
def test_transports(header: str, found: tuple[int, int] | None) -> None:
    assert channels(header) == found


def test_digest_by_the_published_values() -> None:
    given_ = {"realm": "IP Camera(12345)", "nonce": "9f1c2d3e4b5a69788796a5b4c3d2e1f0"}
    base = "rtsp://192.0.2.10:554/Streaming/Channels/101"
    wanted = [
        ("DESCRIBE", base, "7d583eafbd44176426604fa435df6eb7"),
        ("SETUP", base + "/trackID=1", "c343b1988e36cb557ef86e5e82f1938f"),
        ("PLAY", base + "/", "e434b68a3573948d0b22a1bad6760b38"),
    ]
    for method, uri, result in wanted:
        assert expected("admin", "Pass1234", method, given_ | {"uri": uri}) == result


def test_gate() -> None:
    gate = Gate("admin", "secret")
    fields = {"realm": "Wangge camera", "nonce": gate.nonce, "uri": "rtsp://h/c"}
    header = "Digest " + ", ".join(
        f'{name}="{value}"'
        for name, value in (
            fields | {"username": "admin", "response": expected("admin", "secret", "PLAY", fields)}
        ).items()
    )
    assert gate.admits("PLAY", header)
    assert not gate.admits("SETUP", header)
    assert not gate.admits("PLAY", header.replace(gate.nonce, "0"))
    assert not any(gate.admits("PLAY", one) for one in (None, "", "Basic YTpi", "Digest", "Digest response=ü"))


async def test_states_and_refusals(one_camera: Camera) -> None:
    async with Server([one_camera]) as server:
        client, url = await Client.connect(server.port), server.url("cam-0001")
        tcp = "RTP/AVP/TCP;unicast;interleaved=0-1"
        assert (await client.ask("OPTIONS", "*"))[0] == 200
        assert (await client.ask("DESCRIBE", server.url("nobody")))[0] == 404
        assert (await client.ask("PLAY", url))[0] == 454
        assert (await client.ask("SETUP", url + "/trackID=7", Transport=tcp))[0] == 404
        assert (await client.ask("SETUP", url + "/trackID=0", Transport="RTP/AVP;unicast;client_port=1-2"))[0] == 461
        assert (await client.ask("RECORD", url))[0] == 501
        assert (await client.ask("SETUP", url + "/trackID=0", Transport=tcp, Session="other"))[0] == 200
        assert (await client.ask("SETUP", url + "/trackID=0", Transport=tcp, Session="other"))[0] == 454
        assert (await client.ask("PLAY", url, Session="other"))[0] == 454
        await client.close()
        await client.is_cut()


async def test_pause_and_tear_down(one_camera: Camera) -> None:
    async with Server([one_camera]) as server:
        client, url = await Client.connect(server.port), server.url("cam-0001", "sub")
        sdp = await client.play(url)
        assert "m=video 0 RTP/AVP 96" in sdp
        assert "sprop-parameter-sets=" in sdp
        await client.receive()
        assert (await client.ask("PAUSE", url))[0] == 200
        await client.falls_silent()
        assert (await client.ask("PLAY", url))[0] == 200
        await client.receive()
        assert (await client.ask("TEARDOWN", url))[0] == 200
        await client.falls_silent()
        assert [one.stream for one in server.sent] == ["sub"]
        assert server.sent[0].frames > 1
        await client.close()


async def test_a_session_that_says_nothing_ends(one_camera: Camera) -> None:
    async with Server([one_camera], session_s=0.6) as server:
        client = await Client.connect(server.port)
        await client.play(server.url("cam-0001"))
        async with asyncio.timeout(5):
            await client.is_cut()
        await client.close()


async def test_a_slow_reader_costs_bounded_memory(one_camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.cameras.feed.MOST_WAITING", 20_000)
    feed = one_camera.streams["main"][0]
    async with Server([one_camera]) as server:
        client = await Client.connect(server.port)
        await client.play(server.url("cam-0001"))
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        player = feed.players[0]
        async with asyncio.timeout(10):
            while player.dropped == 0:
                feed.start_s -= 5.0
                await asyncio.sleep(0.02)
        assert player.connection.waiting() < 20_000 + max(len(one.packets.template) for one in feed.loop.units)
        client.writer.transport.abort()
        await client.close()


REQUESTS = st.sampled_from(["OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "ANNOUNCE"])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n "), min_size=1, max_size=30)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is nearly right."""
    url = draw(st.one_of(TEXT, st.sampled_from(["rtsp://h/cam-0001", "rtsp://h/cam-0001/trackID=0", "rtsp://h/?/"])))
    names = st.sampled_from(["Transport", "Session", "Range", "CSeq", "Authorization", "Content-Length"])
    values = st.one_of(TEXT, st.sampled_from(["RTP/AVP/TCP;interleaved=0-1", "1", "Digest a=b"]))
    headers = draw(st.lists(st.tuples(names, values), max_size=4))
    lines = [f"{draw(REQUESTS)} {url} RTSP/1.0", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode()


async def test_rubbish_never_disturbs_another_client(one_camera: Camera) -> None:
    cases: list[bytes] = []

    @settings(max_examples=150, database=None)
    @given(st.one_of(requests(), st.binary(max_size=80)))
    def draw(case: bytes) -> None:
        cases.append(case)

    draw()
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    async with Server([one_camera]) as server:
        good = await Client.connect(server.port)
        await good.play(server.url("cam-0001"))
        for case in cases:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(case + b"\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            writer.write_eof()
            async with asyncio.timeout(5):
                await reader.read(64)
            writer.transport.abort()
        await good.receive()
        await good.close()
    assert failures == []
