"""What an earlier PostgreSQL left running in a data folder: find it, wait for it, and hurry it on.

Facts relied on: every PostgreSQL process has its data folder as working directory, so a process id that was
used again by a stranger is never mistaken for ours. Backends of a killed postmaster end when they next wait;
one in the middle of a long query does not notice, so it gets SIGQUIT. SIGQUIT loses nothing that was committed.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import structlog

from core.errors import StoreUnavailable

log = structlog.get_logger()

WAIT_SECONDS = 30.0
SIGINT_AFTER_SECONDS = 3.0  # its guard should have acted by then
SIGQUIT_AFTER_SECONDS = 15.0
SIGKILL_AFTER_SECONDS = 25.0
_REPORT_EVERY_SECONDS = 5.0


def processes_in(data: Path) -> list[int]:
    """Ids of the PostgreSQL processes whose working directory is `data`, oldest first."""
    wanted = os.path.realpath(data)
    found: list[tuple[float, int]] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.name().startswith("postgres") and process.cwd() == wanted and is_running(process):
                found.append((process.create_time(), process.pid))
    return [pid for _, pid in sorted(found)]


def is_running(process: psutil.Process) -> bool:
    """False for a zombie, which only waits to be collected."""
    return bool(process.status() != psutil.STATUS_ZOMBIE)


def postmaster_of(data: Path) -> int | None:
    """The process id in `postmaster.pid`, or None without a readable one. Says nothing about whether it lives."""
    try:
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def is_ready(data: Path, pid: int) -> bool:
    """True once the postmaster `pid` accepts connections (it says so in line 8 of its pid file)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def remove_unfinished(staging: Path) -> None:
    """Remove a half-made cluster, with the initdb of a killed service that still works on it.

    The folder's name is random, so a process that names it is that initdb or its child. Best effort: what a dying
    process still writes is removed at the next start.
    """
    doomed = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if any(word.startswith(str(staging)) for word in process.cmdline()) or process.cwd().startswith(
                str(staging)
            ):
                process.kill()
                doomed.append(process)
    psutil.wait_procs(doomed, timeout=5)
    shutil.rmtree(staging, ignore_errors=True)


def wait_for_end(data: Path, *, given_up: Callable[[], bool] = lambda: False) -> None:
    """Wait until nothing of an earlier PostgreSQL runs in `data`, hurrying it on; blocks, call from a thread.

    given_up: asked ten times a second; True ends the wait early. Raises StoreUnavailable after 30 s.
    """
    began = time.monotonic()
    next_report = began
    sent: dict[int, int] = {}
    while pids := processes_in(data):
        waited = time.monotonic() - began
        if waited >= WAIT_SECONDS or given_up():
            raise StoreUnavailable(
                f"An earlier PostgreSQL (process {pids[0]}) still runs in {data} after {waited:.0f} s; "
                "stop that process and start again.",
                pids=pids,
            )
        if time.monotonic() >= next_report:
            log.warning("store_waits_for_old_postgres", pids=pids, waited_s=round(waited, 1), folder=str(data))
            next_report += _REPORT_EVERY_SECONDS
        _hurry(pids, postmaster_of(data), waited, sent)
        time.sleep(0.1)
    _remove_misleading_pid_file(data)
    if sent:
        log.info("store_old_postgres_ended", waited_s=round(time.monotonic() - began, 1))


def _remove_misleading_pid_file(data: Path) -> None:
    """Remove a pid file whose number went to a stranger (a container's numbers start anew): PostgreSQL would refuse."""
    pid = postmaster_of(data)
    if pid is not None and psutil.pid_exists(pid):
        (data / "postmaster.pid").unlink(missing_ok=True)
        log.warning("store_stale_pid_file_removed", pid=pid, folder=str(data))


def _hurry(pids: list[int], postmaster: int | None, waited: float, sent: dict[int, int]) -> None:
    """Send the signal that is due to each process, each at most once."""
    orphaned = postmaster not in pids
    for pid in pids:
        if waited >= SIGKILL_AFTER_SECONDS:
            due = signal.SIGKILL
        elif orphaned:
            due = signal.SIGQUIT
        elif pid != postmaster or waited < SIGINT_AFTER_SECONDS:
            continue
        else:
            due = signal.SIGQUIT if waited >= SIGQUIT_AFTER_SECONDS else signal.SIGINT
        if sent.get(pid) != due:
            sent[pid] = due
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, due)
