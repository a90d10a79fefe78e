"""Online backup of the store, and its way back.

The embedded store is copied whole while it runs (pg_basebackup with the WAL of the copy's duration, then every
file is checked against the manifest); a store behind a DSN is dumped (pg_dump -Fc), a consistent snapshot of one
database. What is in the folder afterwards: `backup.json` and `base/` or `store.dump`. Footage is not part of it:
it lies in files.
Source: PostgreSQL documentation, "Backup and Restore".
"""

import json
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from core.errors import InvalidInput, StoreError
from store.backup_manifest import check_base
from store.embedded import EmbeddedPostgres, binaries
from store.embedded.account import Account, account_for, chown_tree, remove_tree
from store.embedded.credentials import ADMIN_DSN_NAME, PASSWORD_NAME, read_address
from store.embedded.failures import disk_errors, explain
from store.embedded.home import known_home, place_for, remember, store_version
from store.embedded.instance import FolderLock, running, sync_folder
from store.embedded.server import admin_connection
from store.embedded.wheel import DEFAULT_MAJOR, MAJORS

log = structlog.get_logger()

MANIFEST_NAME = "backup.json"
BASE_NAME = "base"
DUMP_NAME = "store.dump"


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup folder holds. made_at: RFC 3339, when it began; size_bytes: of `base/` or `store.dump`."""

    kind: Literal["base", "dump"]
    major: int
    server_version: str
    made_at: str
    size_bytes: int


def backup(source: EmbeddedPostgres | Path | str, target: Path) -> Backup:
    """Write a verified backup into the new (or empty) folder `target`, mode 0700; blocks, writers go on.

    source: the running embedded store; or the data folder of a service, running or not (started for the while);
    or the DSN of any PostgreSQL. A failure leaves no half of a backup. Raises InvalidInput where `target` holds
    something, StoreError, StoreUnavailable (also: disk full).
    """
    target = target.absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidInput(f"{target} is not empty; name a new folder for the backup.")
    if isinstance(source, Path):
        return _backup_folder(source, target)
    dsn = source.admin_dsn if isinstance(source, EmbeddedPostgres) else source
    kind: Literal["base", "dump"] = "base" if isinstance(source, EmbeddedPostgres) else "dump"
    return _backup_server(dsn, target, kind)


def read_backup(source: Path) -> Backup:
    """What the backup folder `source` holds. Raises InvalidInput where it is none."""
    try:
        return Backup(**json.loads((source / MANIFEST_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidInput(f"{source} is no backup of wangge ({MANIFEST_NAME} is missing or garbled).") from error


def verify(source: Path) -> Backup:
    """Check every file of a backup against its checksums (a dump: that it can be read). Raises StoreError."""
    found = read_backup(source)
    tools = _tools(found.major)
    if found.kind == "base":
        check_base(source / BASE_NAME, tools)
    else:
        _run([tools / "pg_restore", "--file=/dev/null", source / DUMP_NAME], source, "Verifying")
    return found


def restore(source: Path, target: Path | str, *, user: str | None = None) -> Backup:
    """Bring a backup back into the data folder `target`, which must have no store yet, or (dump only) into a DSN.

    A restored embedded store gets new passwords at its first start. user: setting `store.user`. Raises
    StoreError where a store stands there, a service uses the folder or the backup is damaged.
    """
    source = source.absolute()
    found = verify(source)
    if isinstance(target, str):
        if found.kind != "dump":
            raise InvalidInput("A copy of an embedded store goes back into a data folder, not into a DSN.")
        _restore_dump(source / DUMP_NAME, target, found.major)
        return found
    folder = target.resolve()
    if found.kind == "dump":
        if known_home(folder) is not None:
            raise _occupied(folder)
        with EmbeddedPostgres(folder, user=user) as server:
            _restore_dump(source / DUMP_NAME, server.dsn, found.major)
    else:
        _restore_base(source / BASE_NAME, folder, found.major, user)
    log.info("store_restored", source=str(source), folder=str(folder), kind=found.kind)
    return found


def _backup_folder(folder: Path, target: Path) -> Backup:
    """Back up the store of a service's data folder through its running service, or start it for the while."""
    if running(folder) is not None:
        return _backup_server(read_address(folder, ADMIN_DSN_NAME), target, "base")
    major = store_version(folder.resolve())
    if major is None:
        raise StoreError(f"{folder} has no store to back up; name the data folder of a service with --data.")
    with EmbeddedPostgres(folder, major=major) as server:
        return _backup_server(server.admin_dsn, target, "base")


def _backup_server(dsn: str, target: Path, kind: Literal["base", "dump"]) -> Backup:
    began = datetime.now(UTC)
    with admin_connection(dsn) as connection:
        version = str(connection.info.parameter_status("server_version"))
        major = connection.info.server_version // 10_000
    staging = target.with_name(f".{target.name}.partial")
    with disk_errors(target.parent):
        remove_tree(staging)
        staging.mkdir(mode=0o700, parents=True)
    try:
        content = _copy_base(dsn, staging, major) if kind == "base" else _dump(dsn, staging, major)
        made = Backup(kind, major, version, began.isoformat(timespec="seconds"), _size(content))
        with disk_errors(target.parent):
            (staging / MANIFEST_NAME).write_text(json.dumps(asdict(made), indent=2) + "\n", encoding="utf-8")
            sync_folder(staging)
        verify(staging)
        os.rename(staging, target)
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    log.info("store_backed_up", target=str(target), kind=kind, size_bytes=made.size_bytes)
    return made


def _copy_base(dsn: str, staging: Path, major: int) -> Path:
    target = staging / BASE_NAME
    command: list[str | Path] = [
        _tools(major) / "pg_basebackup",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--no-password",
    ]
    command += ["--manifest-checksums=SHA256", "-D", target]
    _run_with(command, dsn, staging, "Copying the store", as_database=False)
    return target


def _dump(dsn: str, staging: Path, major: int) -> Path:
    target = staging / DUMP_NAME
    command: list[str | Path] = [
        _tools(major) / "pg_dump",
        "--format=custom",
        "--compress=6",
        "--no-password",
        "-f",
        target,
    ]
    _run_with(command, dsn, staging, "Dumping the store")
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return target


def _restore_dump(dump: Path, dsn: str, major: int) -> None:
    command: list[str | Path] = [_tools(major) / "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error"]
    with psycopg.connect(dsn) as connection:
        query = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        row = connection.execute(query).fetchone()
        if row is None or row[0]:
            raise _occupied(dsn.rpartition("/")[2])
    _run_with([*command, "--no-password", "--single-transaction", dump], dsn, dump, "Restoring the dump")


def _restore_base(base: Path, folder: Path, major: int, user: str | None) -> None:
    """Copy the cluster beside its place, flush it, rename: a kill leaves no half of a store."""
    if major not in MAJORS:
        raise StoreError(f"The backup is of PostgreSQL {major}, the wheel has {list(MAJORS)} only.")
    account = account_for(user)
    place = place_for(folder, major, account)
    lock = FolderLock(folder)
    lock.acquire()
    try:
        if place.data.exists():
            raise _occupied(folder)
        staging = place.data.with_name(f".{place.data.name}.restored")
        with disk_errors(place.data.parent):
            remove_tree(staging)
            try:
                shutil.copytree(base, staging, symlinks=True)
                chown_tree(staging, account)
                staging.chmod(0o700)
                _run([place.bin_dir / "initdb", "--sync-only", "-D", staging], folder, "Flushing", account=account)
                staging.rename(place.data)
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
            sync_folder(place.data.parent)
        (folder / PASSWORD_NAME).unlink(missing_ok=True)  # the cluster's own are unknown: set anew at the start
        remember(folder, place.data.parent)
    finally:
        lock.release()


def _occupied(where: object) -> StoreError:
    return StoreError(f"{where} has a store already; restore into a new data folder, or `wangge destroy` this one.")


def _tools(major: int) -> Path:
    """Programs that fit a server of `major`: its own where the wheel has them, else the newest."""
    return binaries(major if major in MAJORS else DEFAULT_MAJOR)


def _run_with(command: list[str | Path], dsn: str, folder: Path, doing: str, *, as_database: bool = True) -> None:
    """Run a tool against `dsn`; the password travels in the environment, never on the command line."""
    parts = conninfo_to_dict(dsn)
    password = str(parts.pop("password", None) or "")
    if not as_database:
        parts.pop("dbname", None)
    address = make_conninfo("", **{name: str(value) for name, value in parts.items()})
    _run([command[0], "-d", address, *command[1:]], folder, doing, {"PGPASSWORD": password} if password else {})


def _run(
    command: list[str | Path],
    folder: Path,
    doing: str,
    environment: dict[str, str] | None = None,
    account: Account | None = None,
) -> None:
    """Run a tool to its end, as `account` or as ourselves; its failure becomes an error of our family."""
    own = Account(os.geteuid(), os.getegid(), drops=False)
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        cwd="/",
        **(account or own).subprocess_arguments(**(environment or {})),
    )
    if done.returncode != 0:
        raise explain(done.stdout + done.stderr, folder=folder, port=0, doing=doing)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
