"""The standing things of a street as meshes: surface, houses, trees, lamps, fence."""

from dataclasses import dataclass

import cv2
import numpy as np

from simulators.cameras.scenes import textures
from simulators.cameras.scenes.camera import Picture, Points
from simulators.cameras.scenes.rendered.mesh import FRONT, GROUND, LEAF, MATTE, OWN, SHINE, Builder, Mesh
from simulators.cameras.scenes.world import FAR_M, Building, Lamp, Street, Tree

_STEEL = (0.42, 0.43, 0.45)


@dataclass(frozen=True, slots=True)
class Prop:
    """A mesh with its material and, where the material has them, a picture (RGB or RGBA, first row at v = 0) and
    windows that shine. casts: whether it throws a shadow."""

    material: str
    mesh: Mesh
    picture: Picture | None = None
    windows: Picture | None = None
    casts: bool = True


def props(street: Street) -> list[Prop]:
    """Everything that stands."""
    found = [_surface(street)]
    for building in street.buildings:
        if building.y1 > -6:
            found += _house(building)
    found += _house(_far_block(street))
    plain = Builder()
    for lamp in street.lamps:
        _lamp(plain, lamp, street.night)
    _fence(plain, street)
    _edges(plain, street)
    for tree in street.trees:
        _trunk(plain, tree)
    found += [Prop(material, mesh) for material, mesh in plain.meshes().items()]
    leaves = Builder()
    for tree in street.trees:
        _crown(leaves, tree)
    found += [Prop(material, mesh, leaf_picture()) for material, mesh in leaves.meshes().items()]
    return found


def _surface(street: Street) -> Prop:
    half = textures.ground_width(street)
    builder = Builder()
    corners = np.array(
        [[-half, textures.GROUND_NEAR_M, 0], [half, textures.GROUND_NEAR_M, 0], [half, FAR_M, 0], [-half, FAR_M, 0]]
    )
    builder.quad(corners, (1, 1, 1), GROUND, uv=np.array([[0, 0], [1, 0], [1, 1], [0, 1]]))
    return Prop(GROUND, builder.meshes()[GROUND], textures.ground(street), casts=False)


def _far_block(street: Street) -> Building:
    half = textures.ground_width(street)
    return Building(
        1, -half, FAR_M, FAR_M + 12, 2 * half, 7, 3.0, 3.2, (0.62, 0.60, 0.57), False, (), False, street.seed
    )


def _wall(corner: Points, along: Points, size: tuple[float, float], picture: Picture, windows: Picture) -> Prop:
    """A wall from a lower corner along a unit vector; its normal is to the right of `along`, outside."""
    builder = Builder()
    up = np.array([0, 0, size[1]])
    corners = np.array([corner, corner + along * size[0], corner + along * size[0] + up, corner + up])
    normal = np.array([along[1], -along[0], 0.0])
    builder.add(
        corners, np.repeat(normal[None], 4, axis=0), np.array([[0, 1, 2], [0, 2, 3]]), (1, 1, 1), FRONT, OWN,
        np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]),
    )  # fmt: skip
    return Prop(FRONT, builder.meshes()[FRONT], picture, windows)


def _house(b: Building) -> list[Prop]:
    """Front, the two side walls, a roof with its parapet, balconies and sills that stand out."""
    x0, x1 = sorted((b.face_x, b.face_x + b.side * b.depth))
    front = textures.front(b)
    side = textures.front(b, side_wall=True)
    length = b.y1 - b.y0
    # The front's texture runs with y; seen from the road the normal points to −side.
    found = [
        _wall(np.array([x0, b.y0, 0.0]), np.array([1.0, 0, 0]), (b.depth, b.height), *side),
        _wall(np.array([x1, b.y1, 0.0]), np.array([-1.0, 0, 0]), (b.depth, b.height), *side),
    ]
    if b.side > 0:
        mirrored = (np.ascontiguousarray(front[0][:, ::-1]), np.ascontiguousarray(front[1][:, ::-1]))
        found.append(_wall(np.array([b.face_x, b.y1, 0.0]), np.array([0, -1.0, 0]), (length, b.height), *mirrored))
    else:
        found.append(_wall(np.array([b.face_x, b.y0, 0.0]), np.array([0, 1.0, 0]), (length, b.height), *front))
    builder = Builder()
    middle = (x0 + x1) / 2
    builder.box((middle, (b.y0 + b.y1) / 2, b.height - 0.2), (b.depth - 0.05, length - 0.05, 0.3), (0.45, 0.44, 0.42))
    builder.box((b.face_x, (b.y0 + b.y1) / 2, b.height), (0.5, length, 0.5), b.colour)
    _relief(builder, b, length)
    return found + [Prop(material, mesh) for material, mesh in builder.meshes().items()]


def _relief(builder: Builder, b: Building, length: float) -> None:
    """Balconies, or sills under the windows; an awning over the shops."""
    out = -b.side
    bays = max(1, int(length / b.bay_m))
    bay = length / bays
    for floor in range(1 if b.shops else 0, b.floors):
        z = floor * b.floor_m
        for i in range(bays):
            y = b.y0 + (i + 0.5) * bay
            if b.balconies and floor:
                builder.box((b.face_x + out * 0.5, y, z + 0.05), (1.0, bay * 0.72, 0.12), (0.6, 0.6, 0.58))
                builder.box(
                    (b.face_x + out * 0.98, y, z + 0.55),
                    (0.06, bay * 0.72, 1.0),
                    (b.colour[0] * 0.95, b.colour[1] * 0.95, b.colour[2] * 0.95),
                )
            else:
                builder.box(
                    (b.face_x + out * 0.06, y, z + b.floor_m * 0.30), (0.16, bay * 0.64, 0.07), (0.66, 0.66, 0.64)
                )
    if b.shops:
        builder.box((b.face_x + out * 0.45, (b.y0 + b.y1) / 2, b.floor_m - 0.02), (0.9, length, 0.07), (0.4, 0.4, 0.42))


def _lamp(builder: Builder, lamp: Lamp, night: bool) -> None:
    base, top, head = (lamp.x, lamp.y, 0.0), (lamp.x, lamp.y, lamp.height - 0.35), np.array(lamp.light_at)
    builder.tube(np.array(base), np.array(top), 0.10, 0.06, _STEEL, sides=8)
    builder.tube(np.array(top), head + np.array([0, 0, 0.05]), 0.05, 0.04, _STEEL, sides=6)
    builder.box(head + np.array([0, 0, 0.03]), (0.75, 0.28, 0.10), _STEEL)
    shines = night and lamp.works
    builder.box(
        head - np.array([0, 0, 0.04]),
        (0.62, 0.22, 0.05),
        (1.0, 0.95, 0.85) if shines else (0.8, 0.8, 0.78),
        MATTE,
        SHINE if shines else OWN,
    )
    builder.box((lamp.x, lamp.y, 0.25), (0.3, 0.3, 0.5), (0.35, 0.36, 0.37))


def _fence(builder: Builder, street: Street) -> None:
    """The white fence between the directions, with a gap at the zebra crossing."""
    if street.median != "fence":
        return
    y = -10.0
    while y < 110:
        clear = street.zebra_y is None or abs(y + 1 - street.zebra_y) > 5
        if clear:
            for z in (0.35, 0.85):
                builder.box((0, y + 1, z), (0.05, 2.0, 0.05), (0.85, 0.85, 0.84))
            for k in range(2 if y > 45 else 8):
                builder.box((0, y + (k + 0.5) * (1.0 if y > 45 else 0.25), 0.6), (0.03, 0.03, 0.5), (0.85, 0.85, 0.84))
            builder.box((0, y, 0.5), (0.08, 0.08, 1.0), (0.8, 0.8, 0.8))
        y += 2.0


def _edges(builder: Builder, street: Street) -> None:
    """Kerb stones, bins and cabinets on the pavement."""
    for side in (-1, 1):
        x = side * (street.half_road + 0.11)
        builder.box((x, FAR_M / 2 - 10, 0.05), (0.22, FAR_M + 20, 0.10), (0.62, 0.62, 0.60))
    rng = np.random.default_rng([street.seed & 0xFFFFFFFF, 5])
    for _ in range(7):
        y = float(rng.uniform(8, 60))
        x = float(rng.choice([-1, 1])) * (street.half_road + 1.0)
        if rng.random() < 0.5:
            builder.tube(np.array([x, y, 0]), np.array([x, y, 0.9]), 0.24, 0.26, (0.16, 0.32, 0.22), sides=10)
        else:
            builder.box((x, y, 0.65), (0.45, 0.9, 1.3), (0.50, 0.54, 0.52))


def _trunk(builder: Builder, tree: Tree) -> None:
    builder.tube(
        np.array([tree.x, tree.y, 0]), np.array([tree.x, tree.y, tree.height]), 0.15, 0.08, (0.26, 0.21, 0.17), sides=8
    )
    rng = np.random.default_rng(tree.seed)
    for _ in range(5):
        end = np.array([tree.x, tree.y, tree.height]) + rng.normal(0, 0.45, 3) * tree.crown
        start = np.array([tree.x, tree.y, tree.height - 0.9 * tree.crown])
        builder.tube(start, end, 0.05, 0.02, (0.26, 0.21, 0.17), sides=5, caps=False)


def _crown(builder: Builder, tree: Tree) -> None:
    """Cards with leaves, facing all ways, denser at the outside; normals as of a ball, so that the crown is round."""
    rng = np.random.default_rng(tree.seed + 1)
    count = 230
    unit = rng.normal(size=(count, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    lumps = 1 + 0.22 * np.sin(unit @ rng.normal(0, 3, 3) + 1.3) + 0.12 * np.sin(unit @ rng.normal(0, 6, 3))
    at = unit * (rng.random((count, 1)) ** 0.35 * tree.crown * lumps[:, None]) * (1, 1, 0.82) + (
        tree.x,
        tree.y,
        tree.height,
    )
    first = np.cross(unit, rng.normal(size=(count, 3)))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(unit + rng.normal(0, 0.6, (count, 3)), first)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    size = tree.crown * rng.uniform(0.22, 0.40, (count, 1))
    corners = np.stack(
        [
            at - first * size - second * size,
            at + first * size - second * size,
            at + first * size + second * size,
            at - first * size + second * size,
        ],
        axis=1,
    )
    normals = np.repeat((unit * 0.8 + (0, 0, 0.3))[:, None], 4, axis=1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    inside = np.linalg.norm((at - (tree.x, tree.y, tree.height)) / tree.crown, axis=1)
    shade = (0.55 + 0.5 * np.clip(inside, 0, 1)) * rng.uniform(0.8, 1.15, count)
    colour = np.array([0.33 + 0.12 * tree.tint, 0.44 + 0.03 * tree.tint, 0.17]) * shade[:, None]
    uv = np.tile(np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]), (count, 1))
    base = np.arange(count)[:, None] * 4
    triangles = np.concatenate([base + np.array([[0, 1, 2]]), base + np.array([[0, 2, 3]])])
    builder.add(corners.reshape(-1, 3), normals.reshape(-1, 3), triangles, np.repeat(colour, 4, axis=0), LEAF, OWN, uv)


def leaf_picture(size: int = 128) -> Picture:
    """A card of leaves, RGBA: green where its brightness varies, alpha where a leaf is."""
    rng = np.random.default_rng(8)
    card = np.zeros((size, size, 4), np.uint8)
    for _ in range(46):
        middle = rng.uniform(0.14, 0.86, 2) * size
        tone = int(rng.uniform(80, 230))
        axes = (int(size * rng.uniform(0.06, 0.10)), int(size * rng.uniform(0.025, 0.045)))
        cv2.ellipse(
            card, middle.astype(int).tolist(), axes, float(rng.uniform(0, 180)), 0, 360, (tone, tone, tone, 255), -1
        )
    return card
