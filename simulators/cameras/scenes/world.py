"""What a simulated camera looks at: one street by seed, in metres, the same for both engines that draw it.

Axes: x to the right across the road, y along it away from the camera, z up; the road's middle is x = 0, its surface
z = 0. People drive on the right, so lanes with x > 0 lead away from the camera. Everything is drawn from
`numpy.random.default_rng` streams of the seed, one stream a topic, so that a change in one topic moves no other.
"""

from dataclasses import dataclass, field

import numpy as np

VERSION = 1
"""Counts up whenever the same seed looks different; caches of frames depend on it."""
FAR_M = 150.0
"""How far the street reaches."""
NEAR_MISSES = ("headlights", "lorry", "dusk", "rain", "empty")
"""Pictures that are sound although they look faulty at first sight, see `simulators.cameras.scenes.near_misses`."""

Colour = tuple[float, float, float]
"""Red, green, blue, 0–1, as painted (not linear)."""

_FACADES: tuple[Colour, ...] = (
    (0.72, 0.68, 0.60),
    (0.62, 0.63, 0.65),
    (0.70, 0.58, 0.47),
    (0.80, 0.78, 0.74),
    (0.55, 0.40, 0.34),
    (0.64, 0.66, 0.58),
    (0.52, 0.56, 0.62),
)
_SIGNS: tuple[Colour, ...] = (
    (0.70, 0.12, 0.10),
    (0.10, 0.25, 0.55),
    (0.85, 0.65, 0.12),
    (0.10, 0.42, 0.25),
    (0.9, 0.9, 0.88),
)


def stream(seed: int, topic: str) -> np.random.Generator:
    """The random stream of one topic of a seed; the same in every process."""
    return np.random.default_rng([seed & 0xFFFFFFFF, *topic.encode()])


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera hangs and looks. position: metres. yaw: degrees clockwise from +y; pitch: degrees below the
    horizon; roll: degrees. fov: horizontal field of view, degrees."""

    position: tuple[float, float, float]
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    fov_deg: float


@dataclass(frozen=True, slots=True)
class Building:
    """A block along the street: its front is the plane x = face_x from y0 to y1; depth points away from the road."""

    side: int
    face_x: float
    y0: float
    y1: float
    depth: float
    floors: int
    floor_m: float
    bay_m: float
    colour: Colour
    shops: bool
    signs: tuple[Colour, ...]
    balconies: bool
    seed: int

    @property
    def height(self) -> float:
        """Metres."""
        return self.floors * self.floor_m + 0.8


@dataclass(frozen=True, slots=True)
class Tree:
    """crown: radius in metres; height: of the crown's middle."""

    x: float
    y: float
    height: float
    crown: float
    tint: float
    seed: int


@dataclass(frozen=True, slots=True)
class Lamp:
    """A street lamp: a pole at (x, y), its light above the road at reach metres towards x = 0."""

    x: float
    y: float
    height: float
    reach: float
    works: bool = True

    @property
    def light_at(self) -> tuple[float, float, float]:
        """Place of the light itself."""
        return (self.x - np.sign(self.x) * self.reach, self.y, self.height)


@dataclass(frozen=True, slots=True)
class Sky:
    """sun: unit vector towards it. overcast: no cast shadows. haze: share of it at 100 m. warmth: of the sunlight,
    −0.5 to 1. lamp: colour of the street lamps. night_glow: how brightly the city shines on its sky, 0–1."""

    sun: tuple[float, float, float]
    overcast: bool
    haze: float
    haze_colour: Colour
    warmth: float
    lamp: Colour
    night_glow: float


@dataclass(frozen=True, slots=True)
class Street:
    """The standing part of a scene. half_road: kerb to middle; pavement: its width; lanes: middle of each, x < 0 come
    towards the camera. median: what parts the directions (double, dashed, fence). zebra_y: middle of the crossing.
    asphalt: its grey. grass: beyond the pavement. patches: x, y, width, depth in metres, tone −1 to 1."""

    seed: int
    night: bool
    view: View
    sky: Sky
    half_road: float
    lane_m: float
    pavement: float
    lanes: tuple[float, ...]
    bike_lane: bool
    median: str
    zebra_y: float | None
    asphalt: float
    grass: bool
    buildings: tuple[Building, ...]
    trees: tuple[Tree, ...]
    lamps: tuple[Lamp, ...]
    near_miss: str | None = None
    patches: tuple[tuple[float, float, float, float, float], ...] = field(default=())

    @property
    def parks_on_pavement(self) -> bool:
        """Whether vehicles stand on the pavement rather than at the kerb."""
        return self.pavement > 4.2 and not self.bike_lane


def street(seed: int, night: bool, near_miss: str | None = None) -> Street:
    """The street of a seed. The same seed by day and by night is the same place seen by the same camera."""
    rng = stream(seed, "road")
    per_side = int(rng.choice([1, 1, 2, 2, 3]))
    lane_m = float(rng.uniform(3.2, 3.6))
    bike = bool(rng.random() < 0.45)
    half = per_side * lane_m + (2.0 if bike else 0.5) + 0.2
    lanes = tuple(float(s * (0.15 + (i + 0.5) * lane_m)) for s in (-1, 1) for i in range(per_side))
    pavement = float(rng.uniform(2.8, 5.5))
    view = _view(seed, half, pavement)
    patches = tuple(
        (
            float(rng.uniform(-half, half)),
            float(rng.uniform(2, 70)),
            *rng.uniform(0.8, 4, 2).tolist(),
            float(rng.uniform(-1, 1)),
        )
        for _ in range(int(rng.integers(2, 9)))
    )
    return Street(
        seed=seed,
        night=night,
        view=view,
        sky=_sky(seed),
        half_road=half,
        lane_m=lane_m,
        pavement=pavement,
        lanes=lanes,
        bike_lane=bike,
        median=str(rng.choice(["double", "double", "dashed", "fence"])) if per_side > 1 else "dashed",
        zebra_y=float(rng.uniform(14, 34)) if rng.random() < 0.6 else None,
        asphalt=float(rng.uniform(0.30, 0.46)),
        grass=bool(rng.random() < 0.5),
        buildings=_buildings(seed, half + pavement),
        trees=_trees(seed, half, pavement, view),
        lamps=_lamps(seed, half),
        near_miss=near_miss,
        patches=patches,
    )


def _view(seed: int, half: float, pavement: float) -> View:
    """A camera on a pole or wall at the kerb, looking down the street, sometimes more across it."""
    rng = stream(seed, "view")
    side = float(rng.choice([-1, 1]))
    x = side * float(rng.uniform(half * 0.2, half + pavement * 0.6))
    z = float(rng.uniform(4.2, 9.0))
    aim_y = float(rng.uniform(16, 34))
    aim_x = float(rng.uniform(-0.35, 0.35)) * half - side * float(rng.choice([0.0, 0.2, 0.6])) * half
    yaw = float(np.degrees(np.arctan2(aim_x - x, aim_y)))
    pitch = float(np.degrees(np.arctan2(z - 0.8, np.hypot(aim_y, aim_x - x))))
    return View((x, 0.0, z), yaw, pitch, float(rng.normal(0, 0.8)), float(rng.uniform(52, 86)))


def _sky(seed: int) -> Sky:
    rng = stream(seed, "sky")
    high, round_ = np.radians(rng.uniform(24, 62)), np.radians(rng.uniform(0, 360))
    sun = (float(np.cos(high) * np.sin(round_)), float(np.cos(high) * np.cos(round_)), float(np.sin(high)))
    warmth = float(rng.uniform(-0.5, 1.0))
    lamp = ((1.0, 0.72, 0.38), (1.0, 0.90, 0.74), (0.90, 0.96, 1.0))[int(rng.integers(3))]
    haze = float(rng.uniform(0.08, 0.42))
    grey = float(rng.uniform(0.70, 0.82))
    colour = (grey + 0.01 * warmth, grey + 0.015, grey + 0.035)
    return Sky(sun, bool(rng.random() < 0.35), haze, colour, warmth, lamp, float(rng.uniform(0.3, 1.0)))


def _buildings(seed: int, kerb_to_wall: float) -> tuple[Building, ...]:
    found = []
    for side in (-1, 1):
        rng = stream(seed, f"buildings{side}")
        setback = float(rng.choice([0.0, 0.0, 3.0, 7.0]))
        y = -18.0
        tall = int(rng.choice([3, 5, 6, 6, 11]))
        while y < FAR_M:
            length = float(rng.uniform(13, 32))
            floors = max(2, int(tall + rng.integers(-2, 4)))
            shops = bool(setback < 4 and rng.random() < 0.7)
            signs = tuple(_SIGNS[int(i)] for i in rng.integers(len(_SIGNS), size=8))
            colour = _FACADES[int(rng.integers(len(_FACADES)))]
            face = side * (kerb_to_wall + setback + float(rng.choice([0, 0, 0.6, 2.5])))
            found.append(
                Building(
                    side, face, y, y + length, float(rng.uniform(9, 15)), floors, float(rng.uniform(2.8, 3.3)),
                    float(rng.uniform(2.6, 3.9)), colour, shops, signs, bool(rng.random() < 0.4),
                    int(rng.integers(1 << 30)),
                )
            )  # fmt: skip
            y += length + float(rng.choice([0.0, 0.0, 2.0, 8.0]))
    return tuple(found)


def _trees(seed: int, half: float, pavement: float, view: View) -> tuple[Tree, ...]:
    """Trees along the kerbs; whoever hangs a camera sees to it that none stands right before it."""
    found = []
    for side in (-1, 1):
        rng = stream(seed, f"trees{side}")
        if rng.random() < 0.25:
            continue
        step, size = float(rng.uniform(6.5, 14)), float(rng.uniform(1.3, 2.4))
        for y in np.arange(float(rng.uniform(4, 14)), FAR_M, step):
            if rng.random() < 0.15:
                continue
            crown = size * float(rng.uniform(0.8, 1.2))
            height = float(rng.uniform(2.6, 3.6)) + crown * 0.8
            x = side * (half + min(1.3, pavement * 0.3))
            if abs(x - view.position[0]) < 2.5 + crown + 0.12 * y and y < 24:
                continue
            found.append(
                Tree(
                    x,
                    float(y + rng.uniform(-0.6, 0.6)),
                    height,
                    crown,
                    float(rng.uniform(0, 1)),
                    int(rng.integers(1 << 30)),
                )
            )
    return tuple(found)


def _lamps(seed: int, half: float) -> tuple[Lamp, ...]:
    rng = stream(seed, "lamps")
    step, height = float(rng.uniform(20, 32)), float(rng.uniform(6.5, 10))
    both = half > 6
    sides = (-1, 1) if both else (int(rng.choice([-1, 1])),)
    first = float(rng.uniform(6, 18))
    return tuple(
        Lamp(
            side * (half + 0.5), float(y + (step / 2 if side < 0 and both else 0)), height, float(min(2.2, half * 0.4))
        )
        for side in sides
        for y in np.arange(first - step, FAR_M, step)
    )
