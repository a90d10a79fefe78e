"""The store as a part of the service: the embedded PostgreSQL started, watched, restarted; or a foreign one watched.

Starting and stopping block, so they run in a thread, one at a time; after `stop` nothing starts again.
"""

import asyncio
import threading
from pathlib import Path

import structlog

from core.errors import StoreUnavailable
from core.supervise import Part
from store.embedded import EmbeddedPostgres, FolderLock
from store.embedded.home import make_folder
from store.migrate import migrate
from store.pool import Store
from store.session import conninfo
from store.settings import StoreSettings
from wangge.stores import configured_dsn, embedded

log = structlog.get_logger()

PING_EVERY_S = 2.0
PING_WITHIN_S = 5.0


class StoreHouse:
    """Where the database is. data None: no data folder (`wangge serve`), so `store.dsn` must be configured."""

    def __init__(self, settings: StoreSettings, data: Path | None) -> None:
        self._settings = settings
        self._given = configured_dsn(settings)
        if self._given is not None:
            conninfo(self._given)  # raises ConfigurationError before anything is started
        self._lock = FolderLock(data) if self._given and data is not None else None
        self._data = data
        self._turn = threading.Lock()
        self._is_over = False
        self.server: EmbeddedPostgres | None = None
        if self._given is None and data is not None:
            self.server = embedded(data, settings)

    @property
    def dsn(self) -> str:
        """The DSN; valid after `start`."""
        if self._given is not None:
            return self._given
        assert self.server is not None
        return self.server.dsn

    def start(self) -> None:
        """Locks the folder, starts the embedded PostgreSQL (or reaches the foreign one), migrates. Blocks."""
        with self._turn:
            if self._is_over:
                return
            if self._lock is not None and self._data is not None:
                make_folder(self._data)
                self._lock.acquire()
            if self.server is not None:
                self.server.start()
        migrate(self.dsn, self._settings.flavour)

    def stop(self) -> None:
        """Stops the embedded PostgreSQL and unlocks the folder. Blocks up to 10 s; twice is harmless."""
        with self._turn:
            self._is_over = True
            if self.server is not None:
                self.server.stop()
            if self._lock is not None:
                self._lock.release()

    def _revive(self) -> None:
        with self._turn:
            if not self._is_over and self.server is not None:
                self.server.start()

    async def keep(self, part: Part, store: Store) -> None:
        """Watches for ever: an embedded PostgreSQL that died is started again; one that does not answer is `down`."""
        while True:
            server = self.server
            if server is not None and not server.is_alive() and not self._is_over:
                part.down("PostgreSQL has ended; it is started again")
                await asyncio.to_thread(self._revive)
            try:
                async with store.connection(timeout_s=PING_WITHIN_S) as connection:
                    await connection.execute("SELECT 1")
            except StoreUnavailable as error:
                part.down(str(error))
            else:
                part.ready()
            await asyncio.sleep(PING_EVERY_S)
