"""Footage as `wangge doctor --deep` looks at it: rows against files, both ways, also while no service runs.

Media roots of other machines are named; the doctor looks at those whose folder is here.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from core.errors import WanggeError
from store import media_roots
from store.embedded.home import store_version
from store.media_roots import MediaRoot
from store.migrate import check
from store.pool import Store
from store.settings import StoreSettings
from streams.inspection import Faults, Inspection, Inspector
from streams.layout import MediaRootGone, check_root
from wangge.stores import embedded

State = Literal["ok", "warning", "fails"]
Line = tuple[State, str]

_SWEEP = "the next start of the camera workers"


@contextmanager
def readable_dsn(dsn: str | None, data: Path, settings: StoreSettings) -> Iterator[str | None]:
    """The DSN at hand, or that of the data folder's store, started for the while; None when there is no store."""
    major = store_version(data.resolve())
    if dsn is not None or major is None:
        yield dsn
        return
    with embedded(data, settings.model_copy(update={"major": major})) as server:
        yield server.dsn


def examine(dsn: str | None, data: Path, settings: StoreSettings, *, every_file: bool) -> list[Line]:
    """One line a fact, with its remedy. every_file: read each file whole, not a sample of 200 a root."""
    with readable_dsn(dsn, data, settings) as readable:
        if readable is None:
            return []
        if any("footage" in file for file in check(readable).pending):
            return [("ok", "no footage yet: the store is of an older version.")]
        return asyncio.run(_examine(readable, None if every_file else 200))


async def _examine(dsn: str, most: int | None) -> list[Line]:
    lines: list[Line] = []
    async with Store(dsn, max_size=2, application_name="wangge-doctor", only_checking=True) as store:
        async with store.connection() as connection:
            roots = await media_roots.roots(connection)
        for root in roots:
            lines += await _root(store, root, most)
    return lines or [("ok", "nothing is recorded.")]


async def _root(store: Store, root: MediaRoot, most: int | None) -> list[Line]:
    folder = Path(root.path)
    try:
        check_root(folder, root.id)
    except MediaRootGone as error:
        if root.host != socket.gethostname():
            return [("ok", f"{root.path} is on {root.host}; run the doctor there.")]
        return [("fails", str(error))]
    try:
        found = await Inspector(store, root.id, folder, most).run()
    except (WanggeError, OSError) as error:
        return [("fails", str(error))]
    return [*_faults(root.path, found), _summary(root.path, found)]


def _faults(path: str, found: Inspection) -> Iterator[Line]:
    """Lines for what is wrong."""
    kinds: tuple[tuple[Faults, State, str, str], ...] = (
        (found.no_file, "fails", "rows without a file", f"{_SWEEP} removes them and reports the gap; look at the disk"),
        (found.no_row, "warning", "files without a row", f"{_SWEEP} adopts them"),
        (found.size, "fails", "files of another size than their row says", f"{_SWEEP} mends open ones; check the disk"),
        (found.index, "fails", "files that hold other samples than their row says", "check the disk (SMART, fsck)"),
    )
    for faults, state, what, remedy in kinds:
        if faults.count:
            yield state, f"{faults.count} {what} under {path}, e.g. {faults.examples[0]}: {remedy}."
    if found.marked:
        yield "warning", f"{found.marked} deletions under {path} are not finished: the cleaner goes on with them."
    if found.aside:
        yield "warning", f"{found.aside} files in {path}/lost+found fit nothing; play them, then keep or remove them."
    if found.foreign:
        yield "warning", f"{found.foreign} files under {path} are no segments; move them elsewhere."


def _summary(path: str, found: Inspection) -> Line:
    size = f"{found.total_bytes / (1 << 30):.1f} GiB"
    return "ok", f"{found.files} files ({size}) under {path} have their rows; {found.parsed} of them read whole."
