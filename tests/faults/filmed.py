"""Cameras that a real service records, for fault tests: simulated ones in this process, and their ground truth.

What is held against each other: pictures that each connection was sent (the simulator counts them) and pictures in the
files of the run that came of it (ffprobe decodes them), rows and files, gaps and what was told of them.
"""

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import psycopg

from core.camera import KindCode
from simulators.cameras.camera import Camera, camera
from simulators.cameras.server import Sent
from store.settings import StoreSettings
from tests.faults.harness import Up, rows, running, until
from tests.support.rtsp import FPS, Street, loop
from wangge.doctor_footage import examine, readable_dsn

HANGING_UP = 6
"""Pictures that may be on their way when a connection is closed in peace."""
MOST_LOST = FPS
"""Pictures that a killed worker may lose of a stream: one second."""


class Part(NamedTuple):
    """A run of footage. pictures: in its files, by their rows. Times: epoch seconds."""

    reason: str
    began_s: float
    ended_s: float
    pictures: int


@dataclass
class Film:
    """A service that records the cameras of a street; made by `filming`."""

    up: Up
    street: Street
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.up.data / "footage"

    @property
    def names(self) -> list[str]:
        """Of the cameras."""
        return list(self.street.server.cameras)

    @property
    def worker(self) -> psutil.Process:
        """The camera worker of this moment. Raises StopIteration while there is none."""
        return next(one for one in psutil.Process(self.up.pid).children() if "wangge.camera_process" in one.cmdline())

    @property
    def bearer(self) -> dict[str, str]:
        """Of the local administrator."""
        return {"Authorization": f"Bearer {(self.up.data / 'local-token').read_text().strip()}"}

    def client(self) -> httpx.AsyncClient:
        """The console's, as the local administrator."""
        return httpx.AsyncClient(base_url=self.up.http, headers=self.bearer, trust_env=False, timeout=30)

    def add(self, *names: str) -> None:
        """Registers cameras of the street (all of them: no name)."""
        with psycopg.connect(self.up.dsn) as connection:
            for name in names or self.names:
                sub = {"sub_url": self.street.url(name, "sub")} if "sub" in self.street.camera(name).streams else {}
                connection.execute(
                    "INSERT INTO devices (id, kind, url, settings) VALUES (%s, 'camera', %s, %s)",
                    (name, self.street.url(name), json.dumps(sub)),
                )

    def streams(self, *names: str) -> list[tuple[str, str]]:
        """(camera, stream) of some cameras, of all without a name."""
        return [(name, stream) for name in names or self.names for stream in self.street.camera(name).streams]

    def sent(self, name: str, stream: str = "main") -> list[Sent]:
        """What each connection was sent that got pictures, the oldest first."""
        found = [one for one in self.street.sent(name) if one.stream == stream and one.frames]
        return sorted(found, key=lambda one: one.began_at_ms)

    async def recorded(self, *names: str, pictures: int = 2 * FPS, seconds: float = 40) -> None:
        """Waits until every stream was sent more pictures, in a connection that is open."""
        wanted = {one: self._open(*one) + pictures for one in self.streams(*names)}

        def came() -> bool:
            return all(self._open(*one) >= least for one, least in wanted.items())

        await until(came, seconds, f"pictures of {list(wanted)} ({self.up.said})")

    def _open(self, name: str, stream: str) -> int:
        return sum(one.frames for one in self.sent(name, stream) if one.ended_at_ms is None)

    async def again(self, since_ms: int, *names: str, seconds: float = 40) -> float:
        """Waits until every stream gets pictures in a connection begun after an instant; seconds until the last."""

        def later() -> list[int]:
            found = []
            for one in self.streams(*names):
                newest = self.sent(*one)[-1:]
                found += [sent.began_at_ms for sent in newest if sent.began_at_ms > since_ms and not sent.ended_at_ms]
            return found if len(found) == len(self.streams(*names)) else []

        began: list[int] = await until(later, seconds, f"cameras to be read again ({self.up.said})")
        return (max(began) - since_ms) / 1000

    async def events(self, code: str, name: str | None = None) -> list[dict[str, Any]]:
        """Grid events of a code, as the store has them now."""
        query = (
            "SELECT subject, began_at, ended_at, causes FROM grid_events WHERE code = %s AND (%s::text IS NULL"
            " OR subject = %s) ORDER BY began_at"
        )
        found = await asyncio.to_thread(rows, self.up.dsn, query, code, name, name)
        return [dict(zip(("subject", "began_at", "ended_at", "causes"), row, strict=True)) for row in found]

    async def gaps(self, name: str, stream: str = "main") -> list[dict[str, Any]]:
        """What was told of missing footage."""
        return await asyncio.to_thread(_gaps, self.up.dsn, name, stream)

    async def agrees(self, seconds: float = 40) -> None:
        """Waits until the doctor finds files and rows to agree, all files read, and what killed workers left open is
        closed (they hold the cleaner's lease for 15 s more)."""

        async def complaints() -> list[str]:
            lines = await asyncio.to_thread(examine, self.up.dsn, self.up.data, StoreSettings(), every_file=True)
            (count,) = rows(self.up.dsn, "SELECT count(*) FROM footage_segments WHERE state = 0")[0]
            left = [f"{count} files are open"] if count > len(self.streams()) else []
            return left + [text for state, text in lines if state != "ok"]

        deadline = time.monotonic() + seconds
        while found := await complaints():
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.5)

    async def stop(self, *spoiled: str) -> "Reel":
        """SIGTERM; within 15 s it is over with status 0, and then everything is looked at.

        spoiled: cameras whose pictures were garbage, which ffprobe may say.
        """
        began = time.monotonic()
        assert await self.up.stop() == 0, self.up.said
        took_s = time.monotonic() - began
        assert took_s < 15
        print(f"ended in {took_s:.1f} s")
        return await asyncio.to_thread(Reel.of, self, spoiled)

    def parts(self, dsn: str, name: str, stream: str) -> list[Part]:
        """The runs of a stream in order."""
        query = (
            "SELECT r.reason, date_part('epoch', min(s.start_at)), date_part('epoch', max(s.end_at)), sum(s.samples)"
            " FROM footage_segments s JOIN footage_runs r ON r.id = s.run JOIN devices d ON d.key = s.camera"
            " WHERE d.id = %s AND s.stream = %s GROUP BY r.id ORDER BY 2"
        )
        return [Part(*row[:3], int(row[3])) for row in rows(dsn, query, name, int(stream == "sub"))]


@dataclass(frozen=True)
class Reel:
    """What a service left behind that has ended: its files all closed and played, its rows read."""

    sent: dict[tuple[str, str], list[Sent]]
    parts: dict[tuple[str, str], list[Part]]
    gaps: dict[tuple[str, str], list[dict[str, Any]]]

    @classmethod
    def of(cls, film: Film, spoiled: Collection[str] = ()) -> "Reel":
        """Blocking; fails where a file, its row and ffprobe do not agree, and where the doctor finds anything."""
        with readable_dsn(None, film.up.data, StoreSettings()) as dsn:
            assert dsn is not None
            lines = examine(dsn, film.up.data, StoreSettings(), every_file=True)
            assert [line for line in lines if line[0] != "ok"] == []
            query = (
                "SELECT d.id, s.stream, s.day, s.run, s.n, s.state, s.samples, s.bytes FROM footage_segments s"
                " JOIN devices d ON d.key = s.camera"
            )
            for name, stream, day, run, n, state, samples, size in rows(dsn, query):
                path = film.folder / name / ("main", "sub")[stream] / str(day) / f"{run}-{n}.mp4"
                assert state == 1, f"{path} is still open by its row"
                assert path.stat().st_size == size
                assert name in spoiled or played(path) == samples, path
            streams = film.streams()
            return cls(
                {one: film.sent(*one) for one in streams},
                {one: film.parts(dsn, *one) for one in streams},
                {one: _gaps(dsn, *one) for one in streams},
            )

    def lost(self, name: str, stream: str = "main") -> list[int]:
        """Pictures that each connection was sent and that are in no file, the oldest connection first."""
        sent, parts = self.sent[name, stream], self.parts[name, stream]
        found = []
        for number, one in enumerate(sent):
            from_s = one.began_at_ms / 1000 - 0.5
            to_s = sent[number + 1].began_at_ms / 1000 - 0.5 if number + 1 < len(sent) else float("inf")
            found.append(one.frames - sum(part.pictures for part in parts if from_s <= part.began_s < to_s))
        print(f"{name}/{stream}: sent {[one.frames for one in sent]}, lost {found}")
        return found

    def undisturbed(self, *names: str) -> None:
        """These cameras were read in one connection and recorded in one run, and every picture is there."""
        for one in [one for one in self.sent if one[0] in names]:
            (lost,) = self.lost(*one)
            assert 0 <= lost <= HANGING_UP
            assert [part.reason for part in self.parts[one]] == ["start"]
            assert self.gaps[one] == []

    def told(self, name: str, stream: str = "main", least_s: float = 3.0) -> list[str]:
        """Reasons of the gaps between runs that are longer than `least_s`; fails when one was not told as it is.

        A run of less than 2.5 s that was killed may have had no row yet: then what is told begins before it.
        """
        reasons = []
        for before, after in pairwise(self.parts[name, stream]):
            if after.began_s - before.ended_s < least_s:
                continue
            covering = [
                gap
                for gap in self.gaps[name, stream]
                if gap["from_ms"] < after.began_s * 1000 and gap["to_ms"] > before.ended_s * 1000
            ]
            assert covering, (before, after, self.gaps[name, stream])
            early_s = before.ended_s - min(gap["from_ms"] for gap in covering) / 1000
            assert abs(early_s) < 1.0 or before.ended_s - before.began_s < 2.5, (covering, before)
            assert abs(max(gap["to_ms"] for gap in covering) / 1000 - after.began_s) < 1.0, (covering, after)
            reasons += [gap["reason"] for gap in covering]
        return reasons


def played(path: Path) -> int:
    """Pictures that ffprobe decodes; fails when it has anything to say."""
    done = subprocess.run(
        ["ffprobe", "-v", "warning", "-of", "json", "-select_streams", "v", "-show_entries", "frame=pts", path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), (path, done.stderr)
    shown = [frame["pts"] for frame in json.loads(done.stdout)["frames"]]
    assert all(a < b for a, b in pairwise(shown)), f"{path}: time goes back"
    return len(shown)


def _gaps(dsn: str, name: str, stream: str) -> list[dict[str, Any]]:
    query = (
        "SELECT f.figures FROM camera_facts f JOIN devices d ON d.key = f.device WHERE d.id = %s AND f.kind = %s"
        " AND f.figures->>'stream' = %s ORDER BY f.at"
    )
    return [row[0] for row in rows(dsn, query, name, int(KindCode.GAP), stream)]


def cameras(names: Iterable[str] = "abc") -> list[Camera]:
    """Cameras of one letter; `a` has a sub-stream."""
    sub = loop(width=160, height=90)
    return [camera(name, [loop()], [sub] if name == "a" else [], seed) for seed, name in enumerate(names)]


@contextlib.contextmanager
def street_of(made: list[Camera], **options: Any) -> Iterator[Street]:
    """A running street."""
    street = Street(made, **options)
    try:
        yield street
    finally:
        street.close()


@asynccontextmanager
async def filming(data: Path, names: Iterable[str] = "abc", **environment: str) -> AsyncIterator[Film]:
    """A service that records these cameras when the block begins."""
    with street_of(cameras(names)) as street:
        film = Film(Up(data, **environment), street)
        async with running(film.up):
            film.add()
            await film.recorded()
            yield film


def now_ms() -> int:
    """Epoch milliseconds."""
    return round(datetime.now(UTC).timestamp() * 1000)
