"""Vans, buses, lorries and two-wheelers; each function adds one to a builder, in the axes of `vehicles.vehicle`."""

import numpy as np

from simulators.cameras.scenes.movers import SIZES, Kind
from simulators.cameras.scenes.rendered.bodies import (
    HEAD,
    REAR,
    RIM,
    RUBBER,
    TRIM,
    along,
    axle,
    box_loft,
    lamps,
    pane,
)
from simulators.cameras.scenes.rendered.mesh import GLASS, GLOSS, MATTE, OWN, PAINT, SHINE, WHITE, Builder
from simulators.cameras.scenes.world import Colour


def van(builder: Builder, kind: Kind, lights_on: bool) -> None:
    length, width, height = SIZES[kind]
    half, low = width / 2, 0.14 * height
    line = [
        (-0.5, 0.97),
        (-0.48, 1.0),
        (0.2, 1.0),
        (0.25, 0.98),
        (0.31, 0.86),
        (0.395, 0.6),
        (0.47, 0.53),
        (0.495, 0.46),
        (0.5, 0.40),
    ]
    y = np.linspace(-0.5, 0.5, 41)
    box_loft(builder, y, along(line, y) * height, low, half, length)
    lift = half * 0.012
    for a, b in zip(((0.285, 0.935), (0.395, 0.622)), ((0.395, 0.622),), strict=False):
        pane(
            builder,
            [
                (side * half * w, p[0] * length + 0.03, p[1] * height + lift)
                for side, w, p in ((-1, 0.78, a), (1, 0.78, a), (1, 0.86, b), (-1, 0.86, b))
            ],
        )
    for side in (-1, 1):
        x = side * half
        pane(
            builder,
            [
                (x * 1.0 + side * 0.004, p * length, z * height)
                for p, z in ((0.15, 0.58), (0.36, 0.58), (0.29, 0.84), (0.15, 0.86))
            ],
        )
        builder.box((side * (half + 0.05), 0.335 * length, 0.62 * height), (0.16, 0.09, 0.24), TRIM)
        builder.box((x, -0.05 * length, 0.3 * height), (0.03, 0.56 * length, 0.1), TRIM)
        for seam in (-0.12, 0.13, 0.36):
            builder.box((x, seam * length, 0.5 * height), (0.02, 0.014, 0.6 * height), (0.03, 0.03, 0.03))
        pane(
            builder,
            [
                (side * w, -length / 2 - 0.006, z * height)
                for w, z in ((0.06, 0.6), (half * 0.78, 0.6), (half * 0.74, 0.88), (0.06, 0.88))
            ],
        )
    builder.box((0, length / 2 - 0.01, 0.2 * height), (width * 0.86, 0.08, 0.24), TRIM)
    builder.box((0, -length / 2 + 0.01, 0.18 * height), (width * 0.9, 0.08, 0.18), TRIM)
    builder.box((0, length / 2 - 0.005, 0.36 * height), (width * 0.5, 0.05, 0.14), TRIM)
    lamps(builder, length, width, 0.38 * height, 0.42 * height, lights_on)
    for at in (-0.3, 0.33):
        axle(builder, at * length, width, 0.35)


def bus(builder: Builder, kind: Kind, lights_on: bool) -> None:
    length, width, height = SIZES[kind]
    half = width / 2
    y = np.concatenate([[-0.5, -0.497, -0.49, -0.48], np.linspace(-0.46, 0.46, 12), [0.48, 0.49, 0.497, 0.5]])
    top = height * (1 - 0.05 * np.clip((np.abs(2 * y) - 0.96) / 0.04, 0, 1) ** 2)
    box_loft(builder, y, top, 0.1 * height, half, length)
    for side in (-1, 1):
        for i in range(7):
            a, b = -0.46 + i * 0.13, -0.46 + i * 0.13 + 0.118
            x = side * (half + 0.006)
            pane(
                builder,
                [
                    (x, a * length, 0.45 * height),
                    (x, b * length, 0.45 * height),
                    (x * 0.99, b * length, 0.86 * height),
                    (x * 0.99, a * length, 0.86 * height),
                ],
                shine=lights_on,
            )
        builder.box((side * half, 0, 0.15 * height), (0.03, 0.9 * length, 0.1), TRIM)
        builder.box((side * half, 0, 0.33 * height), (0.02, 0.96 * length, 0.1), (0.9, 0.9, 0.88), GLOSS)
        builder.box((side * (half + 0.08), length / 2 - 0.1, 0.72 * height), (0.14, 0.12, 0.4), TRIM)
    front, rear = length / 2 + 0.008, -length / 2 - 0.008
    pane(
        builder,
        [
            (-half * 0.82, front, 0.36 * height),
            (half * 0.82, front, 0.36 * height),
            (half * 0.80, front, 0.82 * height),
            (-half * 0.80, front, 0.82 * height),
        ],
    )
    builder.box(
        (0, front, 0.88 * height), (width * 0.6, 0.02, 0.2), (0.9, 0.45, 0.08), GLOSS, SHINE if lights_on else OWN
    )
    pane(
        builder,
        [
            (-half * 0.7, rear, 0.55 * height),
            (half * 0.7, rear, 0.55 * height),
            (half * 0.7, rear, 0.84 * height),
            (-half * 0.7, rear, 0.84 * height),
        ],
    )
    builder.box((0, length / 2, 0.13 * height), (width * 0.86, 0.06, 0.2), TRIM)
    builder.box((0, -length / 2, 0.2 * height), (width * 0.7, 0.04, 0.36), TRIM)
    lamps(builder, length, width, 0.24 * height, 0.3 * height, lights_on)
    for at in (-0.24, 0.28):
        axle(builder, at * length, width, 0.48, spokes=8)


def lorry(builder: Builder, kind: Kind, lights_on: bool) -> None:
    length, width, height = SIZES[kind]
    half, cut = width / 2, 0.23
    hold = (0.0, (cut - 0.5) / 2 * length, 0.63 * height)
    builder.box(hold, (width, (0.5 + cut) * length, 0.72 * height), WHITE, MATTE, PAINT)
    for z in (0.28, 0.985):
        builder.box((0, hold[1], z * height), (width + 0.03, (0.5 + cut) * length + 0.03, 0.09), (0.42, 0.42, 0.43))
    for side in (-1, 1):
        for k in range(9):
            builder.box(
                (side * half, (-0.48 + k * 0.085) * length, 0.63 * height),
                (0.035, 0.05, 0.7 * height),
                WHITE,
                MATTE,
                PAINT,
            )
        builder.box((side * half * 0.96, -0.05 * length, 0.19 * height), (0.06, 0.3 * length, 0.3), (0.35, 0.35, 0.36))
    builder.box((0, -length / 2 - 0.01, 0.63 * height), (0.04, 0.03, 0.68 * height), (0.2, 0.2, 0.2))
    for x in (-0.3, 0.3):
        builder.tube(
            np.array([x, -length / 2 - 0.03, 0.3 * height]),
            np.array([x, -length / 2 - 0.03, 0.95 * height]),
            0.02,
            0.02,
            (0.5, 0.5, 0.5),
            sides=5,
        )
    builder.box((0, 0, 0.21 * height), (0.9, 0.9 * length, 0.26), TRIM)
    y = np.linspace(cut + 0.02, 0.5, 17)
    line = [(cut + 0.02, 0.84), (cut + 0.04, 0.87), (0.44, 0.86), (0.47, 0.80), (0.49, 0.6), (0.495, 0.5), (0.5, 0.42)]
    box_loft(builder, y, along(line, y) * height, 0.15 * height, half * 0.97, length)
    front = length / 2
    pane(
        builder,
        [
            (-half * 0.82, front - 0.03, 0.52 * height),
            (half * 0.82, front - 0.03, 0.52 * height),
            (half * 0.78, front - 0.19, 0.81 * height),
            (-half * 0.78, front - 0.19, 0.81 * height),
        ],
    )
    for side in (-1, 1):
        x = side * (half * 0.97 + 0.006)
        pane(builder, [(x, p * length, z * height) for p, z in ((0.36, 0.5), (0.485, 0.5), (0.46, 0.78), (0.36, 0.78))])
        builder.box((side * (half + 0.09), 0.475 * length, 0.66 * height), (0.12, 0.1, 0.5), TRIM)
    builder.box((0, front, 0.24 * height), (width * 0.9, 0.08, 0.3), TRIM)
    builder.box((0, front - 0.01, 0.38 * height), (width * 0.62, 0.05, 0.22), TRIM)
    lamps(builder, length, width * 0.96, 0.26 * height, 0.2 * height, lights_on)
    for at in (-0.36, -0.2, 0.36):
        axle(builder, at * length, width, 0.47, spokes=8)


def scooter(builder: Builder, kind: Kind, lights_on: bool) -> None:
    """The vehicle alone; its rider is in `people`."""
    shine = SHINE if lights_on else OWN
    for y in (-0.6, 0.62):
        builder.tube(np.array([-0.055, y, 0.28]), np.array([0.055, y, 0.28]), 0.28, 0.28, RUBBER, sides=18)
        builder.tube(np.array([-0.06, y, 0.28]), np.array([0.06, y, 0.28]), 0.16, 0.16, RIM, GLOSS, sides=12)
    body: Colour = (0.42, 0.08, 0.08)
    builder.box((0, 0.1, 0.33), (0.3, 0.75, 0.12), body, GLOSS)
    builder.ball((0, -0.42, 0.56), (0.17, 0.36, 0.2), body, GLOSS)
    builder.box((0, -0.35, 0.77), (0.25, 0.62, 0.09), TRIM)
    builder.box((0, -0.78, 0.86), (0.3, 0.26, 0.26), (0.12, 0.12, 0.13))
    builder.box((0, 0.44, 0.66), (0.3, 0.08, 0.55), body, GLOSS)
    builder.tube(np.array([0, 0.60, 0.3]), np.array([0, 0.42, 1.02]), 0.04, 0.035, (0.3, 0.3, 0.3))
    builder.ball((0, 0.48, 0.98), (0.11, 0.09, 0.1), body, GLOSS)
    builder.ball((0, 0.56, 0.95), (0.07, 0.05, 0.07), HEAD, GLOSS, shine)
    builder.box((0, -0.92, 0.66), (0.12, 0.03, 0.07), REAR, GLOSS, shine)
    for side in (-1, 1):
        builder.tube(np.array([0, 0.42, 1.02]), np.array([side * 0.32, 0.34, 1.06]), 0.018, 0.022, TRIM, sides=6)
        builder.ball((side * 0.3, 0.4, 1.2), (0.06, 0.02, 0.04), TRIM, GLASS, sides=4)
