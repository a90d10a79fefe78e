"""The drawn engine's movers: vehicles from `solids`, people and riders from bars and discs, painted back to front."""

import math

import numpy as np

from simulators.cameras.scenes.camera import Points
from simulators.cameras.scenes.canvas import Canvas, fixed
from simulators.cameras.scenes.lighting import Lighting
from simulators.cameras.scenes.movers import SIZES, Pose
from simulators.cameras.scenes.solids import Solid, parts

_SMALL_PX = 22
"""Details are left out of vehicles narrower than this."""
_SKIN = np.array((0.68, 0.52, 0.42))


def place(at: Pose, local: Points) -> Points:
    """Points in a mover's own axes (right, forward, up) on the street."""
    c, s = math.cos(at.heading), math.sin(at.heading)
    result: Points = local @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) + (at.x, at.y, 0.0)
    return result


def _local(at: Pose, vector: Points) -> Points:
    """A street direction in the mover's own axes."""
    c, s = np.cos(at.heading), np.sin(at.heading)
    return np.array([vector[0] * c - vector[1] * s, vector[0] * s + vector[1] * c, vector[2]])


def box(at: Pose) -> Points:
    """The eight corners (8, 3) of a mover's bounding box on the street."""
    length, width, height = SIZES[at.mover.kind]
    corners = [[x, y, z] for x in (-width / 2, width / 2) for y in (-length / 2, length / 2) for z in (0, height)]
    return place(at, np.array(corners))


def footprint(at: Pose, grow: float = 0.0) -> Points:
    """The mover's outline on the ground (4, 3), grown by metres."""
    length, width, _ = SIZES[at.mover.kind]
    a, b = width / 2 + grow, length / 2 + grow
    return place(at, np.array([[-a, -b, 0.0], [a, -b, 0.0], [a, b, 0.0], [-a, b, 0.0]]))


def draw(canvas: Canvas, at: Pose, lighting: Lighting, depth: float) -> None:
    """Paint one mover; nothing where a part of it is nearer than 1 m."""
    kind = at.mover.kind
    if kind == "person":
        _person(canvas, at, lighting, depth)
    elif kind == "two_wheeler":
        _rider(canvas, at, lighting, depth)
    else:
        _vehicle(canvas, at, lighting, depth)


def _vehicle(canvas: Canvas, at: Pose, lighting: Lighting, depth: float) -> None:
    camera = canvas.camera
    eye = _local(at, camera.position - np.array([at.x, at.y, 0.0]))
    solids = parts(at.mover.kind, lighting.street.night and not at.mover.parked)
    if at.mover.kind == "lorry" and eye[1] < 0:
        solids = solids[::-1]
    small = SIZES[at.mover.kind][1] * camera.focal / max(depth, 1.0) < _SMALL_PX
    for solid in solids:
        _paint_solid(canvas, solid, at, lighting, eye, depth, small)


def _paint_solid(
    canvas: Canvas, solid: Solid, at: Pose, lighting: Lighting, eye: Points, depth: float, small: bool
) -> None:
    """Every face that looks at the eye, in the order of the solid."""
    toward = eye - solid.centres
    visible = np.einsum("ij,ij->i", solid.normals, toward) > 0
    if small:
        visible &= ~(solid.detail & (solid.own_light == 0) & (solid.colours[:, 0] < 0.1))
    seen = canvas.camera.seen(place(at, solid.points))
    if float(seen[:, 2].min()) < 1.0:
        return
    pixels = fixed(canvas.camera.pixels(seen))
    chosen = np.flatnonzero(visible)
    normals, toward, painted = solid.normals[chosen], toward[chosen], solid.colours[chosen]
    albedo = np.where(painted[:, :1] < 0, at.mover.paint, painted)
    light = lighting.faces(at.x, at.y, _local(at, lighting.sun), normals)
    light = np.maximum(light, solid.own_light[chosen, None])
    # Panes and paint mirror the sky at a flat angle.
    steep = np.einsum("ij,ij->i", normals, toward) / np.sqrt(np.einsum("ij,ij->i", toward, toward))
    mirrored = ((1 - steep) ** 4 * np.where(albedo.max(axis=1) < 0.2, 0.55, 0.25))[:, None] * lighting.sky_tone
    tones = lighting.veiled(albedo * light + mirrored, depth).tolist()
    for i, tone in zip(chosen.tolist(), tones, strict=True):
        canvas.fixed_polygon(pixels[solid.faces[i]], tone)


def _upright(lighting: Lighting, at: Pose, toward: Points) -> Points:
    """Light on something round that stands upright: half from where the camera looks, half from above."""
    normals = np.array([toward / max(float(np.linalg.norm(toward)), 1e-6), [0.0, 0.0, 1.0]])
    result: Points = lighting.faces(at.x, at.y, lighting.sun, normals).mean(axis=0)
    return result


def _person(canvas: Canvas, at: Pose, lighting: Lighting, depth: float) -> None:
    """A walker or somebody who stands."""
    tall = 1.58 + (at.mover.look % 97) / 97 * 0.26
    swing = 0.0 if at.mover.parked else 0.30 * float(np.sin(at.walked * 2 * np.pi / 1.45))
    hip = 0.52 * tall
    joints = [
        (0, -0.03, hip), (0, 0.02, 0.82 * tall), (0, 0.05, 0.925 * tall), (0.09, swing, 0.04), (-0.09, -swing, 0.04),
        (0.25, -0.8 * swing, hip - 0.03), (-0.25, 0.8 * swing, hip - 0.03),
    ]  # fmt: skip
    _body(canvas, at, lighting, depth, joints, at.mover.second, helmet=False)


def _rider(canvas: Canvas, at: Pose, lighting: Lighting, depth: float) -> None:
    """A two-wheeler with its rider."""
    hub = place(at, np.array([[0, -0.62, 0.3], [0, 0.62, 0.3], [0, -0.25, 0.74], [0, 0.48, 0.98], [0, 0.0, 0.32]]))
    seen = canvas.camera.seen(hub)
    if float(seen[:, 2].min()) < 1:
        return
    pixels, scale = canvas.camera.pixels(seen), canvas.camera.focal / depth
    light = _upright(lighting, at, canvas.camera.position - hub[4])
    dark = lighting.veiled(np.array([[0.06, 0.06, 0.065]]) * light, depth)[0].tolist()
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    for y in (-0.62, 0.62):
        for x in (-0.05, 0.05):
            ring = np.stack([np.full(12, x), y + np.cos(turn) * 0.29, 0.29 + np.sin(turn) * 0.29], axis=1)
            canvas.plate(place(at, ring), dark)
        canvas.bar(
            pixels[0 if y < 0 else 1], pixels[0 if y < 0 else 1] + (0, 0.28 * scale), 0.1 * scale, 0.1 * scale, dark
        )
    body = lighting.veiled(
        np.array(((0.75, 0.75, 0.73), (0.35, 0.08, 0.08), (0.12, 0.2, 0.3))[at.mover.look % 3]) * light, depth
    )
    for a, b, wide in ((0, 2, 0.16), (2, 4, 0.32), (4, 3, 0.24), (3, 1, 0.12)):
        canvas.bar(pixels[a], pixels[b], wide * scale, wide * scale, body.tolist())
    joints = [
        (0, -0.18, 0.82), (0, 0.02, 1.34), (0, 0.06, 1.53), (0.14, 0.22, 0.42), (-0.14, 0.22, 0.42), (0.26, 0.36, 1.04),
        (-0.26, 0.36, 1.04),
    ]  # fmt: skip
    _body(canvas, at, lighting, depth, joints, (0.14, 0.15, 0.18), helmet=at.mover.look % 2 == 0)


def _body(
    canvas: Canvas, at: Pose, lighting: Lighting, depth: float, joints: list[tuple[float, float, float]],
    trousers: tuple[float, float, float], helmet: bool,
) -> None:  # fmt: skip
    """joints: hip, neck, head, right and left foot, right and left hand."""
    seen = canvas.camera.seen(place(at, np.array(joints)))
    if float(seen[:, 2].min()) < 1:
        return
    pixels, s = canvas.camera.pixels(seen), canvas.camera.focal / depth
    light = _upright(lighting, at, canvas.camera.position - np.array([at.x, at.y, 1.0]))
    hair = np.array((0.80, 0.80, 0.76)) if helmet else np.array((0.09, 0.08, 0.07))
    tones = (
        np.array([at.mover.paint, np.array(at.mover.paint) * 0.82, trousers, hair, _SKIN, (0.08, 0.07, 0.07)]) * light
    )
    shirt, sleeve, legs, top, skin, shoes = lighting.veiled(tones, depth).tolist()
    for foot in (4, 3):
        canvas.bar(pixels[0], pixels[foot], 0.18 * s, 0.11 * s, legs)
        canvas.disc(pixels[foot], 0.07 * s, shoes)
    for hand in (6, 5):
        canvas.bar(pixels[1] + (pixels[hand] - pixels[0]) * (0.5, 0.0), pixels[hand], 0.12 * s, 0.08 * s, sleeve)
        canvas.disc(pixels[hand], 0.05 * s, skin)
    canvas.bar(pixels[0] + (pixels[0] - pixels[1]) * 0.12, pixels[1], 0.32 * s, 0.40 * s, shirt)
    canvas.bar(pixels[1], pixels[2], 0.12 * s, 0.12 * s, skin)
    toward = float(np.cos(at.heading - np.arctan2(at.x - canvas.camera.position[0], at.y - canvas.camera.position[1])))
    canvas.disc(pixels[2], 0.118 * s, top)
    if toward < 0.4:
        side = float(np.sin(at.heading)) * 0.03 * s
        canvas.disc(pixels[2] + np.array([side, 0.035 * s]), 0.09 * s, skin)
