"""The embedded store: a private PostgreSQL from the wheel's binaries, started by a launcher of our own.

In: the service's data folder and a few settings. Out: a running PostgreSQL and its DSN. `EmbeddedPostgres` (in
`server`) is the way in; `cluster` starts one data folder under `guard`, which stops PostgreSQL when the service is
gone; `account` decides the user and the folder; `instance` holds the lock and run.json; `wheel` finds the programs.
"""

from store.embedded.instance import FolderLock, read_run, running, write_run
from store.embedded.limits import raise_file_limit
from store.embedded.server import EmbeddedPostgres, destroy
from store.embedded.wheel import binaries

__all__ = [
    "EmbeddedPostgres",
    "FolderLock",
    "binaries",
    "destroy",
    "raise_file_limit",
    "read_run",
    "running",
    "write_run",
]
