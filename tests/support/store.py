"""A migrated database for tests, and a Store on it.

Fixtures: `migrated_dsn` (plain flavour, a fresh copy of a template migrated once a run, dropped afterwards), `store`
(an open Store on it), `timescale_dsn` and `either_store` (the same on both flavours). Registered in tests/conftest.py.
"""

import os
import secrets
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.pool import Store

TEMPLATE = "wangge_template"


@pytest.fixture(scope="session")
def _template(pg_server: EmbeddedPostgres) -> str:
    with psycopg.connect(pg_server.admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER wangge TEMPLATE template0").format(sql.Identifier(TEMPLATE)))
    migrate(pg_server.dsn.rpartition("/")[0] + "/" + TEMPLATE, "plain")
    return TEMPLATE


@pytest.fixture
def migrated_dsn(pg_server: EmbeddedPostgres, _template: str) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(pg_server.admin_dsn, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} OWNER wangge TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(_template)
            )
        )
        yield pg_server.dsn.rpartition("/")[0] + "/" + name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def store(migrated_dsn: str) -> AsyncIterator[Store]:
    async with Store(migrated_dsn) as opened:
        yield opened


@pytest.fixture
def timescale_dsn() -> Iterator[str]:
    """A migrated database with TimescaleDB, on the server that WANGGE_TEST_TIMESCALE_DSN (an administrator's) names."""
    admin_dsn = os.environ.get("WANGGE_TEST_TIMESCALE_DSN")
    if not admin_dsn:
        pytest.skip(
            "needs TimescaleDB: set WANGGE_TEST_TIMESCALE_DSN to an administrator's DSN of a server that has it"
        )
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        dsn = make_conninfo(admin_dsn, dbname=name)
        migrate(dsn, "timescale")
        yield dsn
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(params=["plain", "timescale"])
async def either_store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """The same test on both flavours; timescale is skipped without a server for it."""
    dsn = request.getfixturevalue("migrated_dsn" if request.param == "plain" else "timescale_dsn")
    async with Store(dsn) as opened:
        yield opened
