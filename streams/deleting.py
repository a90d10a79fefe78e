"""Deleting footage in three durable steps: rows marked and committed; files unlinked, folders synced; rows gone.

Killed between any two, the next round (or start) finds the marked rows and goes on where it stopped. `at` is called at
each step, for tests that stop a process there.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

from store.footage_deleting import Doomed, forget
from store.leases import Lease
from store.pool import Store
from streams.layout import SegmentName, sync_folder

At = Callable[[str], None]
STEPS = ("marked", "unlinked", "synced", "forgotten")


def nowhere(step: str) -> None:
    """The `at` of real life."""
    del step


def name_of(doomed: Doomed) -> SegmentName:
    """Where its file lies."""
    return SegmentName(doomed.camera_id, doomed.stream, doomed.day, doomed.run, doomed.n)


async def finish(
    store: Store, lease: Lease, folder: Path, doomed: Sequence[Doomed], today: date, at: At = nowhere
) -> list[Doomed]:
    """Steps 2 and 3 for marked segments; returns those whose file could not be removed, which stay marked.

    folder: of the media root. today: UTC; younger folders are left, a recorder may be about to use them.
    Raises LeaseLost, StoreUnavailable.
    """
    if not doomed:
        return []
    failed = await asyncio.to_thread(_unlink, folder, doomed, at)
    done = [(each.run, each.n) for each in doomed if each not in failed]
    async with store.transaction() as connection:
        await lease.fence(connection)
        await forget(connection, done)
    at("forgotten")
    await asyncio.to_thread(_remove_empty, folder, {name_of(each).path.rpartition("/")[0] for each in doomed}, today)
    return failed


def _unlink(folder: Path, doomed: Sequence[Doomed], at: At) -> list[Doomed]:
    failed: list[Doomed] = []
    by_folder: dict[Path, list[Doomed]] = {}
    for each in doomed:
        by_folder.setdefault((folder / name_of(each).path).parent, []).append(each)
    for place, inside in by_folder.items():
        try:
            for each in inside:
                with suppress(FileNotFoundError):
                    os.unlink(folder / name_of(each).path)
            at("unlinked")
            with suppress(FileNotFoundError):
                sync_folder(place)
            at("synced")
        except OSError:
            failed += inside
    return failed


def _remove_empty(folder: Path, places: Iterable[str], today: date) -> None:
    """Removes day folders that are empty and over."""
    for place in places:
        if place.rpartition("/")[2] < str(today - timedelta(days=1)):
            try:
                os.rmdir(folder / place)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.ENOENT, errno.EEXIST):
                    raise
