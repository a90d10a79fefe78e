"""Movers on the stage: a node each, put where it is at a time; whose head lights shine."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from panda3d import core as p3d

from simulators.cameras.scenes.camera import Points
from simulators.cameras.scenes.movers import SIZES, Mover, Pose, pose
from simulators.cameras.scenes.rendered import people, shaders, vehicles
from simulators.cameras.scenes.rendered.gl import node_of
from simulators.cameras.scenes.rendered.mesh import Builder, Mesh

CONTACT = "contact"
"""Material of the soft shadow under things."""


class Actors:
    """All movers of a street below one node. dress: gives a node of a material its shader."""

    def __init__(self, movers: tuple[Mover, ...], night: bool, root: Any, dress: Callable[[Any, str], None]) -> None:
        self._night, self._root, self._dress = night, root, dress
        self._templates: dict[object, Any] = {}
        self._actors = [(mover, *self._actor(mover)) for mover in movers]

    def place(self, t_s: float) -> list[Pose]:
        """Put everybody where he is at a time; gives the places of all that are there."""
        found = []
        for mover, node, phases in self._actors:
            at = pose(mover, t_s)
            if at.fade <= 0.15:
                node.hide()
                continue
            node.show()
            node.setPosHpr(at.x, at.y, 0.0, -float(np.degrees(at.heading)), 0, 0)
            if phases:
                now = int(at.walked / people.STEP_M * people.PHASES) % people.PHASES
                for i, phase in enumerate(phases):
                    (phase.show if i == now else phase.hide)()
            found.append(at)
        return found

    def heads(self, poses: list[Pose], eye: Points) -> tuple[Any, Any]:
        """Head lights as arrays for the shaders: the nearest ones in view of the camera."""
        moving = [p for p in poses if p.mover.kind != "person" and not p.mover.parked]
        moving.sort(key=lambda p: abs(p.y - 16) + abs(p.x - eye[0]) * 0.2)
        at, to = p3d.PTALVecBase4f(), p3d.PTALVecBase4f()
        for i in range(shaders.HEADS):
            if i >= len(moving):
                at.pushBack(p3d.LVecBase4f(0, 0, -50, 0))
                to.pushBack(p3d.LVecBase4f(0, 1, 0, 0))
                continue
            p = moving[i]
            ahead = np.array([np.sin(p.heading), np.cos(p.heading)])
            nose = np.array([p.x, p.y]) + ahead * (SIZES[p.mover.kind][0] / 2 - 0.3)
            power = 64.0 if p.mover.kind != "two_wheeler" else 20.0
            at.pushBack(p3d.LVecBase4f(float(nose[0]), float(nose[1]), 0.75, power * p.fade))
            to.pushBack(p3d.LVecBase4f(float(ahead[0]), float(ahead[1]), -0.06, 0))
        return at, to

    def _actor(self, mover: Mover) -> tuple[Any, list[Any]]:
        node = self._root.attachNewNode(mover.kind)
        phases: list[Any] = []
        if mover.kind == "person":
            tall = (1.58 + (mover.look % 97) / 97 * 0.26) / 1.72
            node.setScale(tall)
            if mover.parked:
                self._copy(("standing",), partial(people.walker, 0, standing=True)).copyTo(node)
            else:
                phases = [
                    self._copy(("walker", i), partial(people.walker, i)).copyTo(node) for i in range(people.PHASES)
                ]
        else:
            lights = self._night and not mover.parked
            self._copy((mover.kind, lights), partial(vehicles.vehicle, mover.kind, lights)).copyTo(node)
        if mover.kind == "two_wheeler":
            helmet = mover.look % 2 == 0
            self._copy(("rider", helmet), partial(people.rider, helmet)).copyTo(node)
        node.setShaderInput("paint", p3d.LVecBase3f(*mover.paint))
        node.setShaderInput("second", p3d.LVecBase3f(*(mover.second if mover.kind == "person" else (0.14, 0.15, 0.18))))
        self._contact(mover).reparentTo(node)
        return node, phases

    def _copy(self, key: object, make: Callable[[], dict[str, Mesh]]) -> Any:
        """The dressed template of a kind; its geometry is shared by all copies."""
        if key not in self._templates:
            template = p3d.NodePath("template")
            for material, mesh in make().items():
                part = node_of(mesh, material)
                part.reparentTo(template)
                self._dress(part, material)
            self._templates[key] = template
        return self._templates[key]

    def _contact(self, mover: Mover) -> Any:
        """The dark below a thing, a little larger than its outline."""
        length, width, _ = SIZES[mover.kind]
        half, wide = (width / 2, length / 2), 0.55
        a, b = half[0] + wide, half[1] + wide
        builder = Builder()
        corners = np.array([[-a, -b, 0.015], [a, -b, 0.015], [a, b, 0.015], [-a, b, 0.015]])
        strength = 0.5 if mover.kind == "person" else 0.72
        builder.quad(corners, (half[0], half[1], strength), CONTACT, uv=corners[:, :2])
        node = node_of(builder.meshes()[CONTACT], CONTACT)
        self._dress(node, CONTACT)
        return node
