"""Fixtures: a camera with an empty media root, and `Clips` over it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from store.pool import Store
from streams.clips import Clips
from tests.streams.clips.playing import whole
from tests.support.footage import ROOT, FootageMaker, add_camera

T0 = 1_790_000_000_000_000
"""When the footage of the tests begins: UTC epoch microseconds."""
S = 1_000_000


@dataclass
class Shown:
    """clips over the footage that `maker` records."""

    clips: Clips
    maker: FootageMaker
    camera: int
    folder: Path

    async def export(self, from_s: float, to_s: float) -> Path:
        """The clip of [from, to) seconds after T0 as a file."""
        answer = await self.clips.respond_clip(self.camera, "main", at(from_s), at(to_s), "GET", {})
        data = await whole(answer.body)
        assert answer.status == 200
        assert len(data) == int(answer.headers["content-length"])
        self.headers = answer.headers
        file = self.folder / f"clip-{from_s}-{to_s}.mp4"
        file.write_bytes(data)
        return file


def at(seconds: float) -> int:
    """Epoch microseconds of so many seconds after T0."""
    return T0 + round(seconds * S)


@pytest.fixture
async def shown(store: Store, tmp_path: Path) -> AsyncIterator[Shown]:
    camera = await add_camera(store)
    clips = Clips(store, lambda root: tmp_path if root == ROOT else None)
    yield Shown(clips, FootageMaker(store, tmp_path, camera), camera, tmp_path)
    clips.close()
