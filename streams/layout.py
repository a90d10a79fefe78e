"""Where things lie in a media root: `<camera id>/<main|sub>/<UTC day>/<run>-<n>.mp4`, `lost+found/`, `.wangge-root`,
journals.

Camera ids begin with a letter or digit and hold no slash (the registry sees to it), so none meets the other names. On
file systems that take no colon in names nothing is recorded; Linux and macOS take it.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from core.errors import ConfigurationError, WanggeError
from core.ids import ulid
from core.media import STREAMS

ROOT_FILE: Final = ".wangge-root"
LOST_AND_FOUND: Final = "lost+found"
JOURNAL: Final = ".journal-"
"""Journals of the root's workers: this, and the worker's number (streams.recorder.journal)."""
_NAME: Final = re.compile(r"(?P<run>[0-9A-Z]{26})-(?P<n>[0-9]{1,9})\.mp4")
_ID: Final = re.compile(r"[0-9A-Z]{26}")


class MediaRootGone(WanggeError):
    """The folder of the footage is not there just now, or another one is: a disk that is not mounted."""

    kind = "media_root_gone"


@dataclass(frozen=True, slots=True)
class SegmentName:
    """What the path of a segment says. camera: the device's id. stream: 0 main, 1 sub. day: of its folder, in UTC."""

    camera: str
    stream: int
    day: date
    run: str
    n: int

    @property
    def path(self) -> str:
        """Relative to the root, with slashes."""
        return f"{self.camera}/{STREAMS[self.stream]}/{self.day:%Y-%m-%d}/{self.run}-{self.n}.mp4"


def day_of_us(at_us: int) -> date:
    """The UTC day of an instant (epoch microseconds)."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).date()


def parse(path: str) -> SegmentName | None:
    """The other way round; None for a path that is not a segment's."""
    parts = path.split("/")
    if len(parts) != 4 or parts[1] not in STREAMS:
        return None
    match = _NAME.fullmatch(parts[3])
    if match is None:
        return None
    try:
        day = date.fromisoformat(parts[2])
    except ValueError:
        return None
    name = SegmentName(parts[0], STREAMS.index(parts[1]), day, match["run"], int(match["n"]))
    return name if name.path == path else None


def open_root(folder: Path, now_ms: int) -> str:
    """The id of a media root, which is made where there is none; blocking. now_ms: for a new id.

    Raises ConfigurationError when the folder cannot be made or written, or its `.wangge-root` is garbled.
    """
    file = folder / ROOT_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            _make_id(file, ulid(now_ms, os.urandom(16).hex()))
        found = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The folder for footage {folder} cannot be used: {error}.") from error
    if not _ID.fullmatch(found):
        raise ConfigurationError(f"{file} holds no id of a media root; remove it if this folder is new.")
    return found


def check_root(folder: Path, root: str) -> None:
    """Makes sure that the folder is this media root, before what is missing in it counts as gone; blocking.

    Raises MediaRootGone.
    """
    try:
        found = (folder / ROOT_FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MediaRootGone(f"The folder for footage {folder} cannot be read ({error}); mount its disk.") from error
    if found != root:
        raise MediaRootGone(f"{folder} is another media root ({found}, not {root}); mount the right disk.")


def _make_id(file: Path, root: str) -> None:
    """Whole or not at all; of two processes that do it at once the first wins."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    with draft.open("w", encoding="ascii") as out:
        out.write(root + "\n")
        out.flush()
        os.fsync(out.fileno())
    with suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Makes new and removed names of a folder survive a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def waiting_journals(folder: Path) -> bool:
    """Whether a journal in this root still holds rows that the store has not got; blocking. Raises OSError."""
    return any(path.stat().st_size for path in folder.glob(f"{JOURNAL}*"))


def day_folders(place: Path) -> set[date]:
    """Days that have a folder in a stream's place; a missing place has none. Raises OSError."""
    days: set[date] = set()
    with suppress(FileNotFoundError), os.scandir(place) as entries:
        for entry in entries:
            with suppress(ValueError):
                days.add(date.fromisoformat(entry.name))
    return days


def names_in(place: Path) -> list[str]:
    """Names in a day folder; none when it is missing. Raises OSError when it cannot be read: that is not "gone"."""
    with suppress(FileNotFoundError), os.scandir(place) as entries:
        return [entry.name for entry in entries]
    return []
