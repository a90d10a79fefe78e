"""The audit log: append-only, chained, and tampering found: changed, removed, newest removed, rewritten."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from core.errors import StoreError
from store import audit
from store.audit_seal import Sealer
from store.audit_verify import Verdict, verify
from store.pool import Store
from store.session import connect


async def fill(store: Store, folder: Path, rows: int = 5) -> Sealer:
    for n in range(rows):
        async with store.transaction() as connection:
            await audit.record(connection, audit.Entry("operator:x", "track.read", target=f"h{n}"))
    sealer = Sealer(store, folder)
    assert await sealer.seal() == rows
    await sealer.sign()
    return sealer


def checked(dsn: str, folder: Path) -> Verdict:
    with connect(dsn) as connection:
        return verify(connection, folder)


def tamper(dsn: str, *statements: str) -> None:
    """As somebody who owns the database could."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE audit_log DISABLE TRIGGER USER")
        for statement in statements:
            connection.execute(statement.encode())
        connection.execute("ALTER TABLE audit_log ENABLE TRIGGER USER")


async def test_an_untouched_log_is_intact(store: Store, tmp_path: Path) -> None:
    await fill(store, tmp_path)
    assert checked(store.dsn, tmp_path) == Verdict(5, 0, 1, ())
    async with store.transaction() as connection:
        await audit.record(connection, audit.Entry("operator:y", "audit.read"))
    assert checked(store.dsn, tmp_path).waiting == 1


@pytest.mark.parametrize("place", [-3, 1_000_000])
async def test_rows_put_in_by_another_hand(store: Store, tmp_path: Path, place: int) -> None:
    """Far behind the sealer, or so far ahead that the sealer would pass over all that follows."""
    forged = f"INSERT INTO audit_log (seq, who, action) OVERRIDING SYSTEM VALUE VALUES ({place}, 'operator:z', 'x')"
    with connect(store.dsn) as connection:
        connection.execute("ALTER TABLE audit_log ALTER COLUMN seq RESTART WITH 20001")
    sealer = await fill(store, tmp_path)
    tamper(store.dsn, forged)
    await sealer.seal()
    async with store.transaction() as connection_:
        await audit.record(connection_, audit.Entry("operator:y", "audit.read"))
    await sealer.seal()
    (fault,) = checked(store.dsn, tmp_path).faults
    assert "1 rows from" in fault
    assert "not in the chain" in fault


async def test_rows_cannot_be_changed_by_the_application(store: Store) -> None:
    async with store.transaction() as connection:
        await audit.record(connection, audit.Entry("operator:x", "track.read"))
    for statement in ("UPDATE audit_log SET who = 'z'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with store.connection() as connection:
                await connection.execute(statement)


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (("UPDATE audit_log SET who = 'operator:z' WHERE seq = 3",), "Row 3 (place 3 of the chain) was changed"),
        (("UPDATE audit_log SET details = '{\"a\": 1}' WHERE seq = 5",), "Row 5 (place 5 of the chain) was changed"),
        (("DELETE FROM audit_log WHERE seq = 2",), "Row 2 (place 2 of the chain) was removed"),
        (("DELETE FROM audit_log WHERE seq = 2", "DELETE FROM audit_seals WHERE n = 2"), "Seals 2 to 2"),
        (
            ("DELETE FROM audit_log WHERE seq > 3", "DELETE FROM audit_seals WHERE n > 3"),
            "newest 2 sealed rows were removed",
        ),
        (("DELETE FROM audit_log", "DELETE FROM audit_seals"), "newest 5 sealed rows were removed"),
        (("DELETE FROM audit_log WHERE seq = 1", "DELETE FROM audit_seals WHERE n = 1"), "Seals 1 to 1"),
    ],
)
async def test_tampering_is_found(store: Store, tmp_path: Path, statements: tuple[str, ...], said: str) -> None:
    await fill(store, tmp_path)
    await asyncio.to_thread(tamper, store.dsn, *statements)
    faults = checked(store.dsn, tmp_path).faults
    assert any(said in fault for fault in faults), faults


async def test_a_rewritten_chain_differs_from_the_signed_heads(store: Store, tmp_path: Path) -> None:
    await fill(store, tmp_path)
    await asyncio.to_thread(tamper, store.dsn, "UPDATE audit_log SET who = 'operator:z'", "DELETE FROM audit_seals")
    async with store.connection() as connection:
        assert await audit.seal(connection) == 5
    faults = checked(store.dsn, tmp_path).faults
    assert len(faults) == 1
    assert "rewritten" in faults[0]


async def test_a_forged_head_file_is_found(store: Store, tmp_path: Path) -> None:
    await fill(store, tmp_path)
    file = next(tmp_path.glob("heads-*.ndjson"))  # noqa: ASYNC240
    assert file.stat().st_mode & 0o077 == 0
    file.write_text(file.read_text().replace('"n": 5', '"n": 4'))
    assert "not what the sealer wrote" in checked(store.dsn, tmp_path).faults[0]
    with pytest.raises(StoreError):
        checked(store.dsn, tmp_path / "elsewhere")


async def test_rows_that_commit_late_are_chained(store: Store, tmp_path: Path) -> None:
    async with store.transaction() as slow:
        await audit.record(slow, audit.Entry("operator:slow", "track.read"))
        await fill(store, tmp_path, 3)
    sealer = Sealer(store, tmp_path)
    assert await sealer.seal() == 1
    await sealer.sign()
    assert checked(store.dsn, tmp_path) == Verdict(4, 0, 2, ())


async def test_retention_keeps_an_anchor(store: Store, tmp_path: Path) -> None:
    sealer = await fill(store, tmp_path)
    await asyncio.to_thread(tamper, store.dsn, "SELECT 1")
    cut = datetime.now(UTC) - timedelta(days=365)
    async with store.transaction() as connection:
        assert await audit.drop_before(connection, cut) == 0
    async with store.connection() as connection:
        row = await (await connection.execute("SELECT at FROM audit_log WHERE seq = 3")).fetchone()
    assert row is not None
    async with store.transaction() as connection:
        assert await audit.drop_before(connection, row[0]) == 2
    assert await sealer.seal() == 1
    await sealer.sign()
    verdict = checked(store.dsn, tmp_path)
    assert verdict.faults == ()
    assert verdict.rows == 4
