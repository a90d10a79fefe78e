"""A benchmark's own store: a private PostgreSQL in a temporary folder, migrated, durable; removed afterwards."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from core.ids import new_token, token_sha256
from store.embedded import EmbeddedPostgres, destroy
from store.migrate import migrate


@dataclass(frozen=True, slots=True)
class OwnStore:
    """folder: the service's data folder would be this. dsn: the application's."""

    folder: Path
    dsn: str


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the block; whatever a store left outside of it (other user, other place) is destroyed too."""
    with tempfile.TemporaryDirectory(prefix="wangge-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / "data"
        folder.mkdir()
        try:
            yield folder
        finally:
            destroy(folder)


@contextlib.contextmanager
def own_store() -> Iterator[OwnStore]:
    """Starts, migrates, yields, stops, destroys."""
    with temporary_folder() as folder, EmbeddedPostgres(folder) as server:
        migrate(server.dsn)
        yield OwnStore(folder, server.dsn)


def add_handsets(connection: psycopg.Connection[TupleRow], count: int) -> list[tuple[str, str]]:
    """Registers `count` handsets with credentials, without workers; returns (device id, token)."""
    made = [(f"bench-{number:05d}", new_token()) for number in range(count)]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany("INSERT INTO devices (id, kind) VALUES (%s, 'handset')", [(device,) for device, _ in made])
        cursor.executemany(
            "INSERT INTO credentials (device, token_sha256) SELECT key, %s FROM devices WHERE id = %s",
            [(token_sha256(token), device) for device, token in made],
        )
    return made
