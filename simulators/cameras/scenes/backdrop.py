"""The drawn engine's standing picture: sky, surface, houses, trees, lamps, parked vehicles; made once a scene.

Planes are warped textures, lit in their own coordinates; round things are painted. What can stand in front of a mover
is kept as an occluder: a mask with which the engine puts the standing picture back over movers behind it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from simulators.cameras.scenes import figures, textures
from simulators.cameras.scenes.camera import Camera, Picture, Points
from simulators.cameras.scenes.canvas import Canvas, add_glow, darken
from simulators.cameras.scenes.light import ambient, lamplight, sunlight
from simulators.cameras.scenes.lighting import Lighting
from simulators.cameras.scenes.movers import Mover, pose
from simulators.cameras.scenes.world import FAR_M, Building, Lamp, Street, Tree


@dataclass(frozen=True, slots=True)
class Occluder:
    """Something that stands at a depth (metres) and covers left, top, right, bottom; mask: its alpha, uint8."""

    depth: float
    box: tuple[int, int, int, int]
    mask: Picture


@dataclass(frozen=True, slots=True)
class Backdrop:
    """picture: (h, w, 3) BGR. occluders: far to near."""

    picture: Picture
    occluders: tuple[Occluder, ...]


def backdrop(street: Street, camera: Camera, parked: tuple[Mover, ...], lighting: Lighting) -> Backdrop:
    """Paint the standing picture; anti-aliased by painting larger and shrinking."""
    factor = 2.0 if camera.width < 1000 else 1.5
    large = camera.scaled(factor)
    picture: Picture = np.zeros((large.height, large.width, 3), np.uint8)
    _sky(picture, street, large)
    _ground(picture, street, large, lighting)
    _houses(picture, street, large, lighting)
    occluders: list[Occluder] = []
    for depth, thing in _standing(street, large, parked):
        canvas = Canvas(picture, large, np.zeros(picture.shape[:2], np.uint8))
        if isinstance(thing, Tree):
            _tree(canvas, thing, street, lighting)
        elif isinstance(thing, Lamp):
            _lamp(canvas, thing, street, lighting)
        else:
            _parked(canvas, thing, depth, lighting)
        if canvas.mask is not None and depth < 90:
            _keep(occluders, depth, canvas.mask, factor)
    picture = cv2.resize(picture, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    if street.night:
        _shine(picture, street, camera)
    return Backdrop(picture, tuple(occluders))


def _standing(street: Street, camera: Camera, parked: tuple[Mover, ...]) -> list[tuple[float, Tree | Lamp | Mover]]:
    """Round things with their depths from far to near, those behind the camera left out."""
    things: list[tuple[float, Tree | Lamp | Mover]] = []
    things += [(_depth(camera, tree.x, tree.y), tree) for tree in street.trees]
    things += [(_depth(camera, lamp.x, lamp.y), lamp) for lamp in street.lamps]
    things += [(_depth(camera, *mover.path[0]), mover) for mover in parked]
    return sorted((t for t in things if t[0] > 2.0), key=lambda t: -t[0])


def _depth(camera: Camera, x: float, y: float) -> float:
    return float(camera.seen(np.array([[x, y, 0.0]]))[0, 2])


def _keep(occluders: list[Occluder], depth: float, mask: Picture, factor: float) -> None:
    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return
    small = cv2.resize(mask, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    left, top = int(x / factor), int(y / factor)
    right, bottom = int((x + width) / factor) + 1, int((y + height) / factor) + 1
    cut = np.ascontiguousarray(small[top:bottom, left:right])
    occluders.append(Occluder(depth, (left, top, left + cut.shape[1], top + cut.shape[0]), cut))


def _sky(picture: Picture, street: Street, camera: Camera) -> None:
    """Sky by elevation, clouds on a far ceiling; at night the glow of the city over the horizon."""
    height, width = picture.shape[:2]
    step = 4
    xs, ys = np.meshgrid(np.arange(0, width, step), np.arange(0, height, step))
    rays = (
        np.stack([(xs - width / 2) / camera.focal, (ys - height / 2) / camera.focal, np.ones(xs.shape)], axis=-1)
        @ camera.axes
    )
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    up = np.clip(rays[..., 2], 0, 1)
    haze = np.array(street.sky.haze_colour)
    cloud: Picture
    if street.night:
        low = np.array([0.17, 0.13, 0.11]) * street.sky.night_glow + 0.02
        colour = low * np.exp(-up * 5)[..., None] + np.array([0.022, 0.024, 0.034])
    else:
        zenith = np.array([0.62, 0.65, 0.70]) if street.sky.overcast else np.array([0.30, 0.47, 0.74])
        colour = haze * 1.12 + (zenith - haze * 1.12) * np.clip(up * 1.7, 0, 1)[..., None]
        ceiling = rays[..., :2] / (up[..., None] + 0.12) * 60
        field = textures.noise()
        index = ceiling.astype(np.int64) + street.seed % 512
        cloud = (
            field[index[..., 1] % 512, index[..., 0] % 512] * 0.7
            + field[index[..., 1] * 3 % 512, index[..., 0] * 3 % 512] * 0.3
        )
        cloud = cv2.GaussianBlur(cloud, (0, 0), 2)
        share = np.clip((cloud - 0.46) * 3.2, 0, 1)[..., None] * np.clip(up * 8, 0, 1)[..., None]
        colour = colour * (1 - share * 0.8) + (0.80 if street.sky.overcast else 0.97) * share * 0.8
    small = np.clip(colour[..., ::-1] * 255, 0, 255).astype(np.uint8)
    picture[:] = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _plane(
    picture: Picture, camera: Camera, texture: Picture, origin: Points, u: Points, v: Points, size: tuple[float, float],
    cut: tuple[float, float] = (0.0, 1.0),
) -> None:  # fmt: skip
    """Warp a lit texture (rows along v from its origin) onto a plane of size metres; cut: share of v that is shown."""
    corners = np.array(
        [origin + u * a * size[0] + v * b * size[1] for a, b in ((0, cut[0]), (1, cut[0]), (1, cut[1]), (0, cut[1]))]
    )
    outline = camera.outline(corners)
    if outline is None:
        return
    height, width = picture.shape[:2]
    left, top = np.clip(np.floor(outline.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(outline.max(axis=0)) + 1, 0, (width, height)).astype(int)
    if right - left < 1 or bottom - top < 1:
        return
    to_metres = np.diag([size[0] / texture.shape[1], size[1] / texture.shape[0], 1.0])
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]])
    matrix = shift @ camera.plane(origin, u, v) @ to_metres
    box = (int(right - left), int(bottom - top))
    warped = cv2.warpPerspective(texture, matrix, box, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((box[1], box[0]), np.uint8)
    cv2.fillPoly(
        mask, [np.clip((outline - (left, top)) * 16, -(1 << 20), 1 << 20).astype(np.int32)], (255,), cv2.LINE_8, 4
    )
    cv2.copyTo(warped, mask, picture[top:bottom, left:right])


def _lit(
    texture: Picture, glowing: Picture | None, lighting: Lighting, camera: Camera, origin: Points, u: Points, v: Points,
    size: tuple[float, float], normal: tuple[float, float, float], step: float,
) -> Picture:  # fmt: skip
    """A texture with light, shade and haze, computed every step metres and spread smoothly."""
    columns, rows = max(2, int(size[0] / step)), max(2, int(size[1] / step))
    a, b = np.meshgrid((np.arange(columns) + 0.5) / columns * size[0], (np.arange(rows) + 0.5) / rows * size[1])
    points = origin + a.reshape(-1, 1) * u + b.reshape(-1, 1) * v
    shape = (texture.shape[1], texture.shape[0])
    light = lighting.on(points, normal).reshape(rows, columns, 3).astype(np.float32)
    hazy = lighting.haze(np.linalg.norm(points - camera.position, axis=1)).reshape(rows, columns).astype(np.float32)
    veil = (hazy[..., None] * lighting.haze_colour * 255).astype(np.float32)
    through = cv2.resize(light * (1 - hazy[..., None]), shape, interpolation=cv2.INTER_LINEAR)
    result = texture * through + cv2.resize(veil, shape, interpolation=cv2.INTER_LINEAR)
    if glowing is not None:
        result += glowing * (1 - cv2.resize(hazy, shape)[..., None])
    clipped: Picture = np.clip(result, 0, 255).astype(np.uint8)
    return cv2.cvtColor(clipped, cv2.COLOR_RGB2BGR)


_X, _Y, _Z = np.eye(3)


def _ground(picture: Picture, street: Street, camera: Camera, lighting: Lighting) -> None:
    half = textures.ground_width(street)
    size = (2 * half, FAR_M - textures.GROUND_NEAR_M)
    origin = np.array([-half, textures.GROUND_NEAR_M, 0.0])
    detail = float(np.clip(camera.width / 110, 6, textures.GROUND_PX_M))
    lit = _lit(textures.ground(street, detail), None, lighting, camera, origin, _X, _Y, size, (0, 0, 1.0), 0.5)
    far = np.array([[-400, -20, -0.05], [400, -20, -0.05], [400, 900, -0.05], [-400, 900, -(0.05).__float__()]])
    grey = (0.42 * lighting.on(np.array([[0, 140.0, 0]]), (0, 0, 1.0))[0] * 0.4 + lighting.haze_colour * 0.6) * 255
    Canvas(picture, camera).plate(far, tuple(np.clip(grey[::-1], 0, 255).tolist()))
    # Far parts from smaller copies: minified without shimmer.
    edges = [0.0, (28 + 20) / size[1], (62 + 20) / size[1], 1.0]
    for i in range(2, -1, -1):
        level = lit if i == 0 else cv2.resize(lit, None, fx=0.5**i, fy=0.5**i, interpolation=cv2.INTER_AREA)
        _plane(picture, camera, level, origin, _X, _Y, size, (edges[i], edges[i + 1]))


def _houses(picture: Picture, street: Street, camera: Camera, lighting: Lighting) -> None:
    """Houses from far to near: front, the wall towards the camera, and a block across the street's end."""
    ordered = sorted(street.buildings, key=lambda b: -b.y1)
    end = Building(
        1,
        0,
        FAR_M,
        FAR_M + 1,
        2 * textures.ground_width(street),
        7,
        3.0,
        3.2,
        (0.62, 0.6, 0.57),
        False,
        (),
        False,
        street.seed,
    )
    _wall(picture, street, camera, lighting, end, side_wall=True, origin=np.array([-end.depth / 2, FAR_M, 0.0]))
    for building in ordered:
        if building.y1 < 1:
            continue
        if building.y0 > 0:
            x = min(building.face_x, building.face_x + building.side * building.depth)
            _wall(picture, street, camera, lighting, building, side_wall=True, origin=np.array([x, building.y0, 0.0]))
        _wall(
            picture,
            street,
            camera,
            lighting,
            building,
            side_wall=False,
            origin=np.array([building.face_x, building.y0, 0.0]),
        )


def _wall(
    picture: Picture,
    street: Street,
    camera: Camera,
    lighting: Lighting,
    building: Building,
    side_wall: bool,
    origin: Points,
) -> None:
    size = (building.depth if side_wall else building.y1 - building.y0, building.height)
    u = _X if side_wall else _Y
    normal = (0.0, -1.0, 0.0) if side_wall else (float(-building.side), 0.0, 0.0)
    near = max(4.0, float(np.hypot(origin[0] - camera.position[0], max(0.0, building.y0))))
    detail = float(np.clip(camera.focal / near * 1.2, 5.0, textures.FRONT_PX_M))
    texture, windows = textures.front(building, side_wall, detail)
    lit = _lit(texture, windows if street.night else None, lighting, camera, origin, u, _Z, size, normal, 1.0)
    _plane(picture, camera, lit, origin, u, _Z, size)


def _tree(canvas: Canvas, tree: Tree, street: Street, lighting: Lighting) -> None:
    """A trunk and a crown of many small leaf clusters, lit by where they are in the crown."""
    rng = np.random.default_rng(tree.seed)
    away = float(_depth(canvas.camera, tree.x, tree.y))
    count = int(np.clip(tree.crown * canvas.camera.focal / max(away, 1.0) * 4, 50, 420))
    at = rng.normal(size=(count, 3))
    at *= (rng.random((count, 1)) ** 0.4 * tree.crown) / np.linalg.norm(at, axis=1, keepdims=True) * (1.0, 1.0, 0.85)
    points = np.array([tree.x, tree.y, tree.height]) + at
    pixels, depth = canvas.camera.project(
        np.concatenate([[[tree.x, tree.y, 0], [tree.x, tree.y, tree.height]], points])
    )
    if float(depth.min()) < 1:
        return
    scale = canvas.camera.focal / depth
    trunk_light = lighting(np.array([tree.x, tree.y, 1.5]), np.array([0, -1.0, 0]))
    trunk = lighting.veiled(np.array((0.30, 0.25, 0.20)) * trunk_light, float(depth[0]))
    canvas.bar(pixels[0], pixels[1], 0.30 * scale[0], 0.16 * scale[1], trunk.tolist())
    toward = np.array(street.sky.sun) if sunlight(street).any() else np.array([0, 0, 1.0])
    rim = at @ toward / tree.crown
    light = ambient(street, 0.3).astype(np.float64) * (0.62 + 0.42 * np.clip(at[:, 2:] / tree.crown + 0.3, 0, 1))
    light = light + sunlight(street) * np.clip(rim, 0, 1)[:, None] * 0.9 + 0.3 * lamplight(street, points)
    green = np.array([0.24 + 0.10 * tree.tint, 0.34 + 0.03 * tree.tint, 0.15]) * rng.uniform(0.75, 1.2, (count, 1))
    colours = lighting.veiled(green * light, float(depth[0]))
    order = np.argsort(-depth[2:])
    radius = tree.crown * rng.uniform(0.05, 0.14, count) * (420 / count) ** 0.4
    canvas.discs(pixels[2:][order], (radius * scale[2:])[order], colours[order])


def _lamp(canvas: Canvas, lamp: Lamp, street: Street, lighting: Lighting) -> None:
    head = np.array(lamp.light_at)
    points = np.array([[lamp.x, lamp.y, 0], [lamp.x, lamp.y, lamp.height - 0.4], head])
    pixels, depth = canvas.camera.project(points)
    if float(depth.min()) < 1:
        return
    scale = canvas.camera.focal / depth
    light = lighting(np.array([lamp.x, lamp.y, 3.0]), np.array([0, -1.0, 0]))
    colour = tuple(lighting.veiled(np.array((0.52, 0.53, 0.55)) * light, float(depth[0])).tolist())
    canvas.bar(pixels[0], pixels[1], 0.20 * scale[0], 0.11 * scale[1], colour)
    canvas.bar(pixels[1], pixels[2], 0.09 * scale[1], 0.07 * scale[2], colour)
    ahead, _ = canvas.camera.project(
        head + np.array([[-np.sign(lamp.x) * 0.35, 0, 0.05], [np.sign(lamp.x) * 0.35, 0, 0.0]])
    )
    bright = street.night and lamp.works
    canvas.bar(ahead[0], ahead[1], 0.22 * scale[2], 0.22 * scale[2], (240, 250, 255) if bright else colour)


def _parked(canvas: Canvas, mover: Mover, depth: float, lighting: Lighting) -> None:
    """A standing vehicle with its contact shadow."""
    at = pose(mover, 0.0)
    outline = canvas.camera.outline(figures.footprint(at, 0.15))
    scale = canvas.camera.focal / max(depth, 2.0)
    if outline is not None:
        darken(canvas.picture, outline, 0.45, soft=0.18 * scale)
    figures.draw(canvas, at, lighting, depth)


def _shine(picture: Picture, street: Street, camera: Camera) -> None:
    """Halo of every lamp that works."""
    tint = np.array(street.sky.lamp)[::-1] * 255
    for lamp in street.lamps:
        pixels, depth = camera.project(np.array([lamp.light_at]))
        if lamp.works and float(depth[0]) > 2:
            size = camera.focal / float(depth[0])
            add_glow(picture, pixels[0], 1.6 * size + 3, tuple((tint * 0.55).tolist()))
            add_glow(picture, pixels[0], 0.45 * size + 2, tuple(tint.tolist()))
