"""A migrated database for tests, and a Store on it.

Fixtures: `migrated_dsn` (plain flavour, a fresh copy of a template migrated once a run, dropped afterwards), `store`
(an open Store on it). Registered in tests/conftest.py.
"""

import secrets
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg import sql

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
