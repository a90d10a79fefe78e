"""The drawn engine: the standing picture, movers painted over it with shadows and lights, and the camera's marks."""

import cv2
import numpy as np

from simulators.cameras.scenes import textures
from simulators.cameras.scenes.backdrop import Backdrop, Lighting, backdrop
from simulators.cameras.scenes.camera import Camera, Picture, Points
from simulators.cameras.scenes.canvas import Canvas, add_glow, fixed
from simulators.cameras.scenes.figures import Figure, box, footprint
from simulators.cameras.scenes.light import sunlight
from simulators.cameras.scenes.traffic import LOOP_S, SIZES, Mover, Pose, pose
from simulators.cameras.scenes.world import Street


class DrawnEngine:
    """Paints the frames of one street as one camera sees it; BGR, without the sensor's marks."""

    def __init__(self, street: Street, movers: tuple[Mover, ...], camera: Camera) -> None:
        self._street, self._camera = street, camera
        self._movers = tuple(m for m in movers if not m.parked or m.kind == "person")
        standing = tuple(m for m in movers if m.parked and m.kind != "person")
        self._backdrop: Backdrop = backdrop(street, camera, standing)
        self._lighting = Lighting(street)
        self._haze = self._lighting.haze_colour
        self._sunny = bool(sunlight(street).any())
        self._clouds = self._cloud_map() if not street.night else None

    def frame(self, t_s: float) -> Picture:
        """The picture at a time of the loop, seconds."""
        picture = self._backdrop.picture.copy()
        if self._clouds is not None:
            picture = self._cloudy(picture, t_s)
        base = picture.copy() if self._backdrop.occluders else picture
        seen = self._sorted(t_s)
        for at, _, _ in seen:
            self._shadow(picture, at)
        if self._street.night:
            for at, _, _ in seen:
                self._beam(picture, at)
        canvas = Canvas(picture, self._camera)
        waiting = list(self._backdrop.occluders)
        dirty: list[tuple[int, int, int, int]] = []
        for at, depth, area in seen:
            while waiting and waiting[0].depth > depth:
                self._cover(picture, base, waiting.pop(0), dirty)
            hazy = float(self._lighting.haze(np.array([depth]))[0])
            self._draw(canvas, at, hazy, area)
            dirty.append(area)
        for occluder in waiting:
            self._cover(picture, base, occluder, dirty)
        if self._street.night:
            for at, depth, _ in seen:
                self._lights(picture, at, depth)
        return picture

    def _sorted(self, t_s: float) -> list[tuple[Pose, float, tuple[int, int, int, int]]]:
        """Movers in view from far to near, with depth and box in pixels."""
        found = []
        for mover in self._movers:
            at = pose(mover, t_s)
            area = pixel_box(self._camera, at)
            if area is not None and at.fade > 0.02:
                depth = float(self._camera.seen(np.array([[at.x, at.y, 0.0]]))[0, 2])
                found.append((at, depth, area))
        return sorted(found, key=lambda item: -item[1])

    def _draw(self, canvas: Canvas, at: Pose, hazy: float, area: tuple[int, int, int, int]) -> None:
        if at.fade >= 1:
            Figure(canvas, at, self._lighting, self._street.night, (hazy, self._haze)).draw()
            return
        left, top, right, bottom = area
        before = canvas.picture[top:bottom, left:right].copy()
        Figure(canvas, at, self._lighting, self._street.night, (hazy, self._haze)).draw()
        cut = canvas.picture[top:bottom, left:right]
        cv2.addWeighted(cut, at.fade, before, 1 - at.fade, 0, dst=cut)

    def _cover(self, picture: Picture, base: Picture, occluder: object, dirty: list[tuple[int, int, int, int]]) -> None:
        """Put a standing thing back over the movers behind it."""
        left, top, right, bottom = occluder.box  # type: ignore[attr-defined]
        for a, b, c, d in dirty:
            x0, y0, x1, y1 = max(a, left), max(b, top), min(c, right), min(d, bottom)
            if x0 >= x1 or y0 >= y1:
                continue
            mask = occluder.mask[y0 - top : y1 - top, x0 - left : x1 - left]  # type: ignore[attr-defined]
            _blend(picture[y0:y1, x0:x1], base[y0:y1, x0:x1], mask)

    def _shadow(self, picture: Picture, at: Pose) -> None:
        """Cast shadow in the sun, soft contact shadow always."""
        grounds = [(footprint(at, 0.12 if at.mover.kind != "person" else 0.0), 0.42 if not self._street.night else 0.5)]
        if self._sunny and float(self._lighting.lit(np.array([[at.x, at.y, 0.5]]))[0]) > 0.5:
            sun = np.array(self._street.sky.sun)
            corners = box(at)
            if at.mover.kind == "person":
                corners = box(at)
            flat = corners - sun * (corners[:, 2:3] / sun[2])
            hull = cv2.convexHull(flat[:, :2].astype(np.float32))[:, 0].astype(np.float64)
            grounds.append((np.column_stack([hull, np.zeros(len(hull))]), 0.45))
        for points, strength in grounds:
            outline = self._camera.outline(points)
            if outline is not None:
                _darken(picture, outline, strength * at.fade, soft=0.18 * self._scale(at))

    def _scale(self, at: Pose) -> float:
        """Pixels a metre at a mover."""
        depth = float(self._camera.seen(np.array([[at.x, at.y, 0.0]]))[0, 2])
        return self._camera.focal / max(depth, 2.0)

    def _beam(self, picture: Picture, at: Pose) -> None:
        """What the head lights do to the road ahead."""
        if at.mover.kind == "person" or at.mover.parked:
            return
        ahead = np.array([np.sin(at.heading), np.cos(at.heading), 0.0])
        side = np.array([ahead[1], -ahead[0], 0.0])
        nose = np.array([at.x, at.y, 0.0]) + ahead * SIZES[at.mover.kind][0] / 2
        power = 0.5 if at.mover.kind == "two_wheeler" else 1.0
        for reach, wide, light in ((5.0, 1.3, 0.55), (11.0, 2.2, 0.45), (20.0, 3.0, 0.22)):
            half = SIZES[at.mover.kind][1] * 0.4
            points = np.array(
                [
                    nose - side * half,
                    nose + ahead * reach * 0.6 - side * wide,
                    nose + ahead * reach,
                    nose + ahead * reach * 0.6 + side * wide,
                    nose + side * half,
                ]
            )
            outline = self._camera.outline(points)
            if outline is not None:
                _brighten(picture, outline, light * power * at.fade, soft=0.5 * self._scale(at))

    def _lights(self, picture: Picture, at: Pose, depth: float) -> None:
        """Glare of head lights that look at the camera, red glow of rear lights."""
        kind = at.mover.kind
        if kind == "person" or at.mover.parked:
            return
        length, width, _height = SIZES[kind]
        ahead = np.array([np.sin(at.heading), np.cos(at.heading), 0.0])
        side = np.array([ahead[1], -ahead[0], 0.0])
        toward = self._camera.position - np.array([at.x, at.y, 0.7])
        facing = float(ahead @ toward) / max(1.0, float(np.linalg.norm(toward)))
        end = np.array([at.x, at.y, 0.68 if kind != "two_wheeler" else 0.95]) + ahead * (
            length / 2 if facing > 0 else -length / 2
        )
        offsets = (-0.38, 0.38) if kind != "two_wheeler" else (0.0,)
        for offset in offsets:
            pixels, depths = self._camera.project((end + side * width * offset)[None])
            if float(depths[0]) < 1.5:
                continue
            size = self._camera.focal / float(depths[0])
            if facing > 0:
                strength = (0.35 + 0.65 * facing) * at.fade
                add_glow(
                    picture,
                    pixels[0],
                    1.1 * size * strength + 5 * self._camera.width / 1280,
                    tuple(np.array((235, 245, 255)) * strength),
                )
                add_glow(picture, pixels[0], 0.28 * size + 1.5, tuple(np.array((255.0, 255.0, 255.0)) * at.fade))
            else:
                add_glow(picture, pixels[0], 0.4 * size + 2, tuple(np.array((40.0, 40.0, 210.0)) * at.fade))

    def _cloud_map(self) -> Picture:
        """Factors (128 = 1) of drifting cloud shadow over the ground, tileable, low."""
        field = cv2.GaussianBlur(np.tile(textures.noise(), (2, 2)), (0, 0), 20)
        depth = 0.05 if self._street.sky.overcast else 0.16
        field = (field - field.min()) / float(np.ptp(field))
        result: Picture = np.clip(128 * (1 + depth * (field - 0.6)), 0, 255).astype(np.uint8)
        return result

    def _cloudy(self, picture: Picture, t_s: float) -> Picture:
        assert self._clouds is not None
        shift = int(t_s / LOOP_S * 512) % 512
        small = self._clouds[100:190, shift : shift + 160]
        mask = cv2.resize(small, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)
        result: Picture = cv2.multiply(picture, cv2.merge([mask, mask, mask]), scale=1 / 128)
        return result


def pixel_box(camera: Camera, at: Pose) -> tuple[int, int, int, int] | None:
    """A mover's bounding box in whole pixels (left, top, right, bottom), cut at the picture; None when out of it."""
    corners = box(at)
    seen = camera.seen(corners)
    if float(seen[:, 2].min()) < 0.5:
        return None
    pixels = camera.pixels(seen)
    left, top = np.clip(np.floor(pixels.min(axis=0)) - 2, 0, (camera.width, camera.height)).astype(int)
    right, bottom = np.clip(np.ceil(pixels.max(axis=0)) + 2, 0, (camera.width, camera.height)).astype(int)
    return (int(left), int(top), int(right), int(bottom)) if right - left > 2 and bottom - top > 2 else None


def _mask(picture: Picture, outline: Points, soft: float) -> tuple[Picture, tuple[int, int, int, int]] | None:
    """A soft mask of a polygon and the box that it covers."""
    height, width = picture.shape[:2]
    soft = float(np.clip(soft, 0.6, 14))
    grow = soft * 2 + 2
    left, top = np.clip(np.floor(outline.min(axis=0) - grow), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(outline.max(axis=0) + grow), 0, (width, height)).astype(int)
    if right - left < 2 or bottom - top < 2:
        return None
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(mask, [fixed(outline - (left, top))], (255,), cv2.LINE_AA, 4)
    reach = int(soft) * 2 + 1
    return cv2.blur(mask, (reach, reach)), (int(left), int(top), int(right), int(bottom))


def _darken(picture: Picture, outline: Points, strength: float, soft: float) -> None:
    found = _mask(picture, outline, soft)
    if found is None:
        return
    mask, (left, top, right, bottom) = found
    factor = cv2.convertScaleAbs(mask, alpha=-strength, beta=0)
    factor = cv2.bitwise_not(factor)
    cut = picture[top:bottom, left:right]
    cv2.multiply(cut, cv2.merge([factor, factor, factor]), dst=cut, scale=1 / 255)


def _brighten(picture: Picture, outline: Points, strength: float, soft: float) -> None:
    """Light on the road: what lies there is multiplied up, so that marks and texture show."""
    found = _mask(picture, outline, soft)
    if found is None:
        return
    mask, (left, top, right, bottom) = found
    cut = picture[top:bottom, left:right]
    # Asphalt of about 0.4 in this light; brighter marks come out brighter.
    lit = cv2.addWeighted(cut, 1.2, np.full_like(cut, 70), 0.9, 0)
    light = cv2.multiply(lit, cv2.merge([mask, mask, mask]), scale=strength / 255)
    cv2.add(cut, light, dst=cut)


def _blend(target: Picture, source: Picture, mask: Picture) -> None:
    """Source over target by a mask, in place."""
    alpha = cv2.merge([mask, mask, mask])
    over = cv2.multiply(source, alpha, scale=1 / 255)
    under = cv2.multiply(target, cv2.bitwise_not(alpha), scale=1 / 255)
    cv2.add(over, under, dst=target)
