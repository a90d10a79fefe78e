"""A real PostgreSQL for tests: one server a run, a fresh database a test; durability stays on.

Fixtures (registered in tests/conftest.py): `pg_server` (session; a running `EmbeddedPostgres`, its major from
WANGGE_TEST_PG_MAJOR, default 18), `dsn` (a fresh empty database, dropped afterwards; its role owns it and is no
superuser), `service_folder` (an empty data folder that PostgreSQL's user can reach, removed afterwards).
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from store.embedded import EmbeddedPostgres, destroy

PG_MAJOR = int(os.environ.get("WANGGE_TEST_PG_MAJOR", "18"))


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A temporary data folder that uid 65534 may pass through (pytest's own are closed to it)."""
    folder = Path(tempfile.mkdtemp(prefix="wangge-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        destroy(folder)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def pg_server() -> Iterator[EmbeddedPostgres]:
    with reachable_folder() as folder, EmbeddedPostgres(folder, major=PG_MAJOR) as server:
        yield server


@pytest.fixture
def dsn(pg_server: EmbeddedPostgres) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    database = sql.Identifier(name)
    with psycopg.connect(pg_server.admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER wangge TEMPLATE template0").format(database))
        yield pg_server.dsn.rpartition("/")[0] + "/" + name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


@pytest.fixture
def service_folder() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder
