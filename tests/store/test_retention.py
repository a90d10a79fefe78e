"""Retention drops what is past its time, on both flavours, and nothing that a reader has yet to handle."""

import psycopg
import pytest

from core.errors import LeaseLost
from core.lane import Lane
from store import retention
from store.pool import Store
from store.retention import Retention, RetentionReport
from store.settings import RetentionSettings
from tests.store.days import NOW_MS, days_ago, fix, held_lease, rows
from tests.support.facts import FactWriter, instant

FIX_DAYS = (
    "SELECT DISTINCT ((date_part('epoch', fixed_at) * 1000)::bigint - 1795527045000) / 86400000 FROM fixes ORDER BY 1"
)
BATCHES = "SELECT lane, count(*) FROM batches GROUP BY 1 ORDER BY 1"


async def run(store: Store, **settings: int) -> RetentionReport:
    lease = await held_lease(store)
    try:
        return await Retention(store, lease, RetentionSettings(**settings)).run(NOW_MS)
    finally:
        await lease.release()


def set_cursor(dsn: str, reader: str, lane: int, seq: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO cursors (reader, family, lane, seq) VALUES (%s, 'fix', %s, %s)"
            " ON CONFLICT (reader, family, lane) DO UPDATE SET seq = EXCLUDED.seq",
            (reader, lane, seq),
        )


def age_batches(dsn: str, days: float) -> list[int]:
    """Makes the batches so far look stored that long ago; returns their seqs."""
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE batches SET stored_at = %s", (instant(days_ago(days)),))
        return [row[0] for row in connection.execute("SELECT seq FROM batches ORDER BY seq")]


async def test_whole_days_past_the_retention_go(either_store: Store) -> None:
    with FactWriter(either_store.dsn) as writer:
        for days in (200, 182, 180, 1):  # 180: admission may still take facts of that day
            writer.fixes([fix(days_ago(days))])
    report = await run(either_store)
    assert len(report.dropped["fixes"]) == 2
    assert report.held == {}
    assert await rows(either_store, FIX_DAYS) == [(-180,), (-1,)]
    assert (await run(either_store)).dropped == {}


async def test_days_that_a_reader_has_yet_to_handle_stay(either_store: Store) -> None:
    dsn = either_store.dsn
    with FactWriter(dsn) as writer:
        for days in (300, 250, 200):
            writer.fixes([fix(days_ago(days))], Lane.BACKFILL)
    seqs = age_batches(dsn, 3)
    set_cursor(dsn, "rules", Lane.BACKFILL, seqs[-1])
    set_cursor(dsn, "rollup", Lane.BACKFILL, seqs[0])
    report = await run(either_store)
    assert len(report.dropped["fixes"]) == 1
    assert report.held == {"fixes": 2}
    assert [(c.reader, c.family, c.lane, c.seq, c.waiting_since_ms) for c in report.stuck] == [
        ("rollup", "fix", 2, seqs[0], days_ago(3))
    ]
    assert await rows(either_store, FIX_DAYS) == [(-250,), (-200,)]
    set_cursor(dsn, "rollup", Lane.BACKFILL, seqs[-1])
    report = await run(either_store)
    assert len(report.dropped["fixes"]) == 2
    assert report.stuck == []


async def test_batches_go_when_every_reader_is_past_them(store: Store) -> None:
    with FactWriter(store.dsn) as writer:
        for n in range(6):
            writer.fixes([fix(days_ago(1) + n)], Lane.LIVE)
        writer.fixes([fix(days_ago(1) + 99)], Lane.URGENT)
        seqs = age_batches(store.dsn, 3)
        writer.fixes([fix(days_ago(1) + 100)], Lane.LIVE)
        writer.connection.execute("UPDATE batches SET stored_at = %s WHERE seq > %s", (instant(NOW_MS), seqs[-1]))
    set_cursor(store.dsn, "rules", Lane.LIVE, seqs[3])
    report = await run(store)
    assert report.deleted["batches"] == 4
    assert await rows(store, BATCHES) == [(0, 1), (1, 3)]
    assert [c.reader for c in report.stuck] == ["rules"]


async def test_large_amounts_go_in_small_transactions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 3)
    with FactWriter(store.dsn) as writer:
        for n in range(10):
            writer.fixes([fix(days_ago(1) + n)])
    set_cursor(store.dsn, "rules", Lane.LIVE, age_batches(store.dsn, 3)[-1])
    assert (await run(store)).deleted["batches"] == 10


async def test_batches_that_nobody_reads_yet_stay_as_long_as_their_facts(store: Store) -> None:
    """A reader of a later version must find what was acknowledged before it came."""
    with FactWriter(store.dsn) as writer:
        for days in (182, 179, 3):
            writer.fixes([fix(days_ago(days))], Lane.BACKFILL)
    age_batches(store.dsn, 3)
    assert (await run(store)).deleted["batches"] == 1
    assert (await run(store)).deleted == {}
    assert await rows(store, BATCHES) == [(2, 2)]


async def test_a_busy_table_is_left_for_the_next_run(store: Store) -> None:
    with FactWriter(store.dsn) as writer:
        writer.fixes([fix(days_ago(300))])
        with writer.open_batch():
            writer.put_fixes([fix(days_ago(1))], Lane.LIVE)
            report = await run(store)
        assert report.postponed == ["fixes"]
        assert list((await run(store)).dropped) == ["fixes"]


async def test_a_lost_lease_drops_nothing(store: Store) -> None:
    with FactWriter(store.dsn) as writer:
        writer.fixes([fix(days_ago(300))])
    lease = await held_lease(store, "old")
    with psycopg.connect(store.dsn) as connection:
        connection.execute("UPDATE leases SET holder = 'new', epoch = epoch + 1")
    with pytest.raises(LeaseLost):
        await Retention(store, lease, RetentionSettings()).run(NOW_MS)
    assert await rows(store, FIX_DAYS) == [(-300,)]


async def test_other_rows_past_their_time_go(either_store: Store) -> None:
    old, new = instant(days_ago(2500)), instant(days_ago(0.5))
    with psycopg.connect(either_store.dsn) as c:
        for n, at in enumerate((old, new)):
            c.execute("INSERT INTO ready_spans (role, holder, since, until) VALUES ('ingest', 'x', %s, %s)", (at, at))
            c.execute("INSERT INTO devices (id, kind) VALUES (%s, 'handset')", (f"h{n}",))
            for delivered, expires in ((at, None), (None, at), (None, None)):
                c.execute(
                    "INSERT INTO downlink (device, topic, payload, created_at, delivered_at, expires_at)"
                    " SELECT key, 't', 'p', %s, %s, %s FROM devices LIMIT 1",
                    (at, delivered, expires),
                )
            for name, step in ((str(n), "archived"), (f"{n}open", "reported")):
                c.execute(
                    "INSERT INTO grid_events (id, key, code, severity, level, division, subject, subject_kind,"
                    " began_at, detected_at, step, changed_seq) VALUES (%(name)s, %(name)s, 'TRK-01', 1, 'grid', '',"
                    " 'x', 'handset', %(at)s, %(at)s, %(step)s, 1)",
                    {"name": name, "at": at, "step": step},
                )
            c.execute(
                "INSERT INTO event_changes (seq, event_id, version, what, who) VALUES (%s, %s, 1, 'opened', 'x')",
                (n + 1, str(n)),
            )
    report = await run(either_store)
    assert {t: n for t, n in report.deleted.items() if t != "batches"} == {
        "ready_spans": 1,
        "downlink": 3,
        "grid_events": 1,
    }
    assert await rows(either_store, "SELECT id FROM grid_events ORDER BY 1") == [("0open",), ("1",), ("1open",)]
    assert await rows(either_store, "SELECT event_id FROM event_changes") == [("1",)]
