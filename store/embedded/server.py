"""The embedded store of one service: lock, folder, user, passwords, role and database around one cluster.

    with EmbeddedPostgres(Path("data")) as server:
        psycopg.connect(server.dsn)

Layout: `folder/{wangge.lock, store.password, store.dsn, store.admin.dsn, postgres.log}` belong to the service;
`store_dir/postgres` is the cluster, where store_dir is `folder`, or `/var/lib/wangge/<hash>` when PostgreSQL's
user cannot reach `folder`.
"""

import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import structlog
from psycopg import sql

from core.errors import ConfigurationError, StoreError, StoreUnavailable
from store.embedded import credentials, remains
from store.embedded.account import (
    account_for,
    remove_tree,
    system_folder,
)
from store.embedded.cluster import Cluster, Place, initialise, sweep, take_over, version_of, wrong_major
from store.embedded.credentials import ADMIN_ROLE, APPLICATION_ROLE, DATABASE, Passwords
from store.embedded.failures import PortBusy, StillInUse
from store.embedded.home import DATA_NAME, LOG_NAME, PLACE_NAME, known_home, make_folder, place_for, remember
from store.embedded.instance import LOCK_NAME, RUN_NAME, FolderLock
from store.embedded.limits import raise_file_limit
from store.embedded.settings import check_extra_settings
from store.embedded.wheel import DEFAULT_MAJOR, binaries, check_runs

log = structlog.get_logger()

_PORT_ATTEMPTS = 5
_STILL_IN_USE_ATTEMPTS = 5


class EmbeddedPostgres:
    """A private PostgreSQL for the service whose data folder is `folder`.

    major: 16 or 18. port: on 127.0.0.1; 0 lets the system choose one, kept over restarts while it is free.
    user: who runs PostgreSQL when we are root (name or number; None: uid 65534). extra_settings: lines for
    postgresql.conf; ConfigurationError when they touch durability or what the launcher decides.

    `start` and `stop` block and are called from one thread at a time (never from the event loop); `is_alive`,
    `wait`, `dsn`, `pid` from any. After `wait` returns, or `is_alive` turns false, `start` again recovers by WAL.
    The folder is locked from `start` to `stop`, over restarts too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        major: int = DEFAULT_MAJOR,
        port: int = 0,
        user: str | None = None,
        extra_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.major = major
        self._wanted_port = port
        self._account = account_for(user)
        self._extra_settings = dict(extra_settings or {})
        check_extra_settings(self._extra_settings)
        if not 0 <= port <= 65535:
            raise ConfigurationError(f"store.port: {port} is no TCP port; choose 1 to 65535, or 0 for any.")
        binaries(major)
        self._lock = FolderLock(self.folder)
        self._cluster: Cluster | None = None
        self._passwords: Passwords | None = None
        self._giving_up = threading.Event()

    def start(self) -> None:
        """Start, recovering by WAL where the last end was unclean; returns when the database can be used.

        Raises StoreError (second instance, wrong major, busy port, too few files), StoreUnavailable (full disk,
        an old PostgreSQL that does not stop within 30 s), ConfigurationError. After an error nothing runs and
        the folder is unlocked, unless the service had started before.
        """
        if self.is_alive():
            return
        self._giving_up.clear()
        was_locked = self._lock.is_held
        raise_file_limit()
        make_folder(self.folder)
        self._lock.acquire()
        try:
            self._start_locked()
        except BaseException:
            if self._cluster is not None:
                self._cluster.stop()
            if not was_locked:
                self._lock.release()
            raise

    def stop(self) -> None:
        """Stop PostgreSQL (fast, after 8 s immediate) and unlock the folder; nothing happens when not started."""
        self._giving_up.set()
        if self._cluster is not None:
            self._cluster.stop()
            log.info("store_stopped", folder=str(self.folder))
        self._lock.release()

    def is_alive(self) -> bool:
        """True while PostgreSQL runs."""
        return self._cluster is not None and self._cluster.is_alive()

    def wait(self, timeout: float | None = None) -> int | None:
        """Block until PostgreSQL has ended: exit status, or None after `timeout` seconds."""
        return self._cluster.wait(timeout) if self._cluster is not None else None

    @property
    def dsn(self) -> str:
        """The application's DSN with password: role and database `wangge`, no superuser."""
        return credentials.address(APPLICATION_ROLE, self._known_passwords().application, self.port, DATABASE)

    @property
    def admin_dsn(self) -> str:
        """The superuser's DSN (database `postgres`), for backup and upgrade only."""
        return credentials.address(ADMIN_ROLE, self._known_passwords().admin, self.port, ADMIN_ROLE)

    @property
    def dsn_file(self) -> Path:
        """File with the application's DSN, mode 0600."""
        return self.folder / credentials.DSN_NAME

    @property
    def port(self) -> int:
        """The TCP port really chosen; 0 before the first start."""
        return self._cluster.port if self._cluster is not None else self._wanted_port

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster, None when it does not run."""
        return self._cluster.pid if self._cluster is not None and self._cluster.is_alive() else None

    @property
    def store_dir(self) -> Path:
        """Folder that holds `postgres/`: the data folder, or `/var/lib/wangge/<hash>`."""
        return self.place().data.parent

    def place(self) -> Place:
        """Where the cluster lives and by whom and what it is run; makes the folders, copies programs if needed."""
        if self._cluster is not None:
            return self._cluster.place
        return place_for(self.folder, self.major, self._account)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _known_passwords(self) -> Passwords:
        if self._passwords is None:
            self._passwords = credentials.load_passwords(self.folder)
        if self._passwords is None:
            raise StoreError(f"The store in {self.folder} has never been started; start it first.")
        return self._passwords

    def _start_locked(self) -> None:
        place = self.place()
        if self._cluster is None:
            check_runs(place.bin_dir, place.account)
            self._cluster = Cluster(place, self._extra_settings, gives_up=self._giving_up)
        recover_interrupted_upgrade(place)
        remains.wait_for_end(place.data, given_up=self._giving_up.is_set)
        sweep(place)
        take_over(place)
        self._passwords = credentials.load_passwords(self.folder)
        found = version_of(place.data)
        if found is None:
            self._make_cluster(place)
        elif found != self.major:
            raise wrong_major(place.data, found, self.major)
        elif self._passwords is None:
            made = credentials.new_passwords()
            set_admin_password(place, made.admin)
            self._passwords = credentials.save_passwords(self.folder, made)
        remember(self.folder, place.data.parent)
        self._start_on_some_port(self._cluster)
        self._ensure_role_and_database()
        credentials.write_addresses(self.folder, self._known_passwords(), self.port)
        log.info("store_started", folder=str(self.folder), major=self.major, port=self.port, pid=self.pid)

    def _make_cluster(self, place: Place) -> None:
        if place.data.exists() and any(place.data.iterdir()):
            raise StoreError(f"{place.data} holds something that is no PostgreSQL store; move it away and start again.")
        if place.data.exists():
            place.data.rmdir()
        self._passwords = credentials.save_passwords(self.folder, credentials.new_passwords())
        initialise(place, ADMIN_ROLE, self._passwords.admin)

    def _start_on_some_port(self, cluster: Cluster) -> None:
        """Start; where the port is ours to choose, try another one when it turns out taken."""
        port = self._wanted_port or cluster.port or free_port()
        in_use = 0
        for attempt in range(_PORT_ATTEMPTS + _STILL_IN_USE_ATTEMPTS):
            try:
                return cluster.start(port)
            except PortBusy:
                if self._wanted_port or attempt >= _PORT_ATTEMPTS:
                    raise
                port = free_port()
            except StillInUse:
                in_use += 1
                if in_use >= _STILL_IN_USE_ATTEMPTS:
                    raise
                remains.wait_for_end(cluster.place.data, given_up=self._giving_up.is_set)
        raise AssertionError("unreachable")

    def _ensure_role_and_database(self) -> None:
        """Role `wangge` with the kept password and its database; both are made when absent."""
        password = self._known_passwords().application
        role, database = sql.Identifier(APPLICATION_ROLE), sql.Identifier(DATABASE)
        with admin_connection(self.admin_dsn) as connection:
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION_ROLE]).fetchone()
            verb = sql.SQL("ALTER") if known else sql.SQL("CREATE")
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN NOSUPERUSER PASSWORD {}").format(verb, role, sql.Literal(password))
            )
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(database, role))
                connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))


def admin_connection(dsn: str) -> "psycopg.Connection[tuple[object, ...]]":
    """An autocommit connection; raises StoreUnavailable when it cannot be made within 10 s."""
    try:
        return psycopg.connect(dsn, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise StoreUnavailable(f"The store does not take our connection ({reason}); see {LOG_NAME}.") from error


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def set_admin_password(place: Place, password: str) -> None:
    """Set the superuser's password of a stopped cluster (its file was lost, or it was restored from a backup)."""
    statement = f"ALTER ROLE {ADMIN_ROLE} PASSWORD '{password}';\n"
    done = subprocess.run(
        [place.bin_dir / "postgres", "--single", "-D", place.data, "-c", "log_statement=none", "postgres"],
        input=statement,
        capture_output=True,
        text=True,
        cwd="/",
        **place.account.subprocess_arguments(),
    )
    if done.returncode != 0 or "ERROR:" in done.stderr:
        raise StoreError(f"The password of the store in {place.data} could not be set: {done.stderr.strip()[-300:]}")
    log.warning("store_password_replaced", folder=str(place.data))


def recover_interrupted_upgrade(place: Place) -> None:
    """Put the old cluster back where an upgrade was cut off between its two renames."""
    if place.data.exists():
        return
    for old in sorted(place.data.parent.glob(f"{DATA_NAME}.old-*")):
        old.rename(place.data)
        log.warning("store_upgrade_rolled_back", folder=str(place.data))
        return


def destroy(folder: Path) -> None:
    """Remove the embedded store of `folder` for good: cluster, copy in /var/lib/wangge, password files, log.

    Raises StoreError while a service uses the folder. The folder itself and foreign files in it stay.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        remove_tree(system_folder(folder))
        return
    lock = FolderLock(folder)
    lock.acquire()
    try:
        try:
            home = known_home(folder)
        except StoreError:
            home = None  # vanished, or not ours: only our own files go
        if home is not None:
            remains.wait_for_end(home / DATA_NAME)
        for unfinished in folder.glob(f".{DATA_NAME}.*"):
            remains.remove_unfinished(unfinished)
        for cluster in (folder / DATA_NAME, *folder.glob(f"{DATA_NAME}.old-*")):
            if version_of(cluster) is not None or (folder / PLACE_NAME).exists():
                remove_tree(cluster)
        for outside in {home or folder, system_folder(folder)} - {folder}:
            remove_tree(outside)
        for name in (*credentials.FILE_NAMES, PLACE_NAME, LOG_NAME, f"{LOG_NAME}.1", RUN_NAME, LOCK_NAME):
            (folder / name).unlink(missing_ok=True)
    finally:
        lock.release()
    log.info("store_destroyed", folder=str(folder))
