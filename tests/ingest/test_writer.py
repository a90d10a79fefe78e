"""Lanes and writers when things go wrong: bad rows, missing days, a store that goes away, dies, or fills up."""

import asyncio
import os
import signal
import time

import psycopg
import pytest

from core.clock import SystemClock
from core.health import Board
from core.lane import FIX, Lane
from ingest.batch import Tally
from ingest.lanes import LaneChannel, Lanes, Parcel, Piece
from ingest.metrics import IngestMetrics
from ingest.settings import LaneSettings
from ingest.writer import LaneWriter
from store.copying import NULL, pg_us
from store.embedded import EmbeddedPostgres
from store.fixes import pack_fix
from store.migrate import migrate
from store.partitions import DAY_MS, day_of
from tests.ingest.conftest import until
from tests.support.postgres import reachable_folder
from tests.support.proxy import BreakableProxy

NOTHING = (None,) * 14


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def row_of(number: int, at_ms: int, device: int = 1) -> bytes:
    return pack_fix(device, pg_us(at_ms), pg_us(at_ms), number.to_bytes(8, "big"), 0, 0, NOTHING, NULL)


def piece_of(rows: list[bytes], at_ms: int, parcel: Parcel | None = None) -> Piece:
    return Piece(parcel, FIX, rows, range(len(rows)), (day_of(at_ms),), at_ms, at_ms, sum(map(len, rows)))


class Bench:
    """One lane with its writer; counts what was acknowledged."""

    def __init__(self, dsn: str, lane: int = Lane.LIVE, **settings: object) -> None:
        self.settings = LaneSettings.model_validate({"retry_most_s": 0.3, **settings})
        self.channel = LaneChannel(int(lane), self.settings)
        self.board = Board()
        self.pieces: list[Piece] = []
        self.tallies: list[Tally] = []
        self.batches = 0
        self.writer = LaneWriter(
            dsn, self.channel, self.settings, self._settle, self.board, SystemClock(), IngestMetrics()
        )

    def _settle(self, pieces: list[Piece], tallies: list[Tally]) -> None:
        self.pieces += pieces
        self.tallies += tallies
        self.batches += 1

    @property
    def acknowledged(self) -> int:
        return sum(len(piece.rows) for piece in self.pieces)

    async def __aenter__(self) -> "Bench":
        self._task = asyncio.get_running_loop().create_task(self.writer.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def count(dsn: str, query: str = "SELECT count(*) FROM fixes") -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return int(row[0])


async def test_days_are_made_on_first_need_and_again_when_dropped(migrated_dsn: str) -> None:
    async with Bench(migrated_dsn) as bench:
        old = now_ms() - 150 * DAY_MS
        bench.channel.put([piece_of([row_of(1, old)], old)])
        await until(lambda: bench.acknowledged == 1)
        with psycopg.connect(migrated_dsn, autocommit=True) as connection:
            name = connection.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'fixes'::regclass"
            ).fetchone()
            assert name is not None
            connection.execute(f"DROP TABLE {name[0]}")
        bench.channel.put([piece_of([row_of(2, old)], old)])
        await until(lambda: bench.acknowledged == 2)
        assert count(migrated_dsn) == 1
        assert count(migrated_dsn, "SELECT count(*) FROM quarantine") == 0


async def test_a_bad_row_goes_to_quarantine_and_the_good_ones_in(migrated_dsn: str) -> None:
    at_ms = now_ms()
    async with Bench(migrated_dsn) as bench:
        bad = row_of(7, at_ms)[:-4] + (3).to_bytes(4, "big") + b"a\0b"  # extra: a NUL, which admission never lets pass
        parcel = Parcel(None)
        rows = [row_of(n, at_ms) for n in range(100)]
        rows[40] = bad
        bench.channel.put(
            [piece_of(rows, at_ms, parcel), *(piece_of([row_of(n, at_ms)], at_ms) for n in range(200, 300))]
        )
        await until(lambda: bench.acknowledged == 200)
        rejected = [place for tally in bench.tallies for place in tally.rejected]
        assert [index for index, _ in rejected] == [40]
        assert "database refuses" in rejected[0][1]
        assert count(migrated_dsn) == 199
        assert (
            count(
                migrated_dsn,
                "SELECT count(*) FROM quarantine WHERE kind = 'store' AND position('\\x610062'::bytea IN raw) > 0",
            )
            == 1
        )


async def test_repeated_batches_are_stored_once(migrated_dsn: str) -> None:
    at_ms = now_ms()
    async with Bench(migrated_dsn, batch_rows=50) as bench:
        for turn in range(3):
            bench.channel.put([piece_of([row_of(n, at_ms)], at_ms) for n in range(turn, 400 + turn)])
        await until(lambda: bench.acknowledged == 1200)
    assert count(migrated_dsn) == 402
    assert count(migrated_dsn, "SELECT sum(rows) FROM batches") == 402


async def test_lanes_interleave_and_batches_are_in_commit_order(migrated_dsn: str) -> None:
    at_ms = now_ms()
    lanes = (Lane.URGENT, Lane.LIVE, Lane.BACKFILL)
    async with (
        Bench(migrated_dsn, lanes[0]) as a,
        Bench(migrated_dsn, lanes[1]) as b,
        Bench(migrated_dsn, lanes[2]) as c,
    ):
        for number in range(300):
            for lane, bench in enumerate((a, b, c)):
                shared = row_of(number, at_ms, 9)
                bench.channel.put([piece_of([row_of(number, at_ms, lane), shared], at_ms)])
            if number % 10 == 0:
                await asyncio.sleep(0.01)
        await until(lambda: a.acknowledged == b.acknowledged == c.acknowledged == 600)
    assert count(migrated_dsn) == 1200
    assert count(migrated_dsn, "SELECT sum(rows) FROM batches") == 1200
    wrong = (
        "SELECT count(*) FROM batches x JOIN batches y ON x.seq < y.seq AND x.stored_at > y.stored_at + interval '1 s'"
    )
    assert count(migrated_dsn, wrong) == 0


async def test_a_store_that_cuts_connections_is_waited_for(migrated_dsn: str) -> None:
    host = psycopg.conninfo.conninfo_to_dict(migrated_dsn)
    async with BreakableProxy(str(host["host"]), int(str(host["port"]))) as proxy:
        dsn = psycopg.conninfo.make_conninfo(migrated_dsn, host="127.0.0.1", port=proxy.port)
        async with Bench(dsn) as bench:
            sent = 0
            for turn in range(60):
                at_ms = now_ms()
                bench.channel.put([piece_of([row_of(sent + n, at_ms) for n in range(20)], at_ms)])
                sent += 20
                if turn % 7 == 3:
                    proxy.cut()
                await asyncio.sleep(0.02)
            await until(lambda: bench.acknowledged == sent)
            assert count(migrated_dsn) == sent
            assert bench.writer.away_since is None


async def test_a_peer_that_goes_silent_loses_its_connection(migrated_dsn: str) -> None:
    host = psycopg.conninfo.conninfo_to_dict(migrated_dsn)
    async with BreakableProxy(str(host["host"]), int(str(host["port"]))) as proxy:
        dsn = psycopg.conninfo.make_conninfo(migrated_dsn, host="127.0.0.1", port=proxy.port)
        async with Bench(dsn, stuck_s=0.5) as bench:
            at_ms = now_ms()
            bench.channel.put([piece_of([row_of(1, at_ms)], at_ms)])
            await until(lambda: bench.acknowledged == 1)
            proxy.go_silent()
            bench.channel.put([piece_of([row_of(2, at_ms)], at_ms)])
            await until(lambda: bench.writer.away_since is not None)
            assert bench.acknowledged == 1
            proxy.heal()
            await until(lambda: bench.acknowledged == 2, 20)


async def test_a_full_lane_says_so_and_calls_when_half_empty(migrated_dsn: str) -> None:
    settings = LaneSettings(most_rows=1000, batch_rows=100)
    lanes = Lanes(settings)
    called: list[int] = []
    lanes.on_room(lambda: called.append(lanes.channels[Lane.LIVE].rows))
    at_ms = now_ms()
    placed = 0
    while lanes.place([(int(Lane.LIVE), piece_of([row_of(placed, at_ms)], at_ms))]):
        placed += 1
    assert placed == 1000
    assert not lanes.place([(int(Lane.BACKFILL), piece_of([b""], at_ms)), (int(Lane.LIVE), piece_of([b""], at_ms))])
    assert lanes.channels[Lane.BACKFILL].rows == 0
    channel = lanes.channels[Lane.LIVE]
    while channel.rows > 500:
        assert called == []
        assert len(await asyncio.to_thread(channel.take)) == 100
    assert called == [500]
    assert channel.has_room


async def test_the_end_writes_what_waits(migrated_dsn: str) -> None:
    at_ms = now_ms()
    async with Bench(migrated_dsn, batch_rows=100) as bench:
        bench.channel.put([piece_of([row_of(n, at_ms)], at_ms) for n in range(2000)])
        await asyncio.sleep(0)
    assert bench.acknowledged == count(migrated_dsn) == 2000
    assert not bench.channel.has_room


async def test_the_end_is_bounded_while_the_store_is_away() -> None:
    async with Bench("postgresql://nobody@127.0.0.1:1/none", drain_s=0.5) as bench:
        at_ms = now_ms()
        bench.channel.put([piece_of([row_of(1, at_ms)], at_ms)])
        await until(lambda: bench.writer.away_since is not None)
        started = time.monotonic()
    assert time.monotonic() - started < 3
    assert bench.acknowledged == 0
    assert bench.channel.rows == 1


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
async def test_what_was_acknowledged_survives_kills_of_postgresql(kills: int) -> None:
    """SIGKILL under load; the launcher starts it again; every acknowledged row is there, and none is doubled."""
    with reachable_folder() as folder:
        server = EmbeddedPostgres(folder)
        await asyncio.to_thread(server.start)
        try:
            dsn = server.dsn
            await asyncio.to_thread(migrate, dsn, "plain")
            async with Bench(dsn, Lane.LIVE, most_rows=5000, batch_rows=500) as live:
                sent = await _under_kills(server, live, kills)
                await until(lambda: live.acknowledged == sent, 60)
            assert count(dsn) == sent
            assert count(dsn, "SELECT sum(rows) FROM batches") == sent
        finally:
            await asyncio.to_thread(server.stop)


async def _under_kills(server: EmbeddedPostgres, bench: Bench, kills: int) -> int:
    sent = 0

    def send() -> None:
        nonlocal sent
        at_ms = now_ms()
        bench.channel.put([piece_of([row_of(sent, at_ms)], at_ms)])
        sent += 1

    for _ in range(kills):
        until_s = time.monotonic() + 1.0
        while time.monotonic() < until_s:
            for _ in range(500):
                if bench.channel.has_room:
                    send()
            await asyncio.sleep(0.005)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.to_thread(server.wait, 10)
        send()
        await until(lambda: bench.writer.away_since is not None)
        await asyncio.to_thread(server.start)
        await until(lambda: bench.writer.away_since is None, 30)
    return sent


async def test_a_disk_that_is_full_is_an_outage(migrated_dsn: str) -> None:
    """A stand-in for ENOSPC: the server answers 53100, as it does then."""
    with psycopg.connect(migrated_dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        connection.execute("CREATE TRIGGER no_space BEFORE INSERT ON batches EXECUTE FUNCTION no_space()")
        at_ms = now_ms()
        async with Bench(migrated_dsn) as bench:
            bench.channel.put([piece_of([row_of(n, at_ms)], at_ms) for n in range(10)])
            await until(lambda: bench.writer.away_since is not None)
            health = bench.board.get("ingest.lane.live")
            assert health is not None
            assert "disk is full" in health.why
            assert (bench.acknowledged, count(migrated_dsn)) == (0, 0)
            connection.execute("DROP TRIGGER no_space ON batches")
            await until(lambda: bench.acknowledged == 10)
            assert count(migrated_dsn) == 10
