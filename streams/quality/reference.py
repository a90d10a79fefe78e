"""What a camera's picture looks like when all is well, for one light: learned, kept in `camera_references`, compared.

`Reference` is what is stored. `Template` is a reference made ready for comparing. Pure, no clock.
"""

import zlib
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.quality.measures import COLUMNS, ROWS, Bytes, Floats, Measured, gradients, phase_shift, spectrum

FORMAT = 1
MOST_BYTES = 64 << 10
EDGE_SHARE = 0.15
"""The strongest 15 % of the background's gradients are its edges, if they reach LEAST_EDGE."""
LEAST_EDGE, MOST_EDGE = 2.5, 12.0
STABLE_ABOVE = 0.5
"""An edge counts when it is there in half of the healthy samples or more: branches and parked cars fall out."""
SAME_DIRECTION = 0.8
"""Cosine between an edge's direction then and now, up to which it is the same edge (37°)."""
LEAST_AGREEMENT = 0.35
"""Edges that must be found at the place a shift leads to; chance finds about a tenth."""


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """One camera, one light. background: coarse luma (rows × columns), presence: share of samples with the edge, 0–255.

    fine_energy: ROWS × COLUMNS float32 of denoised sharpness. differs_since_us: since when all samples show another
    view (epoch µs), 0 while they fit. size: of the pictures it was learned from; another size is compared all the
    same when its shape is the same.
    """

    learned_at_us: int
    samples: int
    size: tuple[int, int]
    rows: int
    columns: int
    background: bytes
    presence: bytes
    fine_energy: bytes
    fine_share: float
    luma_p10: float
    luma_p90: float
    luma_p95: float
    bright_share: float
    noise: float
    bands: float
    blue: float
    red: float
    differs_since_us: int = 0

    def to_bytes(self) -> bytes:
        """As stored: a format byte and deflated MessagePack, about 10–25 KiB."""
        return bytes([FORMAT]) + zlib.compress(msgspec.msgpack.encode(self), 6)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self | None:
        """None for another format or damaged bytes: the camera learns anew."""
        if not stored or stored[0] != FORMAT or len(stored) > MOST_BYTES:
            return None
        try:
            expanded = zlib.decompressobj().decompress(stored[1:], 1 << 20)
            found = msgspec.msgpack.decode(expanded, type=cls)
        except (zlib.error, msgspec.DecodeError):
            return None
        cells = found.rows * found.columns
        whole = len(found.background) == len(found.presence) == cells and len(found.fine_energy) == ROWS * COLUMNS * 4
        return found if whole and found.rows >= 16 and found.columns >= 16 else None


class Template:
    """A reference ready for comparing: about 0.2 MB, made in about 2 ms, thrown away when the reference changes."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        rows, columns = self.shape = reference.rows, reference.columns
        self.contrast = max(1.0, reference.luma_p90 - reference.luma_p10)
        self.background: Bytes = np.frombuffer(reference.background, np.uint8).reshape(self.shape)
        presence = np.frombuffer(reference.presence, np.uint8)
        x, y, length = gradients(self.background)
        self.edge_level = edge_level(length)
        strong = length.ravel() >= self.edge_level
        stable = strong & (presence >= STABLE_ABOVE * 255)
        self.edges: NDArray[np.intp] = np.flatnonzero(stable)
        self._x, self._y = (part.ravel()[self.edges] / length.ravel()[self.edges] for part in (x, y))
        self._least: Floats = np.maximum(1.2, 0.12 * length.ravel()[self.edges]).astype(np.float32)
        self._row, self._column = np.divmod(self.edges, columns)
        self._block = (self._row * ROWS // rows) * COLUMNS + self._column * COLUMNS // columns
        self._edges_of_block = np.bincount(self._block, minlength=ROWS * COLUMNS)
        self._every_block = (np.arange(rows)[:, None] * ROWS // rows) * COLUMNS + np.arange(
            columns
        ) * COLUMNS // columns
        self._strong_of_block = np.bincount(self._every_block.ravel()[strong], minlength=ROWS * COLUMNS)
        self.fine_energy: Floats = np.frombuffer(reference.fine_energy, np.float32).reshape(ROWS, COLUMNS)
        structured = self.fine_energy >= max(2.0, float(np.median(self.fine_energy)))
        self._structured = structured & (self._edges_of_block > 0).reshape(ROWS, COLUMNS)
        self._spectrum = spectrum(self.background)

    def gain(self, now: Measured) -> float:
        """Contrast against the reference's, 0.3–1: a darker picture of the same scene is not a blurred one."""
        return float(np.clip(now.contrast / self.contrast, 0.3, 1.0))

    def sharpness_ratio(self, now: Measured, present: NDArray[np.bool_]) -> float | None:
        """Median over the structured blocks of fine energy now ÷ then, at the same contrast; None without structure.

        Blocks whose edges are hidden (a lorry, a part that is covered) are left out as long as a quarter of them
        remain: blur leaves coarse edges where they were.
        """
        chosen = self._structured
        if not chosen.any():
            return None
        there = np.bincount(self._block[present], minlength=ROWS * COLUMNS)
        seen = chosen & (there > 0.5 * self._edges_of_block).reshape(ROWS, COLUMNS)
        if seen.sum() >= 0.25 * chosen.sum():
            chosen = seen
        ratio = now.fine_energy[chosen] / self.fine_energy[chosen]
        return float(np.median(ratio)) / self.gain(now) ** 2

    def present(self, now: Measured, right: int = 0, down: int = 0) -> NDArray[np.bool_]:
        """Which edges are there, looked for at their place moved by that many coarse pixels."""
        if right or down:
            rows, columns = self.shape
            at = np.clip(self._row + down, 0, rows - 1) * columns + np.clip(self._column + right, 0, columns - 1)
        else:
            at = self.edges
        length = now.gradient.ravel()[at]
        along = now.gradient_x.ravel()[at] * self._x + now.gradient_y.ravel()[at] * self._y
        found: NDArray[np.bool_] = (length >= self._least) & (along >= SAME_DIRECTION * length)
        return found

    def edges_lost(self, now: Measured, present: NDArray[np.bool_]) -> float | None:
        """Share of edges gone (Lee 2015). Left out as foreground: blocks whose edges went while others took their
        place, as long as they hold no more than half of all edges. None when the reference has hardly any edges."""
        if self.edges.size < 50:
            return None
        lost = np.bincount(self._block[~present], minlength=ROWS * COLUMNS)
        strong = now.gradient >= self.edge_level
        own = np.bincount(self._every_block[strong], minlength=ROWS * COLUMNS)
        hidden = (lost > 0.6 * self._edges_of_block) & (own >= 0.5 * self._edges_of_block)
        if self._edges_of_block[hidden].sum() > 0.5 * self.edges.size:
            hidden[:] = False
        total = int(self._edges_of_block[~hidden].sum())
        return float(lost[~hidden].sum()) / total if total else 0.0

    def edges_ratio(self, now: Measured, present: NDArray[np.bool_]) -> float:
        """Strong edges now ÷ then: in the blocks whose edges are gone when these hold half of all, else everywhere.

        So the uncovered rest of a covered picture, with its lamps and cars, does not speak for the whole.
        """
        own = np.bincount(self._every_block[now.gradient >= self.edge_level], minlength=ROWS * COLUMNS)
        lost = np.bincount(self._block[~present], minlength=ROWS * COLUMNS) > 0.6 * self._edges_of_block
        if self._edges_of_block[lost].sum() < 0.5 * self.edges.size:
            lost[:] = True
        return float(own[lost].sum()) / max(1.0, float(self._strong_of_block[lost].sum()))

    def shift(self, now: Measured, present: NDArray[np.bool_]) -> float | None:
        """Length of the shift ÷ picture width, or None. Trusted when the edges are found where it leads to."""
        if self.edges.size < 50:
            return None
        in_place = float(present.mean())
        if in_place >= 0.8:
            return 0.0
        rows, columns = self.shape
        right, down, _ = phase_shift(spectrum(now.coarse), self._spectrum, rows, columns)
        stays = (
            (self._row + down >= 0)
            & (self._row + down < rows)
            & (self._column + right >= 0)
            & (self._column + right < columns)
        )
        if np.hypot(right, down) < 0.75:
            return 0.0 if in_place >= LEAST_AGREEMENT else None
        if stays.mean() < 0.2:
            return None
        moved = float(self.present(now, round(right), round(down))[stays].mean())
        if moved >= LEAST_AGREEMENT and moved >= in_place + 0.1:
            return float(np.hypot(right, down)) / columns
        return 0.0 if in_place >= LEAST_AGREEMENT else None

    def cast_change(self, now: Measured) -> float:
        """Distance of the mean chroma from the reference's ÷ 128."""
        return float(np.hypot(now.blue - self.reference.blue, now.red - self.reference.red)) / 128


def edge_level(length: Floats) -> float:
    """Gradient from which on something is an edge in this background (luma steps per coarse pixel)."""
    return float(np.clip(np.quantile(length, 1 - EDGE_SHARE), LEAST_EDGE, MOST_EDGE))
