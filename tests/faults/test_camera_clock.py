"""The machine's clock is stepped while cameras are recorded: a new run each time, no picture lost, no camera let go.

The steps are real to the service, its worker and PostgreSQL: a small library between them and libc moves CLOCK_REALTIME
by what a file says. The machine's own clock is left alone.
"""

import mmap
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.filmed import HANGING_UP, Film, filming
from tests.faults.harness import rows, until
from tests.support.rtsp import FPS

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile int64_t *offset_s;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void open_it(void) {
    int file = open(getenv("STEPPED_CLOCK"), O_RDONLY | O_CLOEXEC);
    void *found = file < 0 ? MAP_FAILED : mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) offset_s = found;
    real = dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t id, struct timespec *now) {
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int said = real(id, now);
    if (offset_s && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += *offset_s;
    return said;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec found;
    (void)zone;
    int said = clock_gettime(CLOCK_REALTIME, &found);
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return said;
}

time_t time(time_t *now) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now) *now = found.tv_sec;
    return found.tv_sec;
}
"""
Step = Callable[[int], None]


@contextmanager
def stepped_clock(folder: Path) -> Iterator[tuple[dict[str, str], Step]]:
    """What a process's environment must say, and a function that moves its clock by so many seconds from ours."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: the clock of a process cannot be stepped")
    source, library, file = folder / "clock.c", folder / "clock.so", folder / "offset"
    source.write_text(SHIM)
    done = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], capture_output=True)
    if done.returncode:
        pytest.skip(f"a library cannot be built here: {done.stderr.decode()[-200:]}")
    file.write_bytes(bytes(8))
    library.chmod(0o755)
    file.chmod(0o644)
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 8) as shared:

        def step(seconds: int) -> None:
            shared[:] = struct.pack("=q", seconds)

        yield {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(file)}, step


async def runs(film: Film, count: int) -> None:
    """Waits until every stream has so many runs in rows."""
    query = "SELECT count(*) FROM footage_runs r WHERE EXISTS (SELECT FROM footage_segments s WHERE s.run = r.id)"
    wanted = count * len(film.streams())
    await until(lambda: rows(film.up.dsn, query)[0][0] == wanted, 20, f"{count} runs a stream")


@pytest.mark.soak  # the short form is that of streams/recorder/clock.py
async def test_the_clock_is_stepped_forth_and_back(service_folder: Path) -> None:
    with stepped_clock(service_folder) as (environment, step):
        async with filming(service_folder / "data", **environment) as film:
            worker = film.worker
            await runs(film, 1)
            for number, seconds in enumerate((90, -3600), 2):  # beyond a lease; and the same hour again
                step(seconds)
                await runs(film, number)
                await film.recorded(pictures=2 * FPS)
            assert film.worker == worker, "the worker went on"
            assert await film.up.is_ready()
            assert await film.events("CAM-01") == []
            assert await film.events("REC-01") == []
            reel = await film.stop()
    for one, parts in reel.parts.items():
        (sent,) = reel.sent[one]
        lost = sent.frames - sum(part.pictures for part in parts)
        assert 0 <= lost <= HANGING_UP
        by_run = sorted(parts, key=lambda part: part.reason != "start")
        assert [part.reason for part in by_run] == ["start", "clock_step", "clock_step"]
        began = sorted(part.began_s - sent.began_at_ms / 1000 for part in parts)
        assert -3600 < began[0] < -3500
        assert 90 < began[2] < 190
        assert reel.gaps[one] == []
        print(f"{one}: {sent.frames} pictures, {lost} lost, runs began {[round(at) for at in began]} s after the first")
