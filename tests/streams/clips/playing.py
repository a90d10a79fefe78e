"""What a player makes of a file: ffprobe's packets, ffmpeg's decoded pictures by the number that each one shows."""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.packets import number_of


def pictures(path: Path | str, width: int = 320, height: int = 192) -> list[int]:
    """Numbers of the decoded and shown pictures in order; fails when ffmpeg has anything to complain about."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo",
         "-pix_fmt", "gray", "-vf", f"scale={width}:{height}", "-"],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == b"", done.stderr.decode()
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width)
    return [number_of(frame) for frame in frames]


def decodes_without_a_word(path: Path) -> None:
    """All tracks, as ffmpeg sees them."""
    done = subprocess.run(
        ["ffmpeg", "-v", "warning", "-i", str(path), "-f", "null", "-"], capture_output=True, timeout=60, check=True
    )
    assert done.stderr == b"", done.stderr.decode()


def probe(path: Path, *entries: str) -> Any:
    """ffprobe's JSON."""
    done = subprocess.run(
        ["ffprobe", "-v", "warning", "-of", "json", *entries, str(path)], capture_output=True, timeout=60, check=True
    )
    assert done.stderr == b"", done.stderr.decode()
    return json.loads(done.stdout)


def packet_times(path: Path, track: str = "v:0") -> list[tuple[float, float]]:
    """(dts, pts) of the packets in seconds."""
    found = probe(path, "-select_streams", track, "-show_entries", "packet=pts_time,dts_time")
    return [(float(packet["dts_time"]), float(packet["pts_time"])) for packet in found["packets"]]


async def whole(body: AsyncIterator[bytes]) -> bytes:
    """All pieces of a body."""
    return b"".join([piece async for piece in body])
