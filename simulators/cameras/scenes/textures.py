"""Textures that both engines use: tileable noise, the surface of the street, fronts of houses. Pure by seed.

Colours here are albedo, RGB uint8 as painted; light comes later. A front has a second picture: how brightly each window
shines at night.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from simulators.cameras.scenes.camera import Picture
from simulators.cameras.scenes.world import FAR_M, Building, Street, stream

GROUND_PX_M = 16.0
"""Pixels a metre of the street's surface, at most."""
GROUND_NEAR_M = -20.0
"""y of the surface's first row."""
FRONT_PX_M = 14.0
"""Pixels a metre of a front, at most."""


@lru_cache(maxsize=4)
def noise(size: int = 512, roughness: float = 0.55, seed: int = 3) -> Picture:
    """Tileable value noise (size, size), 0–1, octaves from 8 cells a side upward; roughness: how slowly they fade."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size), np.float32)
    for cells in (8, 16, 32, 64, 128, 256):
        if cells > size:
            break
        grid = np.pad(rng.random((cells, cells), np.float32), ((1, 2), (1, 2)), mode="wrap")
        step = size // cells
        wide = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        offset = step + step // 2
        total += wide[offset : offset + size, offset : offset + size] * np.float32((8 / cells) ** roughness)
    total -= total.min()
    result: Picture = total / total.max()
    return result


def tiled(height: int, width: int, scale: float, shift: tuple[int, int] = (0, 0), **options: float) -> Picture:
    """A cut (height, width) of tileable noise, magnified by scale."""
    field = np.roll(noise(**options), shift, (0, 1))
    rows, columns = int(np.ceil(height / scale)) + 2, int(np.ceil(width / scale)) + 2
    field = np.tile(field, (-(-rows // 512), -(-columns // 512)))[:rows, :columns]
    wide = cv2.resize(field, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(wide[:height, :width])


def ground_width(street: Street) -> float:
    """Metres of x that the surface covers to either side."""
    return street.half_road + street.pavement + 24.0


def ground(street: Street, px: float = GROUND_PX_M) -> Picture:
    """The street's surface from above (rows: y upward from GROUND_NEAR_M, columns: x from −ground_width), RGB;
    px: pixels a metre."""
    half = ground_width(street)
    width, height = int(2 * half * px), int((FAR_M - GROUND_NEAR_M) * px)
    rng = stream(street.seed, "surface")
    x = (np.arange(width, dtype=np.float32) + 0.5) / px - np.float32(half)
    coarse, fine = tiled(height, width, 9.0), tiled(height, width, 1.0, (91, 37))
    mottle = (0.82 + 0.26 * coarse + 0.22 * (fine - 0.5)).astype(np.float32)
    base = np.zeros((width, 3), np.float32)
    grey = street.asphalt
    base[:] = (grey * 0.98, grey, grey * 1.02)
    # Tyres polish the lanes' tracks lighter, oil drips between them.
    for lane in street.lanes:
        for track in (-0.75, 0.75):
            base *= (1 + 0.07 * np.exp(-(((x - lane - track) / 0.3) ** 2)))[:, None]
        base *= (1 - 0.07 * np.exp(-(((x - lane) / 0.35) ** 2)))[:, None]
    off = np.abs(x) > street.half_road
    slab = 0.56 + 0.04 * float(rng.normal())
    base[off] = (slab * 1.02, slab, slab * 0.95)
    if street.grass:
        beyond = np.abs(x) > street.half_road + street.pavement
        base[beyond] = (0.33, 0.40, 0.22)
    picture = base[None] * mottle[..., None]
    _slabs(picture, x, street, px)
    surface: Picture = np.clip(picture * 255, 0, 255).astype(np.uint8)
    _mark(surface, street, half, fine, px)
    return surface


def _slabs(picture: NDArray[np.float32], x: Picture, street: Street, px: float) -> None:
    """Joints of the pavement's slabs and the kerb stones."""
    pixel = 1 / px
    inside = (np.abs(x) > street.half_road + 0.3) & (np.abs(x) < street.half_road + street.pavement)
    joint = inside & (np.mod(x, 0.5) < pixel)
    picture[:, joint] *= 0.86
    rows = np.mod(np.arange(len(picture)) * pixel, 0.5) < pixel
    columns = np.flatnonzero(inside)
    for block in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1):
        if len(block):
            picture[np.flatnonzero(rows), block[0] : block[-1] + 1] *= 0.86
    kerb = (np.abs(x) > street.half_road) & (np.abs(x) < street.half_road + 0.22)
    picture[:, kerb] = picture[:, kerb] * 0.3 + 0.47
    gutter = (np.abs(x) < street.half_road) & (np.abs(x) > street.half_road - 0.35)
    picture[:, gutter] *= 0.84


def _mark(surface: Picture, street: Street, half: float, wear: Picture, px: float) -> None:
    """Lane marks, crossing, patches and lids, worn by the noise."""
    paint = np.zeros(surface.shape[:2], np.uint8)
    yellow = np.zeros_like(paint)

    def strip(mask: Picture, x0: float, y0: float, x1: float, y1: float) -> None:
        a = (round((min(x0, x1) + half) * px), round((y0 - GROUND_NEAR_M) * px))
        b = (round((max(x0, x1) + half) * px), round((y1 - GROUND_NEAR_M) * px))
        cv2.rectangle(mask, a, b, 255, -1)

    for x, y, wide, deep, tone in street.patches:
        a = (round((x + half) * px), round((y - GROUND_NEAR_M) * px))
        b = (a[0] + round(wide * px), a[1] + round(deep * px))
        if x + wide < street.half_road:
            cut = surface[a[1] : b[1], a[0] : b[0]]
            cut[:] = np.clip(cut * (1 + 0.16 * tone), 0, 255).astype(np.uint8)
            if wide < 1.6:
                middle = ((a[0] + b[0]) // 2, (a[1] + b[1]) // 2)
                cv2.circle(surface, middle, round(0.38 * px), (62, 60, 58), -1, cv2.LINE_AA)
                cv2.circle(surface, middle, round(0.30 * px), (80, 78, 76), 1, cv2.LINE_AA)
    per_side = len(street.lanes) // 2
    edge = 0.15 + per_side * street.lane_m
    stop = street.zebra_y
    for side in (-1, 1):
        if street.bike_lane:
            strip(paint, side * edge, GROUND_NEAR_M, side * (edge + 0.15), FAR_M)
        for i in range(1, per_side):
            at = side * (0.15 + i * street.lane_m)
            for y in np.arange(GROUND_NEAR_M, FAR_M, 6.0 if street.seed % 2 else 9.0):
                strip(paint, at - 0.07, y, at + 0.07, y + (2.0 if street.seed % 2 else 4.0))
        if street.median == "double":
            strip(yellow, side * 0.12, GROUND_NEAR_M, side * 0.27, FAR_M)
    if street.median == "dashed":
        for y in np.arange(GROUND_NEAR_M, FAR_M, 6.0):
            strip(yellow, -0.08, y, 0.08, y + 3.0)
    if stop is not None:
        for mask in (paint, yellow):
            strip(mask, -half, stop - 5.4, half, stop + 5.4)
            y0, y1 = (round((stop + d - GROUND_NEAR_M) * px) for d in (-5.4, 5.4))
            mask[y0 : y1 + 1] = 0
        for x in np.arange(-street.half_road + 0.5, street.half_road - 0.4, 0.9):
            strip(paint, x, stop - 2.0, x + 0.45, stop + 2.0)
        strip(paint, 0.15, stop - 3.9, edge, stop - 3.55)
        strip(paint, -edge, stop + 3.55, -0.15, stop + 3.9)
    worn = np.clip(1.55 - wear * 1.25, 0.15, 0.92)
    for mask, colour in ((paint, (214, 214, 208)), (yellow, (206, 164, 62))):
        ys, xs = np.nonzero(mask)
        share = worn[ys, xs][:, None]
        surface[ys, xs] = (surface[ys, xs] * (1 - share) + np.array(colour, np.float32) * share).astype(np.uint8)


def front(building: Building, side_wall: bool = False, px: float = FRONT_PX_M) -> tuple[Picture, Picture]:
    """The front of a house (rows: from the ground up, columns: along y from y0), RGB; and its lit windows, RGB.

    px: pixels a metre."""
    length = building.depth if side_wall else building.y1 - building.y0
    width, height = max(8, int(length * px)), int(building.height * px)
    rng = np.random.default_rng(building.seed + side_wall)
    wall = tiled(height, width, 5.0, (building.seed % 500, 17))
    wall = 0.86 + 0.2 * wall + 0.06 * (tiled(height, width, 1.0, (5, building.seed % 500)) - 0.5)
    # Rain washes dirt down from the top and from every sill.
    wall *= (
        1 - 0.18 * tiled(1, width, 3.0, (0, building.seed % 400)) * np.linspace(0, 1, height, dtype=np.float32)[:, None]
    )
    picture = np.clip(np.array(building.colour, np.float32) * wall[..., None] * 255, 0, 255).astype(np.uint8)
    lit = np.zeros_like(picture)
    bays = max(1, int(length / building.bay_m))
    bay = length / bays
    lit_share = float(rng.uniform(0.04, 0.4))
    first = 1 if building.shops and not side_wall else 0
    for floor in range(first, building.floors):
        bottom = floor * building.floor_m
        _row(picture, px, bottom - 0.06, bottom + 0.06, 0.9)
        for i in range(bays):
            if side_wall and rng.random() < 0.6:
                continue
            _window(picture, px, lit, building, i * bay, bay, bottom, rng, lit_share)
    if first:
        _shops(picture, px, lit, building, length, rng)
    _row(picture, px, building.height - 0.5, building.height - 0.2, 0.8)
    return picture, lit


def _row(picture: Picture, px: float, bottom: float, top: float, factor: float) -> None:
    a, b = max(0, int(bottom * px)), int(top * px)
    picture[a:b] = (picture[a:b] * factor).astype(np.uint8)


def _window(
    picture: Picture,
    px: float,
    lit: Picture,
    building: Building,
    left: float,
    bay: float,
    bottom: float,
    rng: np.random.Generator,
    lit_share: float,
) -> None:
    """One window with frame, curtain, sometimes a balcony or the box of an air conditioner below it."""
    x0, x1 = int((left + bay * 0.2) * px), int((left + bay * 0.8) * px)
    y0, y1 = int((bottom + building.floor_m * 0.32) * px), int((bottom + building.floor_m * 0.84) * px)
    if building.balconies:
        y0 = int((bottom + 0.15) * px)
    frame = (198, 198, 196) if building.seed % 3 else (96, 92, 90)
    cv2.rectangle(picture, (x0 - 1, y0 - 1), (x1 + 1, y1 + 1), frame, -1)
    glass = 40 + 30 * float(rng.random())
    pane = np.array([glass * 0.9, glass, glass * 1.12])
    if rng.random() < 0.35:
        pane = pane * 0.5 + np.array([150, 142, 128]) * float(rng.uniform(0.4, 0.9))
    cv2.rectangle(picture, (x0, y0), (x1, y1), pane.tolist(), -1)
    cv2.line(picture, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), frame, 1)
    if rng.random() < lit_share:
        warm = ((255, 206, 140), (255, 232, 196), (226, 238, 255))[int(rng.choice(3, p=[0.5, 0.3, 0.2]))]
        strength = float(rng.uniform(0.35, 1.0))
        cv2.rectangle(lit, (x0, y0), (x1, y1), [c * strength for c in warm], -1)
        cv2.line(lit, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), (20, 18, 14), 1)
    if building.balconies:
        cv2.rectangle(
            picture, (x0 - 3, y0), (x1 + 3, y0 + int(1.0 * px)), [min(255.0, c * 222) for c in building.colour], -1
        )
        lit[y0 : y0 + int(1.0 * px), max(0, x0 - 3) : x1 + 4] //= 5
    elif rng.random() < 0.3:
        cv2.rectangle(picture, (x0, y0 - int(0.75 * px)), (x0 + int(0.8 * px), y0 - int(0.2 * px)), (176, 176, 170), -1)
        cv2.circle(picture, (x0 + int(0.4 * px), y0 - int(0.47 * px)), int(0.2 * px), (110, 110, 108), 1, cv2.LINE_AA)


def _shops(
    picture: Picture, px: float, lit: Picture, building: Building, length: float, rng: np.random.Generator
) -> None:
    """Ground floor: roller doors, panes and a sign above each shop."""
    top = building.floor_m
    left, index = 0.0, 0
    while left < length - 2.5:
        width = float(min(rng.uniform(3.2, 6.5), length - left))
        x0, x1 = int((left + 0.15) * px), int((left + width - 0.15) * px)
        sign = np.array(building.signs[index % len(building.signs)]) * 255
        cv2.rectangle(picture, (x0, 0), (x1, int((top - 0.85) * px)), (52, 54, 58), -1)
        closed = rng.random() < 0.3
        if closed:
            for y in range(0, int((top - 0.85) * px), 3):
                cv2.line(picture, (x0, y), (x1, y), (140, 140, 142), 2)
        elif rng.random() < 0.75:
            cv2.rectangle(lit, (x0, int(0.2 * px)), (x1, int((top - 0.9) * px)), (214, 200, 168), -1)
        cv2.rectangle(picture, (x0, int((top - 0.85) * px)), (x1, int((top - 0.05) * px)), sign.tolist(), -1)
        shine = 0.9 if rng.random() < 0.5 and not closed else 0.05
        cv2.rectangle(lit, (x0, int((top - 0.85) * px)), (x1, int((top - 0.05) * px)), (sign * shine).tolist(), -1)
        glyph, y = int(0.45 * px), int((top - 0.68) * px)
        for x in range(x0 + glyph, x1 - 2 * glyph, int(glyph * 1.35)):
            for _ in range(4):
                a, b = rng.integers(0, glyph, (2, 2))
                for target, colour in ((picture, (236, 230, 206)), (lit, [236 * shine, 230 * shine, 206 * shine])):
                    cv2.line(
                        target, (x + int(a[0]), y + int(a[1])), (x + int(b[0]), y + int(b[1])), colour, 1, cv2.LINE_AA
                    )
        left, index = left + width, index + 1
