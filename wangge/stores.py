"""Which database a command talks to, and a short-lived one where the service does not run.

Order: `store.dsn` or `store.dsn_file` of the configuration, the running service's `store.dsn` in the data folder, else
the data folder's own embedded PostgreSQL, started for as long as the command needs it.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from core.errors import ConfigurationError
from store.embedded import EmbeddedPostgres, running
from store.embedded.credentials import read_address
from store.migrate import migrate
from store.pool import Store
from store.settings import StoreSettings


def configured_dsn(settings: StoreSettings) -> str | None:
    """The DSN of the configuration, None where there is none. Raises ConfigurationError for an unreadable dsn_file."""
    if settings.dsn is not None:
        return settings.dsn.get_secret_value()
    if settings.dsn_file is None:
        return None
    try:
        return settings.dsn_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        reason = error.strerror
        raise ConfigurationError(f"store.dsn_file: {settings.dsn_file} cannot be read: {reason}.") from error


def embedded(data: Path, settings: StoreSettings) -> EmbeddedPostgres:
    """The embedded PostgreSQL of a data folder as configured, not started."""
    return EmbeddedPostgres(
        data, major=settings.major, port=settings.port, user=settings.user, extra_settings=settings.settings
    )


@contextmanager
def open_dsn(data: Path, settings: StoreSettings) -> Iterator[str]:
    """A DSN that works while the block runs, on a migrated database. Raises StoreError, StoreUnavailable."""
    if dsn := configured_dsn(settings):
        migrate(dsn, settings.flavour)
        yield dsn
    elif running(data) is not None:
        yield read_address(data)
    else:
        with embedded(data, settings) as server:
            migrate(server.dsn, settings.flavour)
            yield server.dsn


@asynccontextmanager
async def open_store(dsn: str, *, size: int = 2) -> AsyncIterator[Store]:
    """A small pool for one command."""
    async with Store(dsn, max_size=size, application_name="wangge-cli", statement_timeout_s=600.0) as store:
        yield store
