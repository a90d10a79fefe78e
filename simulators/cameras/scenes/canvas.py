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
        self.fixed_polygon(fixed(points), colour)

    def fixed_polygon(self, corners_px: NDArray[np.int32], colour: tuple[float, ...]) -> None:
        """Fill a polygon of pixels as `fixed` gives them."""
        corners = [corners_px]
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

    def discs(self, centres: Points, radii: Points, colours: Points) -> None:
        """Fill many circles (n, 2), (n,), (n, 3), in this order."""
        places, tones = fixed(centres).tolist(), colours.tolist()
        sizes = np.maximum(radii * (1 << _SHIFT), 4).astype(int).tolist()
        for place, size, tone in zip(places, sizes, tones, strict=True):
            cv2.circle(self.picture, place, size, tone, -1, cv2.LINE_AA, _SHIFT)
            if self.mask is not None:
                cv2.circle(self.mask, place, size, (255,), -1, cv2.LINE_AA, _SHIFT)

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


def soft_mask(picture: Picture, outline: Points, soft: float) -> tuple[Picture, tuple[int, int, int, int]] | None:
    """A blurred mask of a polygon of pixels, and the box (left, top, right, bottom) that it covers; None outside."""
    height, width = picture.shape[:2]
    soft = float(np.clip(soft, 0.6, 14))
    grow = soft * 2 + 2
    left, top = np.clip(np.floor(outline.min(axis=0) - grow), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(outline.max(axis=0) + grow), 0, (width, height)).astype(int)
    if right - left < 2 or bottom - top < 2:
        return None
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(mask, [fixed(outline - (left, top))], (255,), cv2.LINE_AA, _SHIFT)
    reach = int(soft) * 2 + 1
    return cv2.blur(mask, (reach, reach)), (int(left), int(top), int(right), int(bottom))


Box = tuple[int, int, int, int]


def darken(picture: Picture, outline: Points, strength: float, soft: float) -> Box | None:
    """A soft shadow in place; says which box changed."""
    found = soft_mask(picture, outline, soft)
    if found is None:
        return None
    mask, (left, top, right, bottom) = found
    factor = cv2.bitwise_not(cv2.convertScaleAbs(mask, alpha=strength))
    cut = picture[top:bottom, left:right]
    cv2.multiply(cut, cv2.merge([factor, factor, factor]), dst=cut, scale=1 / 255)
    return found[1]


def brighten(picture: Picture, outline: Points, strength: float, soft: float) -> Box | None:
    """Light on the road, in place: what lies there is multiplied up, so that marks and texture show."""
    found = soft_mask(picture, outline, soft)
    if found is None:
        return None
    mask, (left, top, right, bottom) = found
    cut = picture[top:bottom, left:right]
    lit = cv2.addWeighted(cut, 1.2, np.full_like(cut, 60), 0.9, 0)
    light = cv2.multiply(lit, cv2.merge([mask, mask, mask]), scale=strength / 255)
    cv2.add(cut, light, dst=cut)
    return found[1]


def blend(target: Picture, source: Picture, mask: Picture) -> None:
    """Source over target by a mask, in place."""
    alpha = cv2.merge([mask, mask, mask])
    over = cv2.multiply(source, alpha, scale=1 / 255)
    under = cv2.multiply(target, cv2.bitwise_not(alpha), scale=1 / 255)
    cv2.add(over, under, dst=target)
