"""Short loops that are encoded once a session, servers that play them, and a small RTSP client that sees everything."""

import asyncio
import re
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from simulators.cameras import audio
from simulators.cameras.camera import Camera, camera
from simulators.cameras.digest import expected, fields
from simulators.cameras.encoder import Form, LoopEncoder, instants
from simulators.cameras.loop import VIDEO_HZ, Encoded, Loop, prepared
from simulators.cameras.pattern import Pattern

MAIN = Form(320, 180, 15, 500, gop_s=1.0)
SUB = Form(160, 90, 7.5, 100, gop_s=1.0)


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Loops are kept in a folder of the session, not in the developer's."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("cache")
    patch.setenv("XDG_CACHE_HOME", str(folder))
    yield folder
    patch.undo()


def encoded(form: Form, seconds: float = 2.0, seed: int = 1) -> Encoded:
    """A short loop of the plain pattern."""
    duration = round(seconds * VIDEO_HZ)
    scene, encoder = Pattern(seed, "day", (form.width, form.height)), LoopEncoder(form, duration)
    for pts in instants(duration, form.fps):
        encoder.add(scene.frame(pts / VIDEO_HZ), pts)
    return encoder.finish()


@pytest.fixture(scope="session")
def main_loop() -> Loop:
    """A second of H.264."""
    return prepared(encoded(MAIN, 1.0))


@pytest.fixture(scope="session")
def sub_loop() -> Loop:
    """Its sub-stream."""
    return prepared(encoded(SUB, 2.0))


@pytest.fixture
def one_camera(main_loop: Loop, sub_loop: Loop) -> Camera:
    """cam-0001 with both streams."""
    return camera("cam-0001", [main_loop], [sub_loop], 7)


@pytest.fixture(scope="session")
def sound() -> dict[str, Loop]:
    """Sound tracks by kind."""
    return {kind: audio.loops(kind)[0] for kind in ("pcma", "aac")}


@dataclass
class Client:
    """An RTSP client on TCP: answers in order, packets by channel; credentials by digest when asked."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    user: str = ""
    password: str = ""
    packets: list[tuple[int, bytes]] = field(default_factory=list)
    session: str = ""
    challenge: str = ""
    _number: int = 0

    @classmethod
    async def connect(cls, port: int, user: str = "", password: str = "") -> "Client":
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        return cls(reader, writer, user, password)

    async def ask(self, method: str, url: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers in lower case and body of one request."""
        self._number += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._number}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if self.session:
            lines.append(f"Session: {self.session}")
        if self.challenge:
            given = fields(self.challenge[7:]) | {"uri": url, "username": self.user}
            given |= {"nc": "00000001", "cnonce": "abc"} if "qop" in given else {}
            given["response"] = expected(self.user, self.password, method, given)
            lines.append("Authorization: Digest " + ", ".join(f'{name}="{value}"' for name, value in given.items()))
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(10):
            while True:
                first = await self.reader.readexactly(1)
                if first == b"$":
                    await self._packet()
                    continue
                head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode()
                break
        found = dict(line.lower().split(": ", 1)[:1] + line.split(": ", 1)[1:] for line in head.split("\r\n")[1:-2])
        body = (await self.reader.readexactly(int(found.get("content-length", 0)))).decode()
        status = int(head.split(" ")[1])
        if status == 401 and self.user and not self.challenge:
            self.challenge = found["www-authenticate"]
            return await self.ask(method, url, **headers)
        return status, found, body

    async def play(self, url: str, tracks: int = 1) -> str:
        """Begins to receive; returns the SDP."""
        status, _, sdp = await self.ask("DESCRIBE", url, Accept="application/sdp")
        assert status == 200
        for track in range(tracks):
            transport = f"RTP/AVP/TCP;unicast;interleaved={2 * track}-{2 * track + 1}"
            status, headers, _ = await self.ask("SETUP", f"{url}/trackID={track}", Transport=transport)
            assert status == 200
            self.session = headers["session"].split(";")[0]
        status, headers, _ = await self.ask("PLAY", url, Range="npt=0.000-")
        assert status == 200
        self.info = headers["rtp-info"]
        return sdp

    async def _packet(self) -> tuple[int, bytes]:
        channel, size = struct.unpack(">BH", await self.reader.readexactly(3))
        one = (channel, await self.reader.readexactly(size))
        self.packets.append(one)
        return one

    async def receive(self, channel: int = 0, within_s: float = 5.0) -> bytes:
        """The next packet on a channel."""
        async with asyncio.timeout(within_s):
            while True:
                assert await self.reader.readexactly(1) == b"$"
                found, data = await self._packet()
                if found == channel:
                    return data

    async def falls_silent(self) -> None:
        """Reads what is still under way, then nothing for a while."""
        async with asyncio.timeout(10):
            with suppress(TimeoutError):
                while True:
                    await self.receive(within_s=0.7)

    async def is_cut(self) -> None:
        """Reads until the connection breaks."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await self.receive()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def timestamp(packet: bytes) -> int:
    """RTP time stamp."""
    return int.from_bytes(packet[4:8], "big")


@dataclass
class Played:
    """What ffprobe saw. pts: of video packets in the order of arrival, where it knows them; errors: its complaints."""

    frames: int
    pts: list[int]
    streams: list[dict[str, object]]
    errors: str


async def probe(url: str, *, decode: bool = True) -> Played:
    """Plays by TCP until the server ends the connection."""
    what = ["-show_frames"] if decode else []
    process = await asyncio.create_subprocess_exec(
        *("ffprobe", "-v", "warning", "-rtsp_transport", "tcp", "-show_packets", "-show_streams", *what),
        *("-count_packets", "-select_streams", "v", "-of", "json", url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    told = msgspec.json.decode(out)
    both = told.get("packets_and_frames", told.get("packets", []))
    frames = [one for one in both if one.get("type") == "frame"]
    packets = [one for one in both if one.get("type", "packet") == "packet"]
    times = [one["pts"] for one in packets if "pts" in one]
    told_errors = re.sub(r".*Timestamps are unset.*\n", "", err.decode())
    return Played(len(frames if decode else packets), times, told["streams"], told_errors)
