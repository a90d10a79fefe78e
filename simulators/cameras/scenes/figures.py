"""The drawn engine's vehicles and people: low polyhedra, shaded face by face, painted from back to front.

A vehicle is one or two convex solids (body, cabin) made of side profiles; faces that look away from the camera are left
out, details (windows, lights, wheels) are painted with the face that they sit on.
"""

from collections.abc import Callable

import numpy as np

from simulators.cameras.scenes.camera import Points
from simulators.cameras.scenes.canvas import Canvas
from simulators.cameras.scenes.traffic import SIZES, Kind, Pose

Shade = Callable[[Points, Points], Points]
"""Light (3,) RGB on a point with a normal, both in street coordinates."""
_GLASS = (0.09, 0.10, 0.12)
_DARK = (0.05, 0.05, 0.055)

# Side profiles as (share of length from the rear, share of height), closed polygons; cabin windows lie in the second.
_BODY: dict[Kind, list[tuple[float, float]]] = {
    "car": [(0, 0.16), (0, 0.56), (0.04, 0.64), (0.20, 0.66), (0.72, 0.64), (0.97, 0.53), (1, 0.42), (1, 0.16)],
    "suv": [(0, 0.2), (0, 0.58), (0.03, 0.62), (0.74, 0.62), (0.97, 0.55), (1, 0.45), (1, 0.2)],
    "van": [
        (0, 0.14),
        (0, 0.96),
        (0.03, 1.0),
        (0.72, 1.0),
        (0.80, 0.95),
        (0.90, 0.56),
        (0.98, 0.48),
        (1, 0.40),
        (1, 0.14),
    ],
    "lorry": [(0, 0.26), (0, 1.0), (0.72, 1.0), (0.72, 0.26)],
    "bus": [(0, 0.1), (0, 0.98), (0.02, 1.0), (0.97, 1.0), (0.995, 0.9), (1, 0.4), (1, 0.1)],
}
_CABIN: dict[Kind, list[tuple[float, float]]] = {
    "car": [(0.08, 0.64), (0.22, 0.97), (0.30, 1.0), (0.52, 1.0), (0.57, 0.97), (0.76, 0.63)],
    "suv": [(0.02, 0.61), (0.07, 0.95), (0.13, 1.0), (0.52, 1.0), (0.58, 0.96), (0.75, 0.61)],
    "lorry": [(0.75, 0.18), (0.75, 0.86), (0.78, 0.90), (0.95, 0.88), (0.985, 0.52), (1, 0.44), (1, 0.18)],
}


def _place(pose: Pose, local: Points) -> Points:
    """Vehicle coordinates (right, forward, up) to the street's."""
    c, s = np.cos(pose.heading), np.sin(pose.heading)
    x = pose.x + local[:, 0] * c + local[:, 1] * s
    y = pose.y - local[:, 0] * s + local[:, 1] * c
    return np.stack([x, y, local[:, 2]], axis=1)


def _turn(pose: Pose, normal: Points) -> Points:
    c, s = np.cos(pose.heading), np.sin(pose.heading)
    return np.array([normal[0] * c + normal[1] * s, -normal[0] * s + normal[1] * c, normal[2]])


def box(pose: Pose) -> Points:
    """The eight corners (8, 3) of a mover's bounding box on the street."""
    length, width, height = SIZES[pose.mover.kind]
    corners = [[x, y, z] for x in (-width / 2, width / 2) for y in (-length / 2, length / 2) for z in (0, height)]
    return _place(pose, np.array(corners))


def footprint(pose: Pose, grow: float = 0.0) -> Points:
    """The mover's outline on the ground (4, 3), grown by metres."""
    length, width, _ = SIZES[pose.mover.kind]
    a, b = width / 2 + grow, length / 2 + grow
    return _place(pose, np.array([[-a, -b, 0.0], [a, -b, 0.0], [a, b, 0.0], [-a, b, 0.0]]))


class Figure:
    """Draws one mover onto a canvas. night: lights are on."""

    def __init__(self, canvas: Canvas, pose: Pose, shade: Shade, night: bool, haze: tuple[float, Points]) -> None:
        self._canvas, self._pose, self._shade, self._night = canvas, pose, shade, night
        self._hazy, self._haze = haze

    def draw(self) -> None:
        """The whole figure."""
        kind = self._pose.mover.kind
        if kind == "person":
            self._person()
        elif kind == "two_wheeler":
            self._rider()
        else:
            self._vehicle(kind)

    def _colour(self, albedo: tuple[float, float, float] | Points, light: Points) -> tuple[float, ...]:
        lit = np.clip(np.asarray(albedo) * light, 0, 1)
        r, g, b = (lit * (1 - self._hazy) + self._haze * self._hazy) * 255
        return (float(b), float(g), float(r))

    def _face(
        self, local: list[tuple[float, float, float]] | Points, albedo: tuple[float, float, float] | Points
    ) -> bool:
        """A planar face if it looks at the camera; says whether it was drawn."""
        points = _place(self._pose, np.asarray(local, dtype=np.float64))
        normal = np.cross(points[1] - points[0], points[2] - points[0])
        size = float(np.linalg.norm(normal))
        if size < 1e-9 or float(normal @ (self._canvas.camera.position - points[0])) <= 0:
            return False
        light = self._shade(points.mean(axis=0), normal / size)
        self._canvas.plate(points, self._colour(albedo, light))
        return True

    def _solid(self, kind: Kind, profile: list[tuple[float, float]], inset_top: float, glass: bool) -> None:
        """A solid from a side profile; inset_top: how far the upper corners lean in, metres."""
        length, width, height = SIZES[kind]
        paint = self._pose.mover.paint
        low = min(z for _, z in profile)

        def corner(side: float, point: tuple[float, float]) -> tuple[float, float, float]:
            lean = inset_top * (point[1] - low) / (1 - low)
            return (side * (width / 2 - lean), (point[0] - 0.5) * length, point[1] * height)

        count = len(profile)
        for i in range(count):
            a, b = profile[i], profile[(i + 1) % count]
            slope = abs(b[1] - a[1]) * height / max(1e-6, np.hypot((b[0] - a[0]) * length, (b[1] - a[1]) * height))
            quad = [corner(-1, a), corner(1, a), corner(1, b), corner(-1, b)]
            # Profiles run rear → roof → front; quads seen from outside.
            pane = glass and slope > 0.3 and i not in (count - 1,)
            if self._face(quad[::-1], _GLASS if pane else paint):
                self._front_details(kind, a, b, corner, quad)
        for side in (-1, 1):
            outline = [corner(side, p) for p in (profile if side < 0 else profile[::-1])]
            if self._face(outline, paint):
                self._side_details(kind, side, glass, corner, profile)

    def _front_details(self, kind: Kind, a: tuple[float, float], b: tuple[float, float], corner, quad) -> None:  # type: ignore[no-untyped-def]
        """What sits on the rear and the front: panes, lights, plate, bumper."""
        rear, front = a[0] == b[0] == 0, a[0] == b[0] == 1
        if not (rear or front):
            if kind in ("van", "lorry") and 0.78 < (a[0] + b[0]) / 2 < 0.97 and abs(b[1] - a[1]) > 0.2:
                self._inset(quad, 0.08, 0.92, 0.1, 0.92, _GLASS)
            if kind == "bus" and (a[0] + b[0]) / 2 > 0.985 and abs(b[1] - a[1]) > 0.3:
                self._inset(quad, 0.05, 0.95, 0.02, 0.95, _GLASS)
            return
        head = np.array([1.0, 1.0, 0.92]) if front else np.array([0.62, 0.05, 0.04])
        big = kind in ("van", "lorry", "bus")
        low, high = (0.30, 0.55) if big and rear else (0.62, 0.92)
        if rear and kind in ("van", "bus"):
            self._inset(quad, 0.12, 0.88, 0.55, 0.92, _GLASS)
            low, high = 0.26, 0.44
        if rear and kind == "lorry":
            self._inset(quad, 0.49, 0.51, 0.02, 0.98, (0.3, 0.3, 0.3))
            low, high = 0.01, 0.08
        self._inset(quad, 0.0, 1.0, 0.0, 0.2 if not big else 0.08, _DARK)
        glow = self._night and not self._pose.mover.parked
        for left, right in ((0.04, 0.25), (0.75, 0.96)):
            self._inset(quad, left, right, low, high, head, own_light=1.0 if glow else 0.0)
        plate = (0.15, 0.25, 0.6) if not big else (0.75, 0.6, 0.1)
        self._inset(quad, 0.38, 0.62, 0.26, 0.44 if not big else 0.36, plate)
        if front and not big:
            self._inset(quad, 0.28, 0.72, 0.52, 0.86, _DARK)

    def _inset(self, quad, left: float, right: float, low: float, high: float, albedo, own_light: float = 0.0) -> None:  # type: ignore[no-untyped-def]
        """A rectangle in shares of a quad: its corners run (lower left, lower right, upper right, upper left)."""
        q = np.asarray(quad, dtype=np.float64)

        def at(u: float, v: float) -> Points:
            result: Points = (q[0] * (1 - u) + q[1] * u) * (1 - v) + (q[3] * (1 - u) + q[2] * u) * v
            return result

        points = _place(self._pose, np.array([at(left, low), at(right, low), at(right, high), at(left, high)]))
        light = self._shade(points.mean(axis=0), _turn(self._pose, np.array([0, np.sign(q[0][1]) or 1.0, 0.0])))
        self._canvas.plate(points, self._colour(albedo, np.maximum(light, own_light * 1.6)))

    def _side_details(self, kind: Kind, side: int, glass: bool, corner, profile) -> None:  # type: ignore[no-untyped-def]
        """Side windows, sill and wheels."""
        _length, _width, height = SIZES[kind]
        shade = self._shade(
            np.array([self._pose.x, self._pose.y, height / 2]), _turn(self._pose, np.array([side, 0, 0.0]))
        )
        if glass and kind != "lorry":
            middle = np.mean(list(profile), axis=0)
            inner = [
                (middle[0] + (p[0] - middle[0]) * 0.88, middle[1] + (p[1] - middle[1]) * 0.78 + 0.005) for p in profile
            ]
            points = _place(self._pose, np.array([corner(side * 1.004, p) for p in inner]))
            self._canvas.plate(points, self._colour(_GLASS, np.maximum(shade, 0.2 if not self._night else 0.0)))
            for at in (0.42,):
                bar = np.array(
                    [corner(side * 1.006, (at + d, z)) for d, z in ((0, 0.64), (0.022, 0.64), (0.022, 0.97), (0, 0.97))]
                )
                self._canvas.plate(_place(self._pose, bar), self._colour(self._pose.mover.paint, shade))
            return
        panels = {
            "van": [(0.66, 0.82, 0.56, 0.9)],
            "bus": [(0.04 + i * 0.155, 0.18 + i * 0.155, 0.42, 0.86) for i in range(6)],
        }
        for rear, front, low, high in panels.get(kind, []):
            pane = np.array([corner(side * 1.003, p) for p in ((rear, low), (front, low), (front, high), (rear, high))])
            own = 1.2 if kind == "bus" and self._night else 0.0
            self._canvas.plate(
                _place(self._pose, pane), self._colour((0.5, 0.48, 0.42) if own else _GLASS, np.maximum(shade, own))
            )
        if kind == "lorry" and glass:
            pane = np.array([corner(side * 1.003, p) for p in ((0.82, 0.5), (0.96, 0.5), (0.94, 0.84), (0.82, 0.84))])
            self._canvas.plate(_place(self._pose, pane), self._colour(_GLASS, shade))
        if kind == "lorry" and not glass:
            return
        self._wheels(kind, side, shade)

    def _wheels(self, kind: Kind, side: int, shade: Points) -> None:
        length, width, _ = SIZES[kind]
        radius = {"car": 0.32, "suv": 0.36, "van": 0.36}.get(kind, 0.48)
        round_ = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        for at in (-0.31, 0.32) if kind != "bus" else (-0.25, 0.32):
            for share, tone in ((1.12, 0.025), (0.92, 0.05), (0.55, 0.42)):
                ring = np.stack(
                    [
                        np.full(14, side * (width / 2 + 0.01)),
                        at * length + np.cos(round_) * radius * share,
                        radius + np.sin(round_) * radius * share,
                    ],
                    axis=1,
                )
                self._canvas.plate(_place(self._pose, ring), self._colour((tone, tone, tone * 1.03), shade))

    def _vehicle(self, kind: Kind) -> None:
        """Body first, then the cabin on it (the camera hangs above); a lorry's box and cab by their distance."""
        if kind in ("car", "suv"):
            self._solid(kind, _BODY[kind], 0.02, glass=False)
            self._wheel_sides(kind)
            self._solid(kind, _CABIN[kind], 0.22, glass=True)
        elif kind == "lorry":
            ahead = _turn(self._pose, np.array([0, 1.0, 0]))
            cab_nearer = float(ahead @ (self._canvas.camera.position - np.array([self._pose.x, self._pose.y, 0]))) > 0
            parts = [(_BODY[kind], False), (_CABIN[kind], True)]
            for profile, cab in parts if cab_nearer else parts[::-1]:
                self._solid(kind, profile, 0.04, glass=cab)
            self._wheel_sides(kind)
        else:
            self._solid(kind, _BODY[kind], 0.10, glass=False)

    def _wheel_sides(self, kind: Kind) -> None:
        for side in (-1, 1):
            normal = _turn(self._pose, np.array([side, 0, 0.0]))
            place = np.array([self._pose.x, self._pose.y, 0.5])
            if float(normal @ (self._canvas.camera.position - place)) > SIZES[kind][1] / 2:
                self._wheels(kind, side, self._shade(place, normal))

    def _person(self) -> None:
        """A walker: limbs as bars, seen upright from the camera."""
        pose, mover = self._pose, self._pose.mover
        tall = 1.58 + (mover.look % 97) / 97 * 0.26
        swing = 0.0 if mover.parked else np.sin(pose.walked * 2 * np.pi / 1.45)
        self._body(pose, tall, float(swing) * 0.30, 0.0)

    def _rider(self) -> None:
        """A two-wheeler with its rider."""
        shade = self._shade(np.array([self._pose.x, self._pose.y, 0.8]), np.array([0, 0, 1.0]))
        dark = self._colour(_DARK, shade)
        hub = _place(
            self._pose, np.array([[0, -0.62, 0.3], [0, 0.62, 0.3], [0, -0.2, 0.75], [0, 0.5, 0.95], [0, 0.0, 0.35]])
        )
        pixels, depth = self._canvas.camera.project(hub)
        if float(depth.min()) < 1:
            return
        scale = self._canvas.camera.focal / depth
        round_ = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        for at in (-0.62, 0.62):
            ring = np.stack([np.zeros(14), at + np.cos(round_) * 0.29, 0.29 + np.sin(round_) * 0.29], axis=1)
            side = [*ring, 0.06, 0, 0]
            hull = np.concatenate([ring[:8] - [0.06, 0, 0], side[8:]])
            self._canvas.plate(_place(self._pose, ring), dark)
            self._canvas.plate(_place(self._pose, hull), dark)
        body = self._colour(self._pose.mover.paint, shade * 0.8)
        for a, b, wide in ((0, 2, 0.14), (2, 4, 0.30), (4, 3, 0.16), (3, 1, 0.09)):
            self._canvas.bar(pixels[a], pixels[b], wide * scale[a], wide * scale[b], body)
        self._body(self._pose, 1.66, 0.0, 0.55)
        if self._night and float(depth[1]) < float(depth[0]):
            self._canvas.disc(pixels[3], max(1.0, 0.10 * float(scale[3])), (235, 250, 255))

    def _body(self, pose: Pose, tall: float, swing: float, seat: float) -> None:
        """Legs, trunk, arms, head; seat > 0: sitting, that high."""
        skin, mover = (0.66, 0.50, 0.40), pose.mover
        hip, neck, head = (0.52 * tall, 0.83 * tall, 0.93 * tall) if not seat else (0.80, 1.32, 1.52)
        lean = 0.12 if seat else 0.02
        joints = np.array(
            [
                [0, -0.05, hip], [0, lean, neck], [0, lean + 0.04, head],
                [0.1, swing if not seat else 0.25, 0.04 if not seat else 0.38], [-0.1, -swing if not seat else 0.25, 0.04 if not seat else 0.38],
                [0.24, -swing * 0.8 if not seat else 0.42, hip - 0.02 if not seat else 1.02], [-0.24, swing * 0.8 if not seat else 0.42, hip - 0.02 if not seat else 1.02],
            ]
        )  # fmt: skip
        pixels, depth = self._canvas.camera.project(_place(pose, joints))
        if float(depth.min()) < 1:
            return
        s = self._canvas.camera.focal / float(depth[0])
        toward = self._canvas.camera.position - np.array([pose.x, pose.y, 1.0])
        light = 0.5 * (
            self._shade(np.array([pose.x, pose.y, 1.0]), toward / np.linalg.norm(toward))
            + self._shade(np.array([pose.x, pose.y, 1.4]), np.array([0, 0, 1.0]))
        )
        shirt, legs = (
            self._colour(mover.paint, light),
            self._colour(mover.second if not seat else (0.12, 0.12, 0.14), light),
        )
        for foot in (4, 3):
            self._canvas.bar(pixels[0], pixels[foot], 0.17 * s, 0.11 * s, legs)
        for hand in (6, 5):
            self._canvas.bar(
                pixels[1], pixels[hand], 0.11 * s, 0.08 * s, self._colour(np.array(mover.paint) * 0.85, light)
            )
        self._canvas.bar(pixels[0], pixels[1], 0.33 * s, 0.40 * s, shirt)
        hair = np.array((0.08, 0.07, 0.06)) if not seat or mover.look % 2 else np.array((0.75, 0.74, 0.7))
        self._canvas.disc(pixels[2], 0.125 * s, self._colour(hair, light))
        face = pixels[2] + np.array([0.02 * s * np.sin(pose.heading), 0.035 * s])
        if float(np.cos(pose.heading)) < 0.3:
            self._canvas.disc(face, 0.095 * s, self._colour(skin, light))
