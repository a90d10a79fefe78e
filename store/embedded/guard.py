"""PostgreSQL's parent: starts it, and stops it when the service is gone. Run as a script, never imported.

    python -I -S guard.py LIFE_FD UID GID FAST_SECONDS LOG_FILE LOG_BYTES PROGRAM ARGUMENT...

LIFE_FD is the read end of a pipe whose write end only the service holds: end of file means that the service
has stopped or was killed, whatever the signal. Then: SIGINT (fast), after FAST_SECONDS SIGQUIT (immediate, the
next start recovers by WAL), after 10 s more SIGKILL. UID -1 means "as we are". The pid of PostgreSQL goes to stdout.
Should the guard itself be killed, the kernel sends PostgreSQL SIGINT (PDEATHSIG, set after the change of user;
this process has one thread, so it fires only when the process ends). Ends when PostgreSQL has ended, with 0, its
exit status, or 128 + the signal. Also keeps the log file below LOG_BYTES: copied to `.1`, then truncated in
place (PostgreSQL appends). Imports little: about 8 MB of memory. Linux; elsewhere without PDEATHSIG.
"""

import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

KILL_AFTER_SECONDS = 10.0
LOG_CHECK_SECONDS = 30.0
PR_SET_PDEATHSIG = 1


def start(uid: int, gid: int, log_file: str, command: list[str]) -> int:
    """Fork PostgreSQL with its rights dropped; its stdout and stderr append to the log file. Returns its pid."""
    guard = os.getpid()
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    pid = os.fork()
    if pid:
        os.close(log)
        os.close(nothing)
        return pid
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.setsid()
        prctl = kernel_call()  # before the change of user, which may not be able to read our library
        if uid >= 0:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        os.umask(0o077)
        prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != guard:
            os._exit(127)
        os.execv(command[0], command)  # noqa: S606 (we start a program on purpose)
    except BaseException as error:  # nothing above us: whatever it was, say it and end
        os.write(2, f"FATAL:  could not run {command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def kernel_call() -> "Callable[..., object]":
    """The kernel's `prctl`; outside Linux something that does nothing."""
    if sys.platform != "linux":
        return lambda *_arguments: None
    import ctypes

    return ctypes.CDLL(None).prctl


def rotate(log_file: str, most_bytes: int) -> None:
    """Keep the log below its limit; a failure (full disk) must not end the guard."""
    try:
        if os.stat(log_file).st_size <= most_bytes:
            return
        with open(log_file, "r+b") as current, open(log_file + ".1", "wb", opener=private) as kept:
            while block := current.read(1 << 16):
                kept.write(block)
            current.truncate(0)
    except OSError:
        return


def private(path: str, flags: int) -> int:
    """Opener: mode 0600."""
    return os.open(path, flags, 0o600)


def signal_quietly(pid: int, number: int) -> None:
    """Send a signal; a process that has just ended is fine."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def watch(life: int, child: int, wake: int, fast_seconds: float, log_file: str, log_bytes: int) -> int:
    """Wait for PostgreSQL to end, stopping it step by step once the service is gone. Returns our exit status."""
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    poll.register(life, select.POLLIN | select.POLLHUP)
    steps: list[tuple[float, int]] = []  # (when, signal) still to send
    next_log_check = 0.0
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        now = time.monotonic()
        if now >= next_log_check:
            rotate(log_file, log_bytes)
            next_log_check = now + LOG_CHECK_SECONDS
        while steps and steps[0][0] <= now:
            signal_quietly(child, steps.pop(0)[1])
        until = min([next_log_check, *(when for when, _ in steps)])
        for descriptor, _ in poll.poll(max(1.0, (until - now) * 1000)):
            if descriptor == wake:
                os.read(wake, 512)
            elif not os.read(life, 512):
                poll.unregister(life)
                signal_quietly(child, signal.SIGINT)
                quit_at = time.monotonic() + fast_seconds
                steps = [(quit_at, signal.SIGQUIT), (quit_at + KILL_AFTER_SECONDS, signal.SIGKILL)]


def main(arguments: list[str]) -> int:
    """Start PostgreSQL and stay until it has ended."""
    life, uid, gid, fast_seconds, log_file, log_bytes, *command = arguments
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C is for the service; it tells us by the pipe
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    child = start(int(uid), int(gid), log_file, command)
    os.write(1, f"{child}\n".encode())
    os.close(1)
    return watch(int(life), child, wake_read, float(fast_seconds), log_file, int(log_bytes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
