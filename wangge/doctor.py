"""The checks of `wangge doctor`: configuration, store, durability, disk, clock, ports, file descriptors, own parts.

A check is a function that yields findings; each finding is one line with the remedy. Nothing is changed. `--deep` adds
what takes long: the audit log row by row, and files: attachments, and footage against its rows.
"""

import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg

from core.errors import WanggeError
from store.audit_verify import verify
from store.embedded import binaries, read_run, running
from store.embedded.credentials import read_address
from store.migrate import check as check_schema
from store.session import connect, read_durability
from wangge import configuration, doctor_footage, ports
from wangge.settings import Settings
from wangge.stores import configured_dsn

State = Literal["ok", "warning", "fails"]
NEEDED_FILES = 4096
LITTLE_DISK = 5 << 30
CLOCK_OFF_S = 2.0
YEAR_OF_WRITING = 2025


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, what to do."""

    check: str
    state: State
    says: str


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined. dsn None: no database can be reached without starting one."""

    data: Path
    file: Path | None
    settings: Settings
    dsn: str | None
    deep: bool
    every_file: bool = False


def examine(data: Path, config: Path | None, *, deep: bool, every_file: bool = False) -> Iterator[Finding]:
    """All findings, in order. every_file: with `deep`, read all footage, not a sample of it.

    Raises nothing of our family: it becomes a finding.
    """
    try:
        file = configuration.file_for(config, data, os.environ)
        settings = configuration.load(file, os.environ)
        dsn = configured_dsn(settings.store)
    except WanggeError as error:
        yield Finding("configuration", "fails", str(error))
        return
    yield Finding("configuration", "ok", f"{file} is right." if file else "the defaults are in use.")
    for warning in configuration.secrets_in_the_open(file):
        yield Finding("configuration", "warning", warning)
    if dsn is None and running(data) is not None:
        dsn = read_address(data)
    patient = Patient(data, file, settings, dsn, deep or every_file, every_file)
    for check in CHECKS:
        try:
            yield from check(patient)
        except (WanggeError, psycopg.Error, OSError) as error:
            yield Finding(check.__name__.strip("_"), "fails", str(error))


def _service(patient: Patient) -> Iterator[Finding]:
    fields = running(patient.data)
    if fields is not None:
        yield Finding("service", "ok", f"runs as process {fields['pid']} at {fields.get('http')}.")
    elif read_run(patient.data) is not None:
        yield Finding(
            "service", "warning", "run.json is stale: the last service ended uncleanly; `wangge up` mends it."
        )
    else:
        yield Finding("service", "ok", "does not run on this data folder.")


def _store(patient: Patient) -> Iterator[Finding]:
    if patient.dsn is None:
        folder = binaries(patient.settings.store.major)
        yield Finding("store", "ok", f"embedded, not running; its programs are in {folder}.")
        return
    state = check_schema(patient.dsn)
    version = f"PostgreSQL {state.server_version // 10000}, flavour {state.flavour or 'not made yet'}"
    if state.pending:
        yield Finding("store", "warning", f"{version}; {len(state.pending)} migrations wait for the next start.")
    else:
        yield Finding("store", "ok", f"{version}; schema is the newest.")


def _durability(patient: Patient) -> Iterator[Finding]:
    if patient.dsn is None:
        yield Finding("durability", "ok", "the embedded store keeps fsync, full_page_writes, synchronous_commit on.")
        return
    with connect(patient.dsn, application_name="wangge-doctor", only_checking=True) as connection:
        found = read_durability(connection)
    refusal = found.refusal()
    if refusal:
        yield Finding("durability", "fails", refusal)
    else:
        yield Finding("durability", "ok", "fsync, full_page_writes and synchronous_commit are on.")


def _clock(patient: Patient) -> Iterator[Finding]:
    if time.gmtime().tm_year < YEAR_OF_WRITING:
        yield Finding("clock", "fails", "the machine's clock is years behind; set it (chrony or systemd-timesyncd).")
        return
    if patient.dsn is None:
        yield Finding("clock", "ok", "nothing to compare with while no store runs.")
        return
    with connect(patient.dsn, application_name="wangge-doctor", only_checking=True) as connection:
        before = time.time()
        row: Any = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        off = row[0] - (before + time.time()) / 2
    if abs(off) > CLOCK_OFF_S:
        yield Finding("clock", "fails", f"the store's clock is {off:+.1f} s off ours; set both by NTP.")
    else:
        yield Finding("clock", "ok", f"{off * 1000:+.0f} ms off the store's.")


def _disk(patient: Patient) -> Iterator[Finding]:
    folder = patient.data if patient.data.is_dir() else patient.data.absolute().parent
    while not folder.is_dir():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    free = f"{usage.free / (1 << 30):.1f} GiB free under {patient.data}"
    if usage.free < LITTLE_DISK or usage.free < usage.total // 20:
        yield Finding("disk", "warning", f"{free}: less than 5 GiB or 5 %; free some, or shorten store.retention.")
    else:
        yield Finding("disk", "ok", f"{free}.")
    if not os.access(folder, os.W_OK):
        yield Finding("disk", "fails", f"{folder} cannot be written; give us the right or name another --data folder.")


def _ports(patient: Patient) -> Iterator[Finding]:
    if running(patient.data) is not None:
        yield Finding("ports", "ok", "are held by the running service.")
        return
    settings = patient.settings
    for host, port, key in (
        (settings.http.host, settings.http.port, "http.port"),
        (settings.ingest.mqtt.host, settings.ingest.mqtt.port, "ingest.mqtt.port"),
    ):
        try:
            ports.check_free(host, port, key)
        except WanggeError as error:
            yield Finding("ports", "fails", str(error))
        else:
            yield Finding("ports", "ok", f"{host}:{port} ({key}) is free.")


def _file_descriptors(patient: Patient) -> Iterator[Finding]:
    del patient
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < NEEDED_FILES:
        yield Finding(
            "files",
            "warning",
            f"only {hard} files may be open; raise it (ulimit -Hn 65536, or LimitNOFILE= of the unit).",
        )
    else:
        shown = "any number of" if hard == resource.RLIM_INFINITY else f"{hard:,}"
        yield Finding("files", "ok", f"{shown} files may be open at once.")


def _audit(patient: Patient) -> Iterator[Finding]:
    """With --deep: every row of the audit log against its chain and the signed heads."""
    if not patient.deep or patient.dsn is None:
        return
    folder = patient.settings.console.seal_folder or patient.data / "audit"
    with connect(patient.dsn, statement_timeout_s=0, only_checking=True) as connection:
        verdict = verify(connection, folder)
    for fault in verdict.faults:
        yield Finding("audit", "fails", f"{fault} Keep the data folder as it is and look into it.")
    if not verdict.faults:
        yield Finding("audit", "ok", f"{verdict.rows} rows and {verdict.heads} signed heads agree.")


def _attachments(patient: Patient) -> Iterator[Finding]:
    """With --deep: files that were cut off while they were received."""
    folder = patient.settings.ingest.http.attachments_folder or patient.data / "attachments"
    if not patient.deep or not folder.is_dir():
        return
    empty = [path.name for path in folder.rglob("*") if path.is_file() and path.stat().st_size == 0]
    if empty:
        yield Finding("attachments", "warning", f"{len(empty)} empty files in {folder}, e.g. {empty[0]}; remove them.")
    else:
        yield Finding("attachments", "ok", f"no empty file in {folder}.")


def _footage(patient: Patient) -> Iterator[Finding]:
    """With --deep: rows of footage against files, both ways; starts the data folder's store when none runs."""
    if patient.deep:
        lines = doctor_footage.examine(patient.dsn, patient.data, patient.settings.store, every_file=patient.every_file)
        yield from (Finding("footage", state, says) for state, says in lines)


CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    _service,
    _store,
    _durability,
    _clock,
    _disk,
    _ports,
    _file_descriptors,
    _audit,
    _attachments,
    _footage,
)
