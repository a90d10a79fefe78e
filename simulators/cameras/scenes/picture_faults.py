"""What goes wrong with a camera's picture: pure functions from a sound frame to a spoilt one.

A fault has a strength: 1 is a fault that anybody would report, under MILD it is a near miss (light rain, slight haze, a
little noise) that must not be reported. `seed` picks the variant (a cloth or a bag over the lens, a cobweb or a
greasy thumb); it stays the same while the fault lasts, so that only what flickers in reality flickers (`t_s`).
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from simulators.cameras.scenes import textures
from simulators.cameras.scenes.camera import Picture

MILD = 0.3
"""Below this strength a fault is a near miss."""


def apply(frame: Picture, kind: str, strength: float = 1.0, seed: int = 0, t_s: float = 0.0) -> Picture:
    """A frame (h, w, 3) uint8 BGR with the fault `kind` (one of KINDS) on it; the frame itself is left alone.

    strength: 0 (nothing) to 1. Raises ValueError for an unknown kind.
    """
    if kind not in _FAULTS:
        raise ValueError(f"fault is one of {', '.join(KINDS)}, not {kind!r}")
    if strength <= 0:
        return frame.copy()
    return _FAULTS[kind](frame, float(min(strength, 1.0)), _rng(kind, seed), t_s)


def _rng(kind: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed & 0xFFFFFFFF, *kind.encode()])


def _grain(frame: Picture, sigma: float, t_s: float, seed: int = 0) -> Picture:
    """Fresh noise of sigma grey levels; the same at the same time."""
    rng = np.random.default_rng([seed, round(t_s * 1000) & 0xFFFFFFFF])
    height, width = frame.shape[:2]
    noise: Picture = np.empty((height, width), np.int16)
    cv2.setRNGSeed(int(rng.integers(1 << 30)))
    cv2.randn(noise, np.zeros(1), np.full(1, sigma))
    result: Picture = cv2.add(frame, cv2.merge([noise, noise, noise]), dtype=cv2.CV_8U)
    return result


def dark(frame: Picture, strength: float, rng: np.random.Generator, t_s: float) -> Picture:
    """The street lamps are out, or the exposure has failed: hardly any light is left, and the gain brings up noise."""
    lamps_out = rng.random() < 0.5
    keep = 1 - strength * float(rng.uniform(0.90, 0.96))
    if lamps_out:
        # What is bright (windows, head lights far off) goes less than what is dim.
        table = np.arange(256) / 255
        table = table * keep * (0.7 + 0.6 * table) if strength >= MILD else table * keep
        lit = cv2.LUT(frame, np.clip(table * 255, 0, 255).astype(np.uint8))
    else:
        lit = cv2.convertScaleAbs(frame, alpha=keep)
    return _grain(lit, 1.0 + 3.0 * strength, t_s)


def blur(frame: Picture, strength: float, rng: np.random.Generator, t_s: float) -> Picture:
    """Out of focus; a cobweb before the lens; grease on it."""
    width = frame.shape[1]
    variant = ("defocus", "defocus", "cobweb", "grease")[int(rng.integers(4))]
    sigma = width * strength * float(rng.uniform(0.0075, 0.012))
    soft = _wide_blur(frame, max(sigma, 0.3))
    if variant == "defocus" or strength < MILD:
        return soft
    veil = _dirt(frame.shape[0], width, variant, int(rng.integers(1 << 30)))
    milky = cv2.addWeighted(soft, 0.72, np.full_like(soft, 150 if float(frame.mean()) > 60 else 55), 0.28, 0)
    return _mix(soft, milky, veil * np.float32(strength))


def cover(frame: Picture, strength: float, rng: np.random.Generator, t_s: float) -> Picture:
    """Cloth, a bag, a hand or paint over most of the lens; light leaks at the edge and through thin cloth."""
    height, width = frame.shape[:2]
    variant = ("cloth", "bag", "hand", "paint")[int(rng.integers(4))]
    mask = _cover_mask(height, width, variant, strength, int(rng.integers(1 << 30)))
    tone = {"cloth": (46, 52, 60), "bag": (150, 148, 142), "hand": (58, 74, 112), "paint": (32, 30, 34)}[variant]
    through = {"cloth": 0.10, "bag": 0.32, "hand": 0.03, "paint": 0.0}[variant]
    light = float(np.clip(frame.mean() / 110, 0.12, 1.2))
    shade = _folds(height, width, int(rng.integers(500)), int(rng.integers(500))) * np.float32(light)
    cloth = np.clip(shade[..., None] * np.array(tone, np.float32), 0, 255).astype(np.uint8)
    glow = _wide_blur(frame, width * 0.05)
    skin = cv2.addWeighted(cloth, 1 - through, glow, through, 0)
    return _mix(frame, skin, mask)


def shake(frame: Picture, strength: float, rng: np.random.Generator, t_s: float) -> Picture:
    """The view has moved and stays there: shifted by up to 14 % of the width and turned a little.

    What comes in at the edge is mirrored; a scene drawn with `view_shift` shows what is really there.
    """
    height, width = frame.shape[:2]
    dx, dy, roll = view_moved(strength, int(rng.integers(1 << 30)))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), roll, 1.0)
    matrix[:, 2] -= (dx * width, dy * height)
    result: Picture = cv2.warpAffine(
        frame, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return result


def view_moved(strength: float, seed: int) -> tuple[float, float, float]:
    """How far a knocked camera turns: shares of width and height, degrees; at full strength ≥ 5 % of the width."""
    rng = np.random.default_rng(seed)
    side = float(rng.choice([-1, 1]))
    return (
        side * strength * float(rng.uniform(0.05, 0.14)),
        strength * float(rng.uniform(-0.08, 0.08)),
        strength * float(rng.uniform(-5, 5)),
    )


def noise(frame: Picture, strength: float, rng: np.random.Generator, t_s: float) -> Picture:
    """Snow, bands of interference, or both: a bad cable or a dying sensor."""
    height, width = frame.shape[:2]
    variant = ("snow", "bands", "both")[int(rng.integers(3))]
    seed = int(rng.integers(1 << 30))
    now = np.random.default_rng([seed, round(t_s * 1000) & 0xFFFFFFFF])
    result = frame
    if variant != "bands" or strength < MILD:
        result = _grain(result, (8 if strength < MILD else 45) * strength + 1, t_s, seed & 0xFFFF)
        if strength >= MILD:
            specks = now.random((height, width), np.float32) < 0.06 * strength
            result = result.copy()
            result[specks] = now.integers(150, 256, (int(specks.sum()), 1), dtype=np.uint8)
    if variant != "snow" and strength >= MILD:
        rows = np.arange(height) / height
        phase = float(now.uniform(0, 1))
        wave = np.sin(2 * np.pi * (rows * float(rng.uniform(4, 9)) + phase)) + np.sin(
            2 * np.pi * (rows * float(rng.uniform(20, 45)) - 2 * phase)
        )
        bands = (wave * 26 * strength + now.normal(0, 14 * strength, height)).astype(np.int16)
        field = np.repeat(bands[:, None], width, axis=1)
        result = cv2.add(result, cv2.merge([field, field, field]), dtype=cv2.CV_8U)
        result = _grain(result, 16 * strength, t_s, seed & 0xFFFF)
    return result


def over_exposed(frame: Picture, strength: float, rng: np.random.Generator, t_s: float) -> Picture:
    """Exposure stuck open: most of the picture burns out, what is left is washed out."""
    mean = max(float(frame.mean()), 4.0)
    gain = 1 + strength * (float(rng.uniform(2.6, 4.0)) * max(1.0, 95 / mean) - 1)
    lift = strength * float(rng.uniform(25, 60))
    if strength < MILD:
        gain, lift = 1 + 0.5 * strength, 12 * strength
    bright = cv2.convertScaleAbs(frame, alpha=gain, beta=lift)
    result: Picture = cv2.addWeighted(bright, 0.85, _wide_blur(bright, frame.shape[1] * 0.02), 0.3, 0)
    return result


def cast(frame: Picture, strength: float, rng: np.random.Generator, t_s: float) -> Picture:
    """A colour over everything: the infrared filter stuck, a chroma channel missing or the white balance lost."""
    variant = ("red", "green", "blue", "pink", "no-u", "no-v")[int(rng.integers(6))]
    if variant.startswith("no") and strength >= MILD:
        yuv = cv2.cvtColor(frame, cv2.COLOR_BGR2YUV)
        channel = 1 if variant == "no-u" else 2
        stuck = int(rng.choice([0, 255])) * strength + 128 * (1 - strength)
        yuv[..., channel] = (yuv[..., channel] * (1 - strength) + stuck * strength).astype(np.uint8)
        result: Picture = cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR)
        return result
    gains = {
        "red": (0.35, 0.45, 1.5), "green": (0.4, 1.45, 0.45), "blue": (1.55, 0.6, 0.35), "pink": (1.15, 0.45, 1.4),
        "no-u": (0.6, 1.1, 1.1), "no-v": (1.1, 1.1, 0.6),
    }[variant]  # fmt: skip
    add = [max(0.0, g - 1) * 40 * strength for g in gains]
    scale = [1 + (g - 1) * strength for g in gains]
    tinted: Picture = cv2.transform(
        frame, np.array([[scale[0], 0, 0, add[0]], [0, scale[1], 0, add[1]], [0, 0, scale[2], add[2]]])
    )
    return tinted


def _wide_blur(frame: Picture, sigma: float) -> Picture:
    """A Gaussian of any width at the price of a small one."""
    if sigma < 3:
        narrow: Picture = cv2.GaussianBlur(frame, (0, 0), sigma)
        return narrow
    shrink = sigma / 2.5
    size = (max(8, round(frame.shape[1] / shrink)), max(8, round(frame.shape[0] / shrink)))
    small = cv2.GaussianBlur(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), (0, 0), 2.5)
    result: Picture = cv2.resize(small, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_CUBIC)
    return result


def _mix(under: Picture, over: Picture, share: Picture) -> Picture:
    """over on under by share (h, w), 0–1."""
    mask = cv2.convertScaleAbs(np.clip(share, 0, 1), alpha=255)
    alpha = cv2.merge([mask, mask, mask])
    result: Picture = cv2.add(
        cv2.multiply(over, alpha, scale=1 / 255), cv2.multiply(under, cv2.bitwise_not(alpha), scale=1 / 255)
    )
    return result


@lru_cache(maxsize=16)
def _dirt(height: int, width: int, variant: str, seed: int) -> Picture:
    """Where dirt lies on the lens, 0–1: threads of a cobweb, or smears."""
    rng = np.random.default_rng(seed)
    field = np.zeros((height, width), np.float32)
    if variant == "grease":
        smear = cv2.GaussianBlur(textures.tiled(height, width, width / 400, (seed % 500, 11)), (0, 0), width / 40)
        smears: Picture = np.clip((smear - float(smear.mean())) / (2.2 * float(smear.std())) + 0.6, 0.1, 1)
        return smears
    middle = rng.uniform(0.2, 0.8, 2) * (width, height)
    spokes = np.sort(rng.uniform(0, 2 * np.pi, 14))
    for angle in spokes:
        end = middle + np.array([np.cos(angle), np.sin(angle)]) * width
        cv2.line(field, middle.astype(int).tolist(), end.astype(int).tolist(), 1.0, max(1, width // 200), cv2.LINE_AA)
    for radius in np.cumsum(rng.uniform(0.02, 0.07, 14)) * width:
        ring = middle + np.stack([np.cos(spokes), np.sin(spokes)], 1) * radius * rng.uniform(0.85, 1.1, (14, 1))
        cv2.polylines(field, [ring.astype(np.int32)], True, 0.9, max(1, width // 260), cv2.LINE_AA)
    result: Picture = np.clip(cv2.GaussianBlur(field, (0, 0), width / 130) * 2.2 + 0.25, 0, 1)
    return result


@lru_cache(maxsize=16)
def _folds(height: int, width: int, down: int, across: int) -> Picture:
    """Brightness of crumpled cloth around 1, float32."""
    field = textures.tiled(height, width, max(1.0, width / 300), (down, across))
    result: Picture = 0.75 + 0.5 * cv2.GaussianBlur(field, (0, 0), width / 120)
    return result


@lru_cache(maxsize=16)
def _cover_mask(height: int, width: int, variant: str, strength: float, seed: int) -> Picture:
    """How much of the lens is covered, per pixel 0–1; about 70–98 % of the picture at full strength."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = xs / width, ys / height
    wave = cv2.GaussianBlur(textures.tiled(height, width, width / 256, (seed % 500, seed % 331)), (0, 0), width / 50)
    wave = (wave - float(wave.mean())) / float(wave.std()) * 0.05
    share = (
        strength
        * {"cloth": float(rng.uniform(0.78, 0.96)), "bag": 1.0, "hand": 0.9, "paint": float(rng.uniform(0.74, 0.92))}[
            variant
        ]
    )
    angle = float(rng.uniform(-0.6, 0.6)) + float(rng.choice([0, np.pi / 2, -np.pi / 2]))
    if variant == "hand":
        middle = rng.uniform(0.4, 0.6, 2)
        distance = np.hypot((u - middle[0]) * 0.9, v - middle[1]) + wave
        field = distance
    else:
        field = u * np.sin(angle) + v * np.cos(angle) + wave
    edge = float(np.quantile(field, min(share, 1.0)))
    soft = 0.05 if variant != "paint" else 0.02
    mask = np.clip((edge - field) / soft + 0.5, 0, 1)
    if variant == "bag":
        mask = np.full_like(mask, 0.94 * strength)
    return np.asarray(mask, np.float32)


_FAULTS: dict[str, Callable[[Picture, float, np.random.Generator, float], Picture]] = {
    "dark": dark,
    "blur": blur,
    "cover": cover,
    "shake": shake,
    "noise": noise,
    "over_exposed": over_exposed,
    "cast": cast,
}
KINDS = tuple(_FAULTS)
"""Kinds of faults for `apply`."""
