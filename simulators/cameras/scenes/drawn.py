"""The drawn engine: the standing picture, movers painted over it with shadows and lights. BGR, without sensor marks."""

import cv2
import numpy as np

from simulators.cameras.scenes import figures, textures
from simulators.cameras.scenes.backdrop import Backdrop, Occluder, backdrop
from simulators.cameras.scenes.camera import Camera, Picture, Points
from simulators.cameras.scenes.canvas import Box, Canvas, add_glow, blend, brighten, darken
from simulators.cameras.scenes.lighting import Lighting
from simulators.cameras.scenes.movers import LOOP_S, SIZES, Mover, Pose, pose
from simulators.cameras.scenes.world import Street

_HEAD_LIGHT = (255.0, 250.0, 238.0)
_REAR_LIGHT = (40.0, 36.0, 215.0)


class DrawnEngine:
    """Paints the frames of one street as one camera sees it."""

    def __init__(self, street: Street, movers: tuple[Mover, ...], camera: Camera) -> None:
        self._street, self._camera = street, camera
        self._lighting = Lighting(street)
        self._movers = tuple(m for m in movers if not m.parked or m.kind == "person")
        standing = tuple(m for m in movers if m.parked and m.kind != "person")
        self._backdrop: Backdrop = backdrop(street, camera, standing, self._lighting)
        self._clouds = None if street.night else _cloud_factors(0.05 if street.sky.overcast else 0.14)

    def frame(self, t_s: float) -> Picture:
        """The picture at a time of the loop, seconds."""
        picture = self._backdrop.picture.copy()
        if self._clouds is not None:
            self._cloud(picture, t_s)
        base = picture.copy()
        seen = self._sorted(t_s)
        dirty: list[Box | None] = []
        for at, depth, _ in seen:
            dirty += self._shadows(picture, at, depth)
            if self._street.night:
                dirty += self._beams(picture, at, depth)
        canvas = Canvas(picture, self._camera)
        waiting = list(self._backdrop.occluders)
        for at, depth, area in seen:
            while waiting and waiting[0].depth > depth:
                _cover(picture, base, waiting.pop(0), dirty)
            self._draw(canvas, at, depth, area)
            dirty.append(area)
            if self._street.night:
                dirty += self._lights(picture, at, depth)
        for occluder in waiting:
            _cover(picture, base, occluder, dirty)
        return picture

    def _sorted(self, t_s: float) -> list[tuple[Pose, float, Box]]:
        """Movers in view from far to near, with depth and box in pixels."""
        found = []
        for mover in self._movers:
            at = pose(mover, t_s)
            area = pixel_box(self._camera, at) if at.fade > 0.02 else None
            if area is not None:
                depth = float(self._camera.seen(np.array([[at.x, at.y, 0.0]]))[0, 2])
                found.append((at, depth, area))
        return sorted(found, key=lambda item: -item[1])

    def _draw(self, canvas: Canvas, at: Pose, depth: float, area: Box) -> None:
        if at.fade >= 1:
            figures.draw(canvas, at, self._lighting, depth)
            return
        left, top, right, bottom = area
        cut = canvas.picture[top:bottom, left:right]
        before = cut.copy()
        figures.draw(canvas, at, self._lighting, depth)
        cv2.addWeighted(cut, at.fade, before, 1 - at.fade, 0, dst=cut)

    def _shadows(self, picture: Picture, at: Pose, depth: float) -> list[Box | None]:
        """Cast shadow in the sun, soft contact shadow always; the boxes that changed."""
        scale = self._camera.focal / max(depth, 2.0)
        grounds = [(figures.footprint(at, 0.0 if at.mover.kind == "person" else 0.15), 0.45)]
        lit = self._lighting.sun_at(at.x, at.y)
        if lit > 0.3:
            corners = figures.box(at)
            flat = corners - self._lighting.sun * (corners[:, 2:3] / self._lighting.sun[2])
            hull = cv2.convexHull(flat[:, :2].astype(np.float32))[:, 0].astype(np.float64)
            grounds.append((np.column_stack([hull, np.zeros(len(hull))]), 0.5 * lit))
        return [
            darken(picture, outline, strength * at.fade, soft=0.14 * scale)
            for points, strength in grounds
            if (outline := self._camera.outline(points)) is not None
        ]

    def _beams(self, picture: Picture, at: Pose, depth: float) -> list[Box | None]:
        """What the head lights do to the road ahead."""
        if at.mover.kind == "person":
            return []
        ahead, side, nose = _axes(at, 0.0)
        half, scale = SIZES[at.mover.kind][1] * 0.4, self._camera.focal / max(depth, 2.0)
        power = (0.5 if at.mover.kind == "two_wheeler" else 1.0) * at.fade
        changed: list[Box | None] = []
        for reach, wide, light in ((6.0, 1.2, 0.45), (12.0, 1.9, 0.42), (22.0, 2.6, 0.25)):
            shape = [
                (0, -half),
                (reach * 0.6, -wide),
                (reach, -wide * 0.5),
                (reach, wide * 0.5),
                (reach * 0.6, wide),
                (0, half),
            ]
            points = np.array([nose + ahead * along + side * across for along, across in shape])
            outline = self._camera.outline(points)
            if outline is not None:
                changed.append(brighten(picture, outline, light * power, soft=0.45 * scale))
        return changed

    def _lights(self, picture: Picture, at: Pose, depth: float) -> list[Box | None]:
        """Glare of head lights that look at the camera, red glow of rear lights."""
        kind = at.mover.kind
        if kind == "person":
            return []
        ahead, side, nose = _axes(at, 0.95 if kind == "two_wheeler" else 0.68)
        toward = self._camera.position - nose
        facing = float(ahead @ toward) / max(1.0, float(np.linalg.norm(toward)))
        end = nose if facing > 0 else nose - ahead * SIZES[kind][0]
        lens = self._camera.width / 1280
        changed: list[Box | None] = []
        for across in (-0.37, 0.37) if kind != "two_wheeler" else (0.0,):
            pixels, depths = self._camera.project((end + side * SIZES[kind][1] * across)[None])
            if float(depths[0]) < 1.5:
                continue
            size = self._camera.focal / float(depths[0])
            if facing > 0:
                strength = (0.3 + 0.7 * facing) * at.fade
                wide = 0.9 * size * strength + 16 * lens * strength
                add_glow(picture, pixels[0], wide, _scaled(_HEAD_LIGHT, 0.8 * strength))
                add_glow(picture, pixels[0], 0.30 * size + 2.5 * lens, _scaled(_HEAD_LIGHT, at.fade))
            else:
                wide = 0.35 * size + 4 * lens
                add_glow(picture, pixels[0], wide, _scaled(_REAR_LIGHT, at.fade))
            x, y = float(pixels[0][0]), float(pixels[0][1])
            changed.append((int(x - wide), int(y - wide), int(x + wide) + 1, int(y + wide) + 1))
        return changed

    def _cloud(self, picture: Picture, t_s: float) -> None:
        """Shadow of clouds that drift, in place."""
        assert self._clouds is not None
        shift = int(t_s / LOOP_S * 512) % 512
        mask = cv2.resize(
            self._clouds[100:190, shift : shift + 160], picture.shape[1::-1], interpolation=cv2.INTER_LINEAR
        )
        cv2.multiply(picture, cv2.merge([mask, mask, mask]), dst=picture, scale=1 / 128)


def _cloud_factors(depth: float) -> Picture:
    """Factors (128 = 1) of cloud shadow, tileable along x."""
    field = cv2.GaussianBlur(np.tile(textures.noise(), (1, 3)), (0, 0), 20)[:, 512:1024]
    field = np.concatenate([field, field], axis=1)
    field = (field - field.min()) / float(np.ptp(field))
    result: Picture = np.clip(128 * (1 + depth * (field - 0.6)), 0, 255).astype(np.uint8)
    return result


def _axes(at: Pose, height: float) -> tuple[Points, Points, Points]:
    """Forward, right, and the middle of the front at a height."""
    ahead = np.array([np.sin(at.heading), np.cos(at.heading), 0.0])
    nose = np.array([at.x, at.y, height]) + ahead * SIZES[at.mover.kind][0] / 2
    return ahead, np.array([ahead[1], -ahead[0], 0.0]), nose


def _scaled(colour: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def _cover(picture: Picture, base: Picture, occluder: Occluder, dirty: list[Box | None]) -> None:
    """Put a standing thing back over what was painted behind it, once for all boxes that touch it."""
    left, top, right, bottom = occluder.box
    hits = [b for b in dirty if b is not None and b[0] < right and b[2] > left and b[1] < bottom and b[3] > top]
    if not hits:
        return
    x0, y0 = max(left, min(b[0] for b in hits)), max(top, min(b[1] for b in hits))
    x1, y1 = min(right, max(b[2] for b in hits)), min(bottom, max(b[3] for b in hits))
    blend(picture[y0:y1, x0:x1], base[y0:y1, x0:x1], occluder.mask[y0 - top : y1 - top, x0 - left : x1 - left])


def pixel_box(camera: Camera, at: Pose) -> Box | None:
    """A mover's bounding box in whole pixels (left, top, right, bottom), cut at the picture; None when out of it."""
    seen = camera.seen(figures.box(at))
    if float(seen[:, 2].min()) < 0.5:
        return None
    pixels = camera.pixels(seen)
    left, top = np.clip(np.floor(pixels.min(axis=0)) - 2, 0, (camera.width, camera.height)).astype(int)
    right, bottom = np.clip(np.ceil(pixels.max(axis=0)) + 2, 0, (camera.width, camera.height)).astype(int)
    return (int(left), int(top), int(right), int(bottom)) if right - left > 2 and bottom - top > 2 else None
