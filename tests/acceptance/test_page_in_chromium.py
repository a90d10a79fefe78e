"""The status page in a real Chromium, wide and narrow, light and dark: it is drawn, whole, and in its colours."""

import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import House

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
DARK = "--blink-settings=preferredColorScheme=0"


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_status_page(
    house: House, program: Callable[[str], str], tmp_path: Path, size: tuple[int, int], scheme: str
) -> None:
    picture = tmp_path / "page.png"
    command = [program("chromium"), *QUIET, *([DARK] if scheme == "dark" else [])]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={size[0]},{size[1]}"]
    command += [f"--screenshot={picture}", f"{house.http}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert picture.is_file(), done.stderr[-2000:]
    shown, rows = decoded(picture.read_bytes())
    assert shown == size
    light = [sum(row[:3]) / 3 for row in rows]  # the first pixel of each row is background
    assert (min(light) > 200) if scheme == "light" else (max(light) < 60)
    inked = sum(len(set(zip(row[0::4], row[1::4], row[2::4], strict=True))) > 8 for row in rows)
    assert inked > size[1] // 8, "text in a good part of the rows"
    right_edge = {row[-4:-1] for row in rows}
    assert len(right_edge) == 1, "nothing is cut off at the right edge"


def decoded(png: bytes) -> tuple[tuple[int, int], list[bytes]]:
    """Size and RGBA rows of a PNG with 8 bits a channel, not interlaced."""
    kinds = dict(chunks(png))
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", kinds[b"IHDR"])
    assert (depth, interlaced) == (8, 0)
    channels = {2: 3, 6: 4}[colour]
    data = zlib.decompress(b"".join(body for kind, body in chunks(png) if kind == b"IDAT"))
    rows, above, stride = list[bytes](), bytes(width * channels), width * channels
    for start in range(0, height * (stride + 1), stride + 1):
        above = unfiltered(data[start], bytearray(data[start + 1 : start + 1 + stride]), above, channels)
        rows.append(above if channels == 4 else rgba(above))
    return (width, height), rows


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def unfiltered(kind: int, row: bytearray, above: bytes, step: int) -> bytes:
    for i in range(len(row)):
        left, up = (row[i - step] if i >= step else 0), above[i]
        corner = above[i - step] if i >= step else 0
        guess = (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]
        row[i] = (row[i] + guess) & 255
    return bytes(row)


def paeth(left: int, up: int, corner: int) -> int:
    whole = left + up - corner
    return min((left, up, corner), key=lambda value: abs(whole - value))


def rgba(row: bytes) -> bytes:
    return b"".join(row[i : i + 3] + b"\xff" for i in range(0, len(row), 3))
