"""Pictures that show a fault: `<root>/<camera>/pictures/<UTC day>/<time>.jpg`, with a retention of their own.

The cleaner of footage leaves these folders alone. Few a day and camera, so that a camera that is bad for weeks takes
some MB: `pictures_per_day`, `picture_spacing_s`. No I/O but on the sampler's thread.
"""

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import cv2
import structlog

from streams.quality_settings import QualitySettings, root_of_pictures

MOST_WIDTH = 1280
JPEG_QUALITY = 80
log = structlog.get_logger()


@dataclass(slots=True)
class ShelfStats:
    """saved, failed: pictures since the start."""

    saved: int = 0
    failed: int = 0


class Shelf:
    """Pictures of one camera. root: the media root."""

    def __init__(self, root: Path, camera: str, settings: QualitySettings, stats: ShelfStats) -> None:
        self._root, self._camera, self._settings, self._stats = root, camera, settings, stats
        self._day = ""
        self._of_day = 0
        self._last_us = 0
        self._last_path: str | None = None
        self._failing = False

    def keep(self, frame: av.VideoFrame, at_us: int) -> str | None:
        """Saves a picture unless one was saved just before (then that one's path) or the day has enough of them.

        Returns the path relative to the media root; None when there is none. A full or broken disk is said once.
        """
        if self._last_path and 0 <= at_us - self._last_us < self._settings.picture_spacing_s * 1e6:
            return self._last_path
        at = datetime.fromtimestamp(at_us / 1e6, UTC)
        folder = root_of_pictures(self._root, self._camera) / f"{at:%Y-%m-%d}"
        try:
            self._count(folder)
            if self._of_day >= self._settings.pictures_per_day:
                return None
            path = folder / f"{at:%H%M%S}-{at.microsecond // 1000:03d}.jpg"
            _write(path, frame)
        except (OSError, av.FFmpegError, cv2.error) as error:
            self._stats.failed += 1
            if not self._failing:
                log.warning("quality.picture_failed", camera=self._camera, reason=str(error))
            self._failing = True
            return None
        self._failing = False
        self._stats.saved += 1
        self._of_day += 1
        self._last_us, self._last_path = at_us, path.relative_to(self._root).as_posix()
        return self._last_path

    def well(self) -> None:
        """The picture is good again: the next fault gets a picture of its own."""
        self._last_path = None

    def clean(self, now_us: int) -> int:
        """Removes the days that are too old; returns how many."""
        oldest = datetime.fromtimestamp(now_us / 1e6, UTC) - timedelta(days=self._settings.pictures_days)
        removed = 0
        try:
            days = sorted(root_of_pictures(self._root, self._camera).iterdir())
        except OSError:
            return 0
        for day in days:
            if len(day.name) == 10 and day.name < f"{oldest:%Y-%m-%d}":
                shutil.rmtree(day, ignore_errors=True)
                removed += 1
        return removed

    def _count(self, folder: Path) -> None:
        if self._day != folder.name:
            folder.mkdir(parents=True, exist_ok=True)
            self._of_day = sum(1 for name in os.listdir(folder) if name.endswith(".jpg"))
            self._day = folder.name


def _write(path: Path, frame: av.VideoFrame) -> None:
    width = min(MOST_WIDTH, frame.width)
    height = round(frame.height * width / frame.width)
    picture = frame.to_ndarray(format="bgr24", width=width, height=height)
    written, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not written:
        raise OSError("no JPEG could be made")
    partial = path.with_suffix(".part")
    partial.write_bytes(coded.tobytes())
    partial.replace(path)
