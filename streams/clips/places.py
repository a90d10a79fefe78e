"""Where segments lie, and the errors of looking for them."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from core.errors import NotFound, WanggeError
from store.footage_spans import StoredSegment
from streams.layout import SegmentName

FolderOf = Callable[[str], Path | None]
"""Folder of a media root, None when this process does not serve it."""


class FootageGone(NotFound):
    """A file that a row names is not there (any more), or shorter than its row says: deleted meanwhile, or lost."""

    kind: ClassVar[str] = "footage_gone"


class TooBusy(WanggeError):
    """More is asked for at once than is served; trying again in a moment helps (HTTP 503)."""

    kind: ClassVar[str] = "busy"


def segment_path(folder: Path, segment: StoredSegment) -> Path:
    """The segment's file in the folder of its root."""
    name = SegmentName(segment.camera_id, segment.stream, segment.day, segment.run, segment.n)
    return folder / name.path
