"""Drawing with OpenCV: anti-aliased shapes with subpixel corners, optionally into a mask beside the picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from simulators.cameras.scenes.camera import Camera, Picture, Points

_SHIFT = 4
_LIMIT = 1 << 20


def fixed(points: Points) -> NDArray[np.int32]:
    """Pixels as OpenCV's fixed-point numbers with 4 fractional bits. Pixel centres are whole numbers for OpenCV."""
    return np.clip((points - 0.5) * (1 << _SHIFT), -_LIMIT, _LIMIT).astype(np.int32)


@dataclass(slots=True)
class Canvas:
    """A picture (h, w, 3) uint8 seen by a camera; mask (h, w) uint8 gets 255 wherever something is drawn."""

    picture: Picture
    camera: Camera
    mask: Picture | None = None

    def polygon(self, points: Points, colour: tuple[float, ...]) -> None:
        """Fill a polygon of pixels (n, 2)."""
        corners = [fixed(points)]
        cv2.fillPoly(self.picture, corners, colour, cv2.LINE_AA, _SHIFT)
        if self.mask is not None:
            cv2.fillPoly(self.mask, corners, (255,), cv2.LINE_AA, _SHIFT)

    def plate(self, points: Points, colour: tuple[float, ...]) -> None:
        """Fill a plane polygon of street points (n, 3)."""
        outline = self.camera.outline(points)
        if outline is not None:
            self.polygon(outline, colour)

    def disc(self, centre: Points, radius: float, colour: tuple[float, ...]) -> None:
        """Fill a circle; centre and radius in pixels."""
        place, size = fixed(centre), max(4, int(radius * (1 << _SHIFT)))
        cv2.circle(self.picture, place.tolist(), size, colour, -1, cv2.LINE_AA, _SHIFT)
        if self.mask is not None:
            cv2.circle(self.mask, place.tolist(), size, (255,), -1, cv2.LINE_AA, _SHIFT)

    def bar(self, a: Points, b: Points, wide_a: float, wide_b: float, colour: tuple[float, ...]) -> None:
        """A bar between two pixels, with a width in pixels at each end; under 1 px it is blended instead."""
        along = b - a
        length = float(np.hypot(*along))
        if length < 1e-6:
            return
        normal = np.array([-along[1], along[0]]) / length / 2
        wide_a, wide_b = max(wide_a, 0.8), max(wide_b, 0.8)
        self.polygon(
            np.array([a - normal * wide_a, b - normal * wide_b, b + normal * wide_b, a + normal * wide_a]), colour
        )


def add_glow(picture: Picture, centre: Points, radius: float, colour: tuple[float, float, float]) -> None:
    """Add light around a pixel: colour (0–255 at its brightest), falling to nothing at radius pixels. In place."""
    reach = int(np.clip(radius, 1, 600))
    x, y = round(float(centre[0])), round(float(centre[1]))
    height, width = picture.shape[:2]
    left, right, top, bottom = max(0, x - reach), min(width, x + reach), max(0, y - reach), min(height, y + reach)
    if left >= right or top >= bottom:
        return
    spot = cv2.resize(_SPOT, (2 * reach, 2 * reach), interpolation=cv2.INTER_LINEAR)
    spot = spot[top - (y - reach) : bottom - (y - reach), left - (x - reach) : right - (x - reach)]
    cut = picture[top:bottom, left:right]
    light = cv2.merge([cv2.convertScaleAbs(spot, alpha=c / 255) for c in colour])
    cv2.add(cut, light, dst=cut)


def _spot() -> Picture:
    axis = np.linspace(-1, 1, 64)
    far = np.minimum(np.hypot(*np.meshgrid(axis, axis)), 1)
    return (255 * (0.35 * (1 - far) ** 2 + 0.65 * (1 - far) ** 6)).astype(np.uint8)


_SPOT = _spot()
