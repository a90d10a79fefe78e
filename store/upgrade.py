"""`wangge store upgrade`: bring the embedded store from one major version of PostgreSQL to a newer one.

pg_upgrade in copy mode, from and to the programs of the wheel; where it cannot run, its reason is logged and the
database is dumped and restored instead. The old cluster stays untouched until the new one has answered with the
same tables; a failure, a kill too, leaves the old one in place. Needs as much free disk as the store is large.
Source: PostgreSQL documentation, "pg_upgrade".
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import psycopg
import structlog
from psycopg import sql

from core.errors import InvalidInput, StoreError, StoreUnavailable, WanggeError
from store.embedded import EmbeddedPostgres
from store.embedded.account import account_for, chown_tree, remove_tree
from store.embedded.cluster import Cluster, Place, initialise, version_of
from store.embedded.credentials import (
    ADMIN_ROLE,
    APPLICATION_ROLE,
    DATABASE,
    Passwords,
    address,
    load_passwords,
)
from store.embedded.failures import disk_errors
from store.embedded.home import DATA_NAME, known_home, place_for, store_version
from store.embedded.instance import FolderLock, sync_folder
from store.embedded.server import free_port
from store.embedded.wheel import DEFAULT_MAJOR, binaries

log = structlog.get_logger()

_ROOM = 1.1  # free disk wanted, as a multiple of the old cluster's size
Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade did. way: pg_upgrade, dump, or none when the store had that version already."""

    from_major: int
    to_major: int
    way: Literal["pg_upgrade", "dump", "none"]
    reason: str = ""


def upgrade(folder: Path, to_major: int = DEFAULT_MAJOR, *, user: str | None = None) -> Upgrade:
    """Upgrade the stopped store of `folder`; blocks for minutes on a large one. user: setting `store.user`.

    Raises StoreError (a service uses the folder, no store there, the upgrade failed: the old store is in place),
    StoreUnavailable (too little disk), InvalidInput (an older major than the store's).
    """
    binaries(to_major)
    folder = folder.resolve()
    found = store_version(folder)
    if found is None:
        raise StoreError(f"{folder} has no store to upgrade; name the data folder of a service with --data.")
    if found > to_major:
        raise InvalidInput(f"The store is of PostgreSQL {found} already; it cannot go back to {to_major}.")
    if found == to_major:
        _remove_leftovers(folder)
        return Upgrade(found, to_major, "none")
    # One ordinary start and stop: recovers after an unclean end, makes sure of role, passwords and a clean shutdown.
    with EmbeddedPostgres(folder, major=found, user=user) as server:
        before = count_rows(server.admin_dsn)
    lock = FolderLock(folder)
    lock.acquire()
    try:
        done = _upgrade_locked(folder, found, to_major, user, before)
    finally:
        lock.release()
    log.info("store_upgraded", folder=str(folder), from_major=found, to_major=to_major, way=done.way)
    return done


def _upgrade_locked(folder: Path, found: int, to_major: int, user: str | None, before: Counts) -> Upgrade:
    account = account_for(user)
    old = place_for(folder, found, account)
    new = replace(place_for(folder, to_major, account), data=old.data.with_name(f".{DATA_NAME}.upgraded"))
    passwords = load_passwords(folder)
    assert passwords is not None
    _want_room(old.data)
    work = old.data.with_name(f".{DATA_NAME}.upgrade-work")
    done = Upgrade(found, to_major, "pg_upgrade")
    try:
        try:
            _fresh(new, passwords, old, work)
            _pg_upgrade(old, new, passwords, work)
        except StoreError as error:
            log.warning("store_pg_upgrade_cannot_run", reason=str(error), instead="dump and restore")
            done = replace(done, way="dump", reason=str(error))
            _fresh(new, passwords, old, work)
            _dump_and_restore(old, new, passwords, work)
        with _Started(new) as port:
            dsn = address(ADMIN_ROLE, passwords.admin, port, ADMIN_ROLE)
            if (after := count_rows(dsn)) != before:
                raise StoreError(
                    "The upgraded store differs from the old one; the old one stays.", before=before, after=after
                )
            _analyse(address(ADMIN_ROLE, passwords.admin, port, DATABASE))
        _swap(old.data, new.data, found)
    except BaseException:
        remove_tree(new.data)
        raise
    finally:
        remove_tree(work)
    _remove_leftovers(folder)
    return done


def count_rows(admin_dsn: str) -> Counts:
    """Rows of every table of the database `wangge`, partitions one by one: `schema.table` → rows."""
    query = (
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
    )
    counts: Counts = {}
    with psycopg.connect(admin_dsn, dbname=DATABASE, connect_timeout=10) as connection:
        for schema, table in connection.execute(query).fetchall():
            name = sql.Identifier(schema, table)
            row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
            counts[f"{schema}.{table}"] = row[0] if row else 0
    return counts


def _fresh(new: Place, passwords: Passwords, old: Place, work: Path) -> None:
    """An empty new cluster whose checksum setting is the old one's (pg_upgrade wants them alike), and a work folder."""
    remove_tree(new.data)
    remove_tree(work)
    initialise(new, ADMIN_ROLE, passwords.admin, checksums=_has_checksums(old))
    with disk_errors(work.parent):
        work.mkdir(mode=0o700)
        chown_tree(work, old.account)


def _has_checksums(place: Place) -> bool:
    said = _run(place, "pg_controldata", ["-D", str(place.data)], place.data.parent)
    line = next(line for line in said.splitlines() if line.startswith("Data page checksum version"))
    return line.split(":")[1].strip() != "0"


def _pg_upgrade(old: Place, new: Place, passwords: Passwords, work: Path) -> None:
    """pg_upgrade by copying. Its servers listen on a socket only, in a folder that nobody else may enter.

    A socket's path has 107 bytes at most, so that folder is not below the data folder, whose path may be long.
    """
    Cluster(old).write_configuration()
    Cluster(new).write_configuration()
    arguments = ["-b", str(old.bin_dir), "-B", str(new.bin_dir), "-d", str(old.data), "-D", str(new.data)]
    arguments += ["-U", ADMIN_ROLE, "-p", str(free_port()), "-P", str(free_port())]
    with tempfile.TemporaryDirectory(prefix="wangge-") as sockets:
        chown_tree(Path(sockets), new.account)
        arguments += ["--socketdir", sockets, "--jobs", "2"]
        _run(new, "pg_upgrade", arguments, work, PGPASSWORD=passwords.admin)


def _dump_and_restore(old: Place, new: Place, passwords: Passwords, work: Path) -> None:
    """The slow way: the database alone, with the role that owns it."""
    dump = work / "store.dump"
    with _Started(old) as port:
        source = ["-h", "127.0.0.1", "-p", str(port), "-U", ADMIN_ROLE]
        arguments = [*source, "-Fc", "-f", str(dump), DATABASE]
        _run(new, "pg_dump", arguments, work, PGPASSWORD=passwords.admin)
    with _Started(new) as port:
        role, database = sql.Identifier(APPLICATION_ROLE), sql.Identifier(DATABASE)
        with psycopg.connect(address(ADMIN_ROLE, passwords.admin, port, ADMIN_ROLE), autocommit=True) as connection:
            password = sql.Literal(passwords.application)
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER PASSWORD {}").format(role, password))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(database, role))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        arguments = ["-h", "127.0.0.1", "-p", str(port), "-U", ADMIN_ROLE, "-d", DATABASE, "--exit-on-error"]
        _run(new, "pg_restore", [*arguments, "--single-transaction", str(dump)], work, PGPASSWORD=passwords.admin)


def _analyse(dsn: str) -> None:
    """Statistics for the planner; pg_upgrade carries over only a part of them."""
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        connection.execute("ANALYZE")


def _swap(old: Path, new: Path, major: int) -> None:
    """Put the new cluster in the place of the old one. A cut between the renames is mended at the next start."""
    aside = old.with_name(f"{DATA_NAME}.old-{major}")
    remove_tree(aside)
    old.rename(aside)
    sync_folder(old.parent)
    try:
        new.rename(old)
    except OSError:
        aside.rename(old)
        raise
    sync_folder(old.parent)


def _remove_leftovers(folder: Path) -> None:
    """Remove what an upgrade has set aside, once the new cluster stands in its place."""
    home = known_home(folder)
    if home is None or version_of(home / DATA_NAME) is None:
        return
    for aside in [*home.glob(f"{DATA_NAME}.old-*"), *home.glob(f".{DATA_NAME}.upgrade*")]:
        remove_tree(aside)


def _want_room(data: Path) -> None:
    needed = int(_ROOM * sum(file.stat().st_size for file in data.rglob("*") if file.is_file()))
    free = shutil.disk_usage(data.parent).free
    if free < needed:
        raise StoreUnavailable(
            f"The upgrade needs {needed >> 20} MiB free in {data.parent} and finds {free >> 20}; free some space there."
        )


class _Started:
    """A cluster that runs for the length of a `with`; gives its port."""

    def __init__(self, place: Place) -> None:
        self._cluster = Cluster(place)

    def __enter__(self) -> int:
        try:
            self._cluster.start(free_port())
        except WanggeError:
            self._cluster.stop()
            raise
        return self._cluster.port

    def __exit__(self, *_: object) -> None:
        self._cluster.stop()


def _run(place: Place, program: str, arguments: list[str], cwd: Path, **environment: str) -> str:
    """Run a program of `place` as its account; its output. Raises StoreError with its last words."""
    done = subprocess.run(
        [str(place.bin_dir / program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=cwd,
        **place.account.subprocess_arguments(**environment),
    )
    if done.returncode != 0:
        words = " ".join(done.stdout.split())[-600:]
        raise StoreError(f"{program} failed: {words}", output=done.stdout[-4000:])
    return done.stdout
