"""One street on the renderer's stage: its nodes, light, camera, and frames. Lives in the server's process."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from panda3d import core as p3d

from simulators.cameras.scenes import textures
from simulators.cameras.scenes.camera import Camera, Picture, Points
from simulators.cameras.scenes.movers import Mover
from simulators.cameras.scenes.rendered import gl, shaders
from simulators.cameras.scenes.rendered.actors import CONTACT, Actors
from simulators.cameras.scenes.rendered.mesh import LEAF, MATTE, Builder
from simulators.cameras.scenes.rendered.town import Prop, leaf_picture, props
from simulators.cameras.scenes.world import Street

_SHADOW_PX = 2048
_SHADOW_MASK = p3d.BitMask32.bit(3)
_MOST_LAMPS = 10


@dataclass(frozen=True, slots=True)
class _Air:
    """Linear light of a street for the shaders; exposure: of the camera."""

    sun: Points
    low: Points
    high: Points
    air: Points
    zenith: Points
    lamp: Points
    exposure: float


def _atmosphere(street: Street) -> _Air:
    sky = street.sky
    air = np.array(sky.haze_colour) ** 2.2
    if street.night:
        glow = sky.night_glow
        base = np.array([0.0034, 0.0031, 0.0038]) * (0.5 + glow)
        warm = np.array([0.020, 0.014, 0.010]) * glow + 0.002
        lamp = np.array(sky.lamp) ** 1.6 * 3.2
        return _Air(np.zeros(3), base * 0.8, base * 1.2, warm, np.array([0.002, 0.0022, 0.0035]), lamp, 3.6)
    if sky.overcast:
        grey = np.array([0.60, 0.63, 0.68])
        return _Air(np.zeros(3), 0.36 * grey, 1.25 * grey, air * 1.05, np.array([0.50, 0.54, 0.60]), np.zeros(3), 1.1)
    sun = np.array([2.6 + 0.12 * sky.warmth, 2.4, 2.1 - 0.18 * sky.warmth])
    return _Air(
        sun,
        np.array([0.20, 0.19, 0.18]),
        np.array([0.44, 0.50, 0.62]),
        air,
        np.array([0.10, 0.23, 0.52]),
        np.zeros(3),
        0.95,
    )


class Stage:
    """Frames of one street as one camera sees it. over: how many times larger it is drawn, to smooth edges."""

    def __init__(self, screen: gl.Screen, street: Street, movers: tuple[Mover, ...], camera: Camera) -> None:
        self._screen, self._street, self._camera = screen, street, camera
        self._over = 2.0 if camera.width <= 700 else 1.5
        self._size = (round(camera.width * self._over), round(camera.height * self._over))
        self._buffer, self._picture = screen.colour_buffer(self._size)
        self._air = _atmosphere(street)
        self._sunny = bool(self._air.sun.any())
        self._root = p3d.NodePath("street")
        self._lamps = self._nearest_lamps()
        self._leaf = gl.texture_of(leaf_picture(), "leaf")
        self._black = gl.texture_of(np.zeros((4, 4, 3), np.uint8), "black")
        self._shadow_buffer: Any = None
        self._inputs()
        for prop in props(street):
            self._stand(prop)
        self._sky()
        self._actors = Actors(movers, street.night, self._root, self._dress)
        self._look()

    def frame(self, t_s: float) -> Picture:
        """The picture at a time of the loop, (h, w, 3) BGR, without the sensor's marks."""
        poses = self._actors.place(t_s)
        if self._street.night:
            at, to = self._actors.heads(poses, self._camera.position)
            self._root.setShaderInput("head_at", at)
            self._root.setShaderInput("head_to", to)
        self._screen.engine.renderFrame()
        large = gl.read(self._picture, self._size)
        small = cv2.resize(large, (self._camera.width, self._camera.height), interpolation=cv2.INTER_AREA)
        return _glow(small, strong=self._street.night)

    def _nearest_lamps(self) -> list[Any]:
        working = [lamp for lamp in self._street.lamps if lamp.works] if self._street.night else []
        return sorted(working, key=lambda lamp: abs(lamp.y - 22))[:_MOST_LAMPS]

    def _inputs(self) -> None:
        air, root, street = self._air, self._root, self._street
        for name, value in (
            ("eye", self._camera.position), ("sun", np.array(street.sky.sun)), ("sun_light", air.sun),
            ("low_light", air.low), ("high_light", air.high), ("air", air.air), ("zenith", air.zenith),
            ("lamp_light", air.lamp), ("paint", np.ones(3)), ("second", np.ones(3)),
        ):  # fmt: skip
            root.setShaderInput(name, p3d.LVecBase3f(*(float(v) for v in value)))
        root.setShaderInput("haze", street.sky.haze * (0.4 if street.night else 0.6))
        root.setShaderInput("exposure", air.exposure)
        grain = gl.texture_of((textures.noise() * 255).astype(np.uint8), "grain", repeats=True)
        root.setShaderInput("grain", grain)
        root.setShaderInput("windows", self._black)
        root.setShaderInput("picture", self._black)
        lamps = p3d.PTALVecBase4f()
        for lamp in self._lamps:
            lamps.pushBack(p3d.LVecBase4f(*lamp.light_at, 8.0))
        if self._lamps:
            root.setShaderInput("lamps", lamps)
        self._shadow()

    def _shadow(self) -> None:
        """A depth picture from the sun over the part of the street that the camera sees."""
        root = self._root
        root.setShaderInput("to_sun", p3d.LMatrix4f.identMat())
        root.setShaderInput("shadow", self._black)
        if not self._sunny:
            return
        self._shadow_buffer, depth = self._screen.depth_buffer(_SHADOW_PX)
        lens = p3d.OrthographicLens()
        lens.setFilmSize(86, 100)
        lens.setNearFar(10, 260)
        eye = p3d.Camera("sun", lens)
        eye.setScene(root)
        eye.setCameraMask(_SHADOW_MASK)
        node = root.attachNewNode(eye)
        ahead = np.array(
            [np.sin(np.radians(self._street.view.yaw_deg)), np.cos(np.radians(self._street.view.yaw_deg)), 0]
        )
        middle = np.array([self._camera.position[0], self._camera.position[1], 0]) + ahead * 36
        node.setPos(*(middle + np.array(self._street.sky.sun) * 130))
        node.lookAt(*(float(v) for v in middle))
        state = p3d.NodePath("state")
        state.setShader(p3d.Shader.make(p3d.Shader.SL_GLSL, shaders.DEPTH_VERTEX, shaders.DEPTH_FRAGMENT), 1000)
        eye.setInitialState(state.getState())
        leafy = p3d.NodePath("leafy")
        leafy.setShader(p3d.Shader.make(p3d.Shader.SL_GLSL, shaders.DEPTH_VERTEX, shaders.DEPTH_LEAF_FRAGMENT), 1001)
        eye.setTagStateKey("depth")
        eye.setTagState("leaf", leafy.getState())
        self._shadow_buffer.makeDisplayRegion().setCamera(node)
        half = p3d.LMatrix4f(0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0.5, 0, 0.5, 0.5, 0.5, 1)
        root.setShaderInput("to_sun", root.getMat(node) * lens.getProjectionMat() * half)
        root.setShaderInput("shadow", depth)

    def _dress(self, node: Any, material: str) -> None:
        """Give a node of a material its shader and state."""
        if material == CONTACT:
            shader = p3d.Shader.make(p3d.Shader.SL_GLSL, shaders.VERTEX, shaders.CONTACT_FRAGMENT)
            node.setTransparency(p3d.TransparencyAttrib.MAlpha)
            node.setDepthWrite(False)
            node.setBin("fixed", 0)
            node.hide(_SHADOW_MASK)
            # Alpha of the picture is glare; a shadow must not add any.
            node.setAttrib(
                p3d.ColorWriteAttrib.make(
                    p3d.ColorWriteAttrib.CRed | p3d.ColorWriteAttrib.CGreen | p3d.ColorWriteAttrib.CBlue
                )
            )
        else:
            text = shaders.fragment(material, self._street.night, self._sunny, len(self._lamps))
            shader = p3d.Shader.make(p3d.Shader.SL_GLSL, shaders.VERTEX, text)
        node.setShader(shader)
        if material == LEAF:
            node.setTag("depth", "leaf")

    def _stand(self, prop: Prop) -> None:
        node = gl.node_of(prop.mesh, prop.material)
        node.reparentTo(self._root)
        self._dress(node, prop.material)
        if prop.material == LEAF:
            node.setShaderInput("picture", self._leaf)
        elif prop.picture is not None:
            node.setShaderInput("picture", gl.texture_of(prop.picture, prop.material))
        if prop.windows is not None and self._street.night:
            node.setShaderInput("windows", gl.texture_of(prop.windows, "windows"))
        if not prop.casts:
            node.hide(_SHADOW_MASK)

    def _sky(self) -> None:
        builder = Builder()
        shift = (self._street.seed % 97 / 97, self._street.seed % 89 / 89, 0.0)
        builder.ball(tuple(self._camera.position), 360.0, shift, MATTE, sides=16)
        node = gl.node_of(builder.meshes()[MATTE], "sky")
        node.reparentTo(self._root)
        self._dress(node, "sky")
        node.hide(_SHADOW_MASK)
        ground = Builder()
        ground.quad(
            np.array([[-350, -60, -0.06], [350, -60, -0.06], [350, 350, -0.06], [-350, 350, -0.06]]),
            (0.45, 0.45, 0.43),
            MATTE,
        )
        plain = gl.node_of(ground.meshes()[MATTE], "plain")
        plain.reparentTo(self._root)
        self._dress(plain, MATTE)
        plain.hide(_SHADOW_MASK)

    def _look(self) -> None:
        camera = self._camera
        lens = p3d.PerspectiveLens()
        lens.setFilmSize(camera.width, camera.height)
        lens.setFocalLength(camera.focal)
        lens.setNearFar(0.4, 420)
        eye = p3d.Camera("camera", lens)
        eye.setScene(self._root)
        eye.setCameraMask(p3d.BitMask32.bit(1))
        node = self._root.attachNewNode(eye)
        right, down, forward = camera.axes
        rows = [(*right, 0), (*forward, 0), (*(-down), 0), (*camera.position, 1)]
        node.setMat(p3d.LMatrix4f(*(float(v) for row in rows for v in row)))
        region = self._buffer.makeDisplayRegion()
        region.setCamera(node)
        self._buffer.setClearColor(p3d.LVecBase4f(0, 0, 0, 0))


def _glow(picture: Picture, strong: bool) -> Picture:
    """Spread what glares (alpha) over its surroundings, as a lens does."""
    colour = np.ascontiguousarray(picture[..., :3])
    if not strong:
        return colour
    height, width = picture.shape[:2]
    # Lamps are far brighter than white: the gains make up for what 8 bits cut off.
    alpha = picture[..., 3:].astype(np.float32) / 255
    bright = cv2.resize(colour * alpha, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    near = cv2.GaussianBlur(bright, (0, 0), width / 640)
    far = cv2.GaussianBlur(bright, (0, 0), width / 120)
    veil = np.minimum(near * 5.0, 190) + np.minimum(far * 22.0, 64)
    wide = cv2.resize(veil, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.add(colour, np.clip(wide, 0, 255).astype(np.uint8))
