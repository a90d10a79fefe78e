"""What is measured on one decoded picture: pure functions on planes, no clock, no I/O, no camera's history.

Pictures: `luma` is the Y plane, uint8, shape (height, width). Work is done on two reductions of it: `fine` (FINE_WIDTH
wide; sharpness) and `coarse` (COARSE_WIDTH wide; edges, shift), by area averaging, so that a main stream costs little
more than a sub-stream and the noise of the sensor falls by the same factor. Blocks: the picture in ROWS × COLUMNS
parts.

Sources: noise: J. Immerkær, Fast noise variance estimation, CVIU 64 (1996). Sharpness: variance of the Laplacian, Pech-
Pacheco et al., Diatom autofocusing, ICPR 2000. Edges: G. Lee, M. Lee, J. Lim, Unified camera tamper detection based on
edge and object information, Sensors 15 (2015). Shift: C. Kuglin, D. Hines, phase correlation (1975).
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

FINE_WIDTH, COARSE_WIDTH = 320, 160
ROWS, COLUMNS = 9, 16
BLIND_P95 = 28.0
"""luma_p95 below which a picture shows nothing whose structure could be measured (black is 16)."""
DARK_BELOW, BRIGHT_ABOVE = 32, 229
"""White is 235 in video range, 255 in full range: what is cut off lies at or near it."""
NOISE_WIDTH, NOISE_HEIGHT = 640, 180
_IMMERKAER = np.array([1.0, -2.0, 1.0], np.float32)
_IMMERKAER_SCALE = float(np.sqrt(np.pi / 2) / 6)


@dataclass(frozen=True, slots=True)
class Planes:
    """A decoded picture: luma (height, width), chroma planes of any subsampling or None for black-and-white."""

    luma: Bytes
    blue: Bytes | None = None
    red: Bytes | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """All that is known of a picture by itself. Luma in steps of 0–255.

    fine_energy: mean square of the denoised Laplacian in each block, (ROWS, COLUMNS). fine_share: sharpness without a
    reference: that energy ÷ the square of the coarse gradient, in the half of the blocks with most structure.
    gradient_x, gradient_y, gradient: of `coarse`, luma steps per coarse pixel. blue, red: mean chroma minus 128.
    """

    width: int
    height: int
    luma_mean: float
    luma_p10: float
    luma_p90: float
    luma_p95: float
    dark_share: float
    bright_share: float
    noise: float
    bands: float
    blue: float
    red: float
    coarse: Bytes
    fine_energy: Floats
    fine_share: float
    gradient_x: Floats
    gradient_y: Floats
    gradient: Floats

    @property
    def contrast(self) -> float:
        """luma_p90 − luma_p10, at least 1."""
        return max(1.0, self.luma_p90 - self.luma_p10)

    @property
    def cast(self) -> float:
        """Distance of the mean chroma from grey ÷ 128."""
        return float(np.hypot(self.blue, self.red)) / 128


def measure(planes: Planes) -> Measured:
    """Everything of one picture. About 0.5 ms at 640×360 on one core of 2020; releases the GIL in most of it."""
    height, width = planes.luma.shape
    fine = reduced(planes.luma, FINE_WIDTH)
    coarse = reduced(fine, COARSE_WIDTH)
    mean, p10, p90, p95, dark, bright = luma_statistics(fine)
    x, y, length = gradients(coarse)
    energy = fine_energy(fine)
    noise, bands = noise_sigma(planes.luma), bands_sigma(coarse)
    return Measured(
        width, height, mean, p10, p90, p95, dark, bright, noise, bands, mean_chroma(planes.blue),
        mean_chroma(planes.red), coarse, energy, fine_share(energy, length), x, y, length,
    )  # fmt: skip


def reduced(luma: Bytes, width: int) -> Bytes:
    """The picture at that width (its own when it is narrower), by area averaging; the height stays even and ≥ 16."""
    rows, columns = luma.shape
    if columns <= width:
        return luma
    return _bytes(
        cv2.resize(luma, (width, max(16, round(rows * width / columns / 2) * 2)), interpolation=cv2.INTER_AREA)
    )


def luma_statistics(luma: Bytes) -> tuple[float, float, float, float, float, float]:
    """Mean, 10th, 90th and 95th percentile, share below DARK_BELOW, share above BRIGHT_ABOVE."""
    counts = cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel()
    total = float(luma.size)
    below = np.cumsum(counts)
    p10, p90, p95 = (float(np.searchsorted(below, share * total)) for share in (0.10, 0.90, 0.95))
    mean = float(counts @ np.arange(256, dtype=np.float32)) / total
    return mean, p10, p90, p95, float(below[DARK_BELOW - 1]) / total, 1 - float(below[BRIGHT_ABOVE]) / total


def noise_sigma(luma: Bytes) -> float:
    """Standard deviation of the noise (Immerkær 1996): median of the blocks' estimates, so that structure counts less.

    Of a picture larger than NOISE_WIDTH × NOISE_HEIGHT its middle, at full resolution, since averaging removes noise:
    half of a sub-stream is enough.
    """
    rows, columns = luma.shape
    top, left = max(0, (rows - NOISE_HEIGHT) // 2), max(0, (columns - NOISE_WIDTH) // 2)
    part = luma[top : top + NOISE_HEIGHT, left : left + NOISE_WIDTH]
    residue = cv2.sepFilter2D(part, cv2.CV_16S, _IMMERKAER, _IMMERKAER)
    blocks = cv2.resize(cv2.convertScaleAbs(residue), (COLUMNS * 2, ROWS), interpolation=cv2.INTER_AREA)
    return float(np.median(blocks)) * _IMMERKAER_SCALE


def bands_sigma(coarse: Bytes) -> float:
    """Standard deviation of horizontal bands of interference: of the rows' medians less their mean over five rows.

    A scene of its own has some (steps, fences), so only more than the reference's counts as noise. Robust (from the
    median deviation), because bands are everywhere and the edges of roofs and lorries are not.
    """
    some = coarse[:, ::4]
    middle = some.shape[1] // 2
    rows = np.partition(some, middle, axis=1)[:, middle].astype(np.float32)
    deviation = rows - cv2.blur(rows.reshape(-1, 1), (1, 5)).ravel()
    return 1.4826 * float(np.median(np.abs(deviation)))


def mean_chroma(plane: Bytes | None) -> float:
    """Mean of a chroma plane minus 128; 0 where there is none."""
    return 0.0 if plane is None else float(cv2.mean(plane)[0]) - 128


def fine_energy(fine: Bytes) -> Floats:
    """Mean square of the Laplacian of each block after a 3 × 3 median, which takes noise and snow away."""
    edges = cv2.Laplacian(cv2.medianBlur(fine, 3), cv2.CV_32F)
    return _floats(cv2.resize(cv2.multiply(edges, edges), (COLUMNS, ROWS), interpolation=cv2.INTER_AREA))


def gradients(coarse: Bytes) -> tuple[Floats, Floats, Floats]:
    """Sobel gradient (x, y, length) in luma steps per pixel, of the picture smoothed by 3 × 3."""
    smooth = cv2.GaussianBlur(coarse, (3, 3), 0)
    x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    return _floats(x), _floats(y), _floats(cv2.magnitude(x, y))


def fine_share(energy: Floats, gradient: Floats) -> float:
    """Fine structure ÷ coarse structure: falls with blur, whatever the light and (within limits) whatever is seen."""
    structure = cv2.resize(cv2.multiply(gradient, gradient), (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    floor = max(1.0, float(np.median(structure)))
    chosen = structure >= floor
    return float(np.median(energy[chosen] / structure[chosen])) if chosen.any() else 0.0


def spectrum(coarse: Bytes) -> Spectrum:
    """Fourier transform (half plane) of the picture under a Hann window, for `phase_shift`."""
    values = coarse.astype(np.float32)
    values -= values.mean()
    rows, columns = coarse.shape
    return np.fft.rfft2(values * _weights(rows, columns)[0]).astype(np.complex64, copy=False)


def phase_shift(now: Spectrum, reference: Spectrum, rows: int, columns: int) -> tuple[float, float, float]:
    """Shift (right, down; pixels) of a picture against another of rows × columns, and the peak's height (1: the same).

    The cross power is whitened and weighted with a low-pass, because high frequencies hold noise. The peak alone does
    not say whether to trust it: look at what it finds there (`reference.Template.shift`).
    """
    cross = now * reference.conj()
    cross *= _weights(rows, columns)[1] / (np.abs(cross) + 1e-6)
    plane = np.fft.irfft2(cross, (rows, columns))
    row, column = divmod(int(plane.argmax()), columns)
    height = float(plane[row, column])
    right = column + _vertex(plane[row, column - 1], height, plane[row, (column + 1) % columns])
    down = row + _vertex(plane[row - 1, column], height, plane[(row + 1) % rows, column])
    return (
        right - columns if right > columns / 2 else right,
        down - rows if down > rows / 2 else down,
        height,
    )


@lru_cache(maxsize=16)
def _weights(rows: int, columns: int) -> tuple[Floats, Floats]:
    """Hann window, and a Gaussian low-pass (half power at an eighth of the sampling rate) whose plane sums to 1."""
    window = np.outer(np.hanning(rows), np.hanning(columns)).astype(np.float32)
    squares = np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.rfftfreq(columns)[None, :] ** 2
    low = np.exp(-squares / (2 * 0.15**2)).astype(np.float32)
    return window, low / float(np.fft.irfft2(low, (rows, columns))[0, 0])


def _vertex(before: float, at: float, after: float) -> float:
    """Where between its neighbours (−0.5 to 0.5) a peak lies, by the parabola through three values."""
    bend = float(before) - 2 * float(at) + float(after)
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (float(before) - float(after)) / bend, -0.5, 0.5))


def _bytes(values: object) -> Bytes:
    return values  # type: ignore[return-value]


def _floats(values: object) -> Floats:
    return values  # type: ignore[return-value]
