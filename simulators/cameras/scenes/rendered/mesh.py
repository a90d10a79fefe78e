"""Triangles for the renderer: a builder that collects shapes by material, and their rows as panda3d wants them.

A vertex row is 12 floats: place, normal, texture place, tint (r, g, b, what). `what`: 0 own colour, 1 times the mover's
paint, 2 times its second colour, 3 shines by itself. Axes and metres as in `world`; faces are seen from both sides.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulators.cameras.scenes.camera import Points
from simulators.cameras.scenes.world import Colour

OWN, PAINT, SECOND, SHINE = 0.0, 1.0, 2.0, 3.0
WHITE: Colour = (1.0, 1.0, 1.0)
MATTE, GLOSS, GLASS, LEAF, GROUND, FRONT = "matte", "gloss", "glass", "leaf", "ground", "front"
"""Materials; each has its own shader."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """rows: (n, 12) float32; triangles: (m, 3) uint32 into them."""

    rows: NDArray[np.float32]
    triangles: NDArray[np.uint32]


@dataclass(slots=True)
class Builder:
    """Collects shapes; `meshes()` gives one mesh a material."""

    _parts: dict[str, list[tuple[Points, NDArray[np.int64]]]] = field(default_factory=dict)

    def add(
        self, places: Points, normals: Points, triangles: Points, colour: Colour | Points, material: str,
        what: float = OWN, uv: Points | None = None,
    ) -> None:  # fmt: skip
        """Vertices (n, 3) with normals, triangles (m, 3) of their indices."""
        count = len(places)
        rows = np.zeros((count, 12))
        rows[:, 0:3], rows[:, 3:6] = places, normals
        if uv is not None:
            rows[:, 6:8] = uv
        rows[:, 8:11], rows[:, 11] = colour, what
        self._parts.setdefault(material, []).append((rows, np.asarray(triangles, dtype=np.int64).reshape(-1, 3)))

    def quad(
        self, corners: Points, colour: Colour, material: str = MATTE, what: float = OWN, uv: Points | None = None
    ) -> None:
        """A plane quad of four corners in order."""
        corners = np.asarray(corners, dtype=np.float64)
        normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
        normal /= max(float(np.linalg.norm(normal)), 1e-9)
        self.add(
            corners, np.repeat(normal[None], 4, axis=0), np.array([[0, 1, 2], [0, 2, 3]]), colour, material, what, uv
        )

    def box(
        self,
        centre: Points | tuple[float, ...],
        size: tuple[float, float, float],
        colour: Colour,
        material: str = MATTE,
        what: float = OWN,
    ) -> None:
        """An upright box."""
        half = np.array(size) / 2
        for axis in range(3):
            for side in (-1.0, 1.0):
                u, v = (axis + 1) % 3, (axis + 2) % 3
                corners = np.zeros((4, 3))
                corners[:, axis] = side * half[axis]
                corners[:, u] = np.array([-1, 1, 1, -1]) * half[u] * side
                corners[:, v] = np.array([-1, -1, 1, 1]) * half[v]
                self.quad(corners + np.asarray(centre), colour, material, what)

    def tube(
        self,
        a: Points,
        b: Points,
        radius_a: float,
        radius_b: float,
        colour: Colour,
        material: str = MATTE,
        what: float = OWN,
        sides: int = 9,
        caps: bool = True,
    ) -> None:
        """A cone from a to b, closed with flat ends."""
        a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        along = b - a
        along /= max(float(np.linalg.norm(along)), 1e-9)
        first = np.cross(along, (0, 0, 1.0) if abs(along[2]) < 0.9 else (1.0, 0, 0))
        first /= np.linalg.norm(first)
        turn = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
        ring = np.cos(turn) * first + np.sin(turn) * np.cross(along, first)
        i = np.arange(sides)
        triangles = np.concatenate(
            [np.stack([i, i + 1, sides + 2 + i], 1), np.stack([i, sides + 2 + i, sides + 1 + i], 1)]
        )
        self.add(
            np.concatenate([a + ring * radius_a, b + ring * radius_b]),
            np.concatenate([ring, ring]),
            triangles,
            colour,
            material,
            what,
        )
        for place, radius, side in ((a, radius_a, -1), (b, radius_b, 1)) if caps else ():
            fan = np.stack([np.zeros(sides, int), i + 1, i + 2], axis=1)
            points = np.concatenate([place[None], place + ring * radius])
            self.add(points, np.repeat((along * side)[None], sides + 2, axis=0), fan, colour, material, what)

    def ball(
        self,
        centre: Points | tuple[float, ...],
        radii: tuple[float, float, float] | float,
        colour: Colour,
        material: str = MATTE,
        what: float = OWN,
        sides: int = 6,
    ) -> None:
        """An ellipsoid."""
        size = np.broadcast_to(np.asarray(radii, dtype=np.float64), (3,))
        down, round_ = np.meshgrid(
            np.linspace(0, np.pi, sides + 1), np.linspace(0, 2 * np.pi, 2 * sides + 1), indexing="ij"
        )
        unit = np.stack([np.sin(down) * np.cos(round_), np.sin(down) * np.sin(round_), np.cos(down)], axis=-1)
        normals = unit / size
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        self.surface(np.asarray(centre) + unit * size, colour, material, what, normals=normals)

    def limb(
        self,
        a: Points | tuple[float, ...],
        b: Points | tuple[float, ...],
        radius_a: float,
        radius_b: float,
        colour: Colour,
        what: float = OWN,
    ) -> None:
        """A tube with round ends."""
        self.tube(np.asarray(a), np.asarray(b), radius_a, radius_b, colour, MATTE, what, sides=8, caps=False)
        self.ball(a, radius_a, colour, MATTE, what, sides=4)
        self.ball(b, radius_b, colour, MATTE, what, sides=4)

    def surface(
        self, grid: Points, colour: Colour, material: str, what: float = OWN, chosen: NDArray[np.bool_] | None = None,
        normals: Points | None = None,
    ) -> None:  # fmt: skip
        """A smooth surface through a grid of places (a, b, 3); chosen (a−1, b−1): which of its faces."""
        rows, columns = grid.shape[:2]
        if normals is None:
            normals = np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0))
            normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
        i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
        corner = (i * columns + j)[chosen] if chosen is not None else (i * columns + j).ravel()
        triangles = np.concatenate(
            [
                np.stack([corner, corner + columns, corner + columns + 1], 1),
                np.stack([corner, corner + columns + 1, corner + 1], 1),
            ]
        )
        self.add(grid.reshape(-1, 3), normals.reshape(-1, 3), triangles, colour, material, what)

    def meshes(self) -> dict[str, Mesh]:
        """One mesh a material; vertices that no triangle uses are dropped."""
        found = {}
        for material, parts in self._parts.items():
            offsets = np.cumsum([0, *[len(rows) for rows, _ in parts]])
            rows = np.concatenate([rows for rows, _ in parts]).astype(np.float32)
            triangles = np.concatenate([t + o for (_, t), o in zip(parts, offsets, strict=False)])
            used, inverse = np.unique(triangles.ravel(), return_inverse=True)
            found[material] = Mesh(np.ascontiguousarray(rows[used]), inverse.reshape(-1, 3).astype(np.uint32))
        return found
