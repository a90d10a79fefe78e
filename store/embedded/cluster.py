"""One PostgreSQL data folder and its running server: make it, start it under a guard, stop it.

Knows nothing of roles, of the service's folder or of the lock (that is `server`); used by `server` and by the
upgrade. A start that fails says why in one sentence; see `failures`.
"""

import os
import secrets
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from core.errors import StoreError, StoreUnavailable
from store.embedded import remains, settings
from store.embedded.account import Account, chown_tree, remove_tree
from store.embedded.failures import disk_errors, explain
from store.embedded.instance import forget_in_children, sync_folder, write_private

log = structlog.get_logger()

FAST_STOP_SECONDS = 8.0  # then immediate: SIGTERM of the service must end within 15 s
LOG_BYTES = 10_000_000
_INIT_SECONDS = 120.0
_GUARD_SECONDS = 60.0
_GUARD = Path(__file__).with_name("guard.py")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster lives and who runs it. log_file is opened by the guard, in a folder of the service."""

    data: Path
    bin_dir: Path
    major: int
    account: Account
    log_file: Path


def version_of(data: Path) -> int | None:
    """Major version of the cluster in `data`, None when there is none. Raises StoreError when we may not look."""
    try:
        return int((data / "PG_VERSION").read_text().strip())
    except PermissionError as error:
        raise StoreError(
            f"{data} belongs to another user; run as that user or as root, or give us the folder."
        ) from error
    except (OSError, ValueError):
        return None


def take_over(place: Place) -> None:
    """As root, give a cluster of another user (store.user was changed) to the account of `place`."""
    if place.account.drops and place.data.exists() and place.data.stat().st_uid != place.account.uid:
        chown_tree(place.data, place.account)
        log.warning("store_owner_changed", folder=str(place.data), uid=place.account.uid)


def initialise(place: Place, admin: str, password: str, *, checksums: bool = True) -> None:
    """Make a new cluster: scram for everyone, UTF-8, C order (same bytes, same order, whatever the machine's libc).

    Made beside its place and renamed, so that a kill leaves no half of one. Raises as `explain`.
    """
    parent = place.data.parent
    sweep(place)
    staging = parent / f".{place.data.name}.new-{secrets.token_hex(4)}"
    with disk_errors(parent):
        staging.mkdir(mode=0o700)
        password_file = staging / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password + "\n")
        chown_tree(staging, place.account)
    try:
        _run_initdb(place, staging / "data", password_file, admin, checksums)
        (staging / "data").rename(place.data)
        sync_folder(parent)
    finally:
        remove_tree(staging)
    log.info("store_cluster_made", folder=str(place.data), major=place.major)


def sweep(place: Place) -> None:
    """Remove the half-made clusters that a kill has left beside `place`."""
    for old in place.data.parent.glob(f".{place.data.name}.new-*"):
        remains.remove_unfinished(old)


def _run_initdb(place: Place, data: Path, password_file: Path, admin: str, checksums: bool) -> None:
    command = [str(place.bin_dir / "initdb"), "-D", str(data), "-U", admin, f"--pwfile={password_file}"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=libc", "--lc-collate=C"]
    command += ["--lc-messages=C", "--lc-monetary=C", "--lc-numeric=C", "--lc-time=C"]
    if checksums:
        command += ["--data-checksums"]
    elif place.major >= 18:
        command += ["--no-data-checksums"]
    said = ""
    for ctype in ("C.UTF-8", "C"):  # C.UTF-8 classifies Chinese letters; old C libraries lack it
        done = subprocess.run(
            [*command, f"--lc-ctype={ctype}"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_INIT_SECONDS,
            cwd="/",
            **place.account.subprocess_arguments(),
        )
        if done.returncode == 0:
            return
        said = done.stdout + done.stderr
        remove_tree(data)
        if "invalid locale" not in said:
            break
    raise explain(said, folder=place.data, port=0, doing="Making the store")


@dataclass(slots=True, weakref_slot=True, eq=False)
class Cluster:
    """A server process of one cluster. `start`, `stop` from one thread at a time; the questions from any."""

    place: Place
    extra_settings: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    pid: int | None = None
    _guard: "subprocess.Popen[bytes] | None" = None
    _life: int | None = None
    gives_up: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        forget_in_children(self)

    def start(self, port: int) -> None:
        """Start on 127.0.0.1:`port` and return once it accepts connections, however long the recovery takes.

        `gives_up`, once set (by `stop`, from another thread), ends the wait; clear it before a start after a stop.
        Raises PortBusy, StillInUse, StoreError, StoreUnavailable.
        """
        if self.is_alive():
            return
        self._reap()
        self.port = port
        found = version_of(self.place.data)
        if found != self.place.major:
            raise wrong_major(self.place.data, found, self.place.major)
        self.write_configuration()
        log_from = _size(self.place.log_file)
        self._launch()
        self._wait_ready(log_from)

    def is_alive(self) -> bool:
        """True while PostgreSQL runs (the guard ends with it)."""
        return self._guard is not None and self._guard.poll() is None

    def wait(self, timeout: float | None = None) -> int | None:
        """Block until PostgreSQL has ended; its exit status, None after `timeout` seconds or when never started."""
        if self._guard is None:
            return None
        try:
            return self._guard.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Stop by the guard: fast, then immediate. Blocks up to about 20 s; also ends a `start` that still waits."""
        self.gives_up.set()
        self._close_life()
        if self._guard is not None:
            self._guard.wait()
        self._reap()

    def after_fork_in_child(self) -> None:
        """A forked child must not keep PostgreSQL alive after its parent's death."""
        self._close_life()

    def write_configuration(self) -> None:
        """Write postgresql.conf and pg_hba.conf anew, owned by the account. Raises StoreUnavailable: disk full."""
        owner = (self.place.account.uid, self.place.account.gid) if self.place.account.drops else None
        text = settings.configuration(self.place.major, self.extra_settings)
        write_private(self.place.data / "postgresql.conf", text, owner)
        write_private(self.place.data / "pg_hba.conf", settings.HBA, owner)

    def _launch(self) -> None:
        account = self.place.account
        read_end, self._life = os.pipe()
        command = [sys.executable, "-I", "-S", str(_GUARD), str(read_end)]
        command += [str(account.uid if account.drops else -1), str(account.gid), str(FAST_STOP_SECONDS)]
        command += [str(self.place.log_file), str(LOG_BYTES), str(self.place.bin_dir / "postgres")]
        command += ["-D", str(self.place.data), *settings.command_line(self.port)]
        environment = Account(account.uid, account.gid, drops=False).subprocess_arguments()
        try:
            self._guard = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=[read_end],
                cwd="/",
                start_new_session=True,
                **environment,
            )
        finally:
            os.close(read_end)
        assert self._guard.stdout is not None
        with self._guard.stdout as stdout:
            ready, _, _ = select.select([stdout], [], [], _GUARD_SECONDS)
            line = stdout.readline() if ready else b""
        if not line.strip().isdigit():
            self._reap()
            raise StoreUnavailable("The guard of the store could not start PostgreSQL; start again.", said=line)
        self.pid = int(line)

    def _wait_ready(self, log_from: int) -> None:
        began = time.monotonic()
        next_report = began + 5.0
        while not (self.pid and remains.is_ready(self.place.data, self.pid)):
            if self.gives_up.is_set():
                raise StoreUnavailable("The start of the store was given up.")
            if not self.is_alive():
                said = _text_after(self.place.log_file, log_from)
                self._reap()
                raise explain(said, folder=self.place.data, port=self.port, doing="Starting the store")
            if time.monotonic() >= next_report:
                log.info("store_starting", waited_s=round(time.monotonic() - began), log=str(self.place.log_file))
                next_report += 5.0
            time.sleep(0.02)

    def _close_life(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            os.close(life)

    def _reap(self) -> None:
        self._close_life()
        if self._guard is not None:
            self._guard.wait()
            self._guard = None
        self.pid = None


def wrong_major(data: Path, found: int | None, wanted: int) -> StoreError:
    """The error for a cluster of another major version."""
    return StoreError(
        f"The store in {data} was made by PostgreSQL {found}, this service runs {wanted}; "
        f"run `wangge store upgrade`, or set store.major = {found}.",
        found=found,
        wanted=wanted,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _text_after(path: Path, offset: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(offset if offset <= _size(path) else 0)
            return file.read(200_000).decode(errors="replace")
    except OSError:
        return ""
