"""The embedded store: a private PostgreSQL that is safe, found again, and gone when we are."""

import psycopg

from store.embedded import EmbeddedPostgres
from tests.support.postgres import PG_MAJOR


def test_application_dsn_is_no_superuser_and_durability_is_on(pg_server: EmbeddedPostgres, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == ("on",)
        assert connection.info.server_version // 10_000 == PG_MAJOR
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
