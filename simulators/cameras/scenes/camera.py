"""The camera's geometry: a pinhole that projects metres of the street to pixels, and planes to pictures."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.cameras.scenes.world import View

Points = NDArray[np.float64]
Picture = NDArray[Any]
"""Pixels, (h, w) or (h, w, 3); uint8 unless said otherwise (OpenCV's own type does not tell)."""
NEAR_M = 0.4
"""Nothing nearer is drawn."""


class ViewShift(NamedTuple):
    """How far a camera was turned from where it looked, to stay there. dx, dy: shares of the picture's width and
    height,
    positive turns it right and down; roll_deg: clockwise."""

    dx: float = 0.0
    dy: float = 0.0
    roll_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole. axes: rows are the camera's right, down and forward in street coordinates. focal: pixels."""

    position: Points
    axes: Points
    focal: float
    width: int
    height: int

    def seen(self, points: Points) -> Points:
        """Street points (n, 3) in camera axes: right, down, depth, metres."""
        return (points - self.position) @ self.axes.T

    def pixels(self, seen: Points) -> Points:
        """Camera points (n, 3), all with depth > 0, as pixels (n, 2)."""
        return seen[:, :2] / seen[:, 2:3] * self.focal + (self.width / 2, self.height / 2)

    def project(self, points: Points) -> tuple[Points, NDArray[np.float64]]:
        """Street points (n, 3) → pixels (n, 2), and depths; behind the camera depths are ≤ 0, pixels useless."""
        seen = self.seen(points)
        depth = seen[:, 2]
        safe = np.where(depth > 1e-6, depth, 1e-6)
        return seen[:, :2] / safe[:, None] * self.focal + (self.width / 2, self.height / 2), depth

    def outline(self, polygon: Points) -> Points | None:
        """A plane polygon (n, 3) cut at the near plane, as pixels (m, 2); None when all of it lies behind."""
        seen = self.seen(polygon)
        if bool(np.all(seen[:, 2] >= NEAR_M)):
            return self.pixels(seen)
        kept: list[Points] = []
        for a, b in zip(seen, np.roll(seen, -1, axis=0), strict=True):
            if a[2] >= NEAR_M:
                kept.append(a)
            if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
                kept.append(a + (b - a) * (NEAR_M - a[2]) / (b[2] - a[2]))
        return self.pixels(np.array(kept)) if len(kept) > 2 else None

    def plane(self, origin: Points, along_u: Points, along_v: Points) -> Points:
        """Homography (3, 3) from plane coordinates (u, v), metres from origin along two vectors, to pixels."""
        columns = np.stack([self.axes @ along_u, self.axes @ along_v, self.axes @ (origin - self.position)], axis=1)
        lens = np.array([[self.focal, 0, self.width / 2], [0, self.focal, self.height / 2], [0, 0, 1.0]])
        result: Points = lens @ columns
        return result

    def scaled(self, factor: float) -> "Camera":
        """The same view with more or fewer pixels."""
        width, height = round(self.width * factor), round(self.height * factor)
        return Camera(self.position, self.axes, self.focal * factor, width, height)


def camera_of(view: View, size: tuple[int, int], shift: ViewShift = ViewShift()) -> Camera:  # noqa: B008 - immutable
    """The camera of a view for a picture of size (width, height), turned by shift."""
    width, height = size
    focal = width / 2 / np.tan(np.radians(view.fov_deg) / 2)
    yaw = np.radians(view.yaw_deg) + np.arctan(shift.dx * width / focal)
    pitch = np.radians(view.pitch_deg) + np.arctan(shift.dy * height / focal)
    roll = np.radians(view.roll_deg + shift.roll_deg)
    forward = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
    down = np.cross(forward, right)
    turned = np.stack([right * np.cos(roll) + down * np.sin(roll), down * np.cos(roll) - right * np.sin(roll), forward])
    return Camera(np.array(view.position), turned, float(focal), width, height)
