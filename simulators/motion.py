"""How grid workers move: rounds through places of their grid, on foot or riding, with stays.

All handsets are advanced together as numpy arrays (metres in each handset's own plane). A worker heads for the next of
its places at the leg's speed, stays there or goes on. A scenario may send one handset anywhere and hold it there.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulators.geometry import Array, beyond_m, sample_inside

PLACES = 14
WALK_MPS = (0.9, 1.6)
RIDE_MPS = (3.0, 6.5)
RIDE_FROM_M = 500.0
LONGEST_STAY_S, LONGEST_STAY_AT_WORK_S = 8 * 60.0, 20 * 60.0
MOST_WORK_PLACES = 3
LEG_MAY_LEAVE_M = 60.0
LEG_SAMPLES = np.array([0.15, 0.33, 0.5, 0.67, 0.85])


def patrol_places(
    ring: Array, work_places: Sequence[tuple[float, float]], rng: np.random.Generator
) -> tuple[Array, int]:
    """The (PLACES, 2) stops of a round, and how many leading ones are work places (those well outside are left out).

    First points of the grid in the order of their bearing. Where a way between them would leave the grid by more than
    60 m (a bent grid), a walk through points that can be reached from one another instead, there and back.
    """
    own = np.array(list(work_places), dtype=np.float64).reshape(-1, 2)
    own = own[beyond_m(ring, own) <= LEG_MAY_LEAVE_M][:MOST_WORK_PLACES] if len(own) else own
    free = sample_inside(ring, PLACES - len(own), rng)
    bearing = np.arctan2(*(free - ring.mean(axis=0)).T[::-1])
    stops = np.concatenate([own, free[np.argsort(bearing)]])
    if float(_leaving_m(ring, stops, np.roll(stops, -1, axis=0)).max()) <= LEG_MAY_LEAVE_M:
        return stops, len(own)
    half = PLACES // 2
    candidates = np.concatenate([own[1:], sample_inside(ring, 8 * PLACES, rng)])
    walk = [own[0] if len(own) else free[0]]
    while len(walk) < half:
        near = candidates[_leaving_m(ring, walk[-1], candidates) <= LEG_MAY_LEAVE_M]
        walk.append(near[rng.integers(len(near))] if len(near) else walk[-1])
    return np.array([*walk, *walk[::-1]]), min(1, len(own))


def _leaving_m(ring: Array, start: Array, end: Array) -> Array:
    """Metres by which the straight ways from start to each end (n, 2) leave the ring; shape (n,)."""
    legs = start[..., None, :] + (end[:, None, :] - start[..., None, :]) * LEG_SAMPLES[:, None]
    result: Array = beyond_m(ring, legs.reshape(-1, 2)).reshape(-1, len(LEG_SAMPLES)).max(axis=1)
    return result


class Motion:
    """State of n workers; places: (n, PLACES, 2); work: how many leading places of each are work places."""

    def __init__(self, places: Array, work: NDArray[np.int64], rng: np.random.Generator) -> None:
        n = len(places)
        self._places, self._work, self._rng = places, work, rng
        self._stop = rng.integers(0, PLACES, n)
        self.x, self.y = places[np.arange(n), self._stop].T.copy()
        self.heading_deg = rng.uniform(0.0, 360.0, n)
        self.speed_mps = np.zeros(n)
        self._tx, self._ty = self.x.copy(), self.y.copy()
        self._leg_mps = np.full(n, 1.2)
        self._stay_s = rng.uniform(0.0, 120.0, n)
        self.held = np.zeros(n, dtype=bool)
        self._choose(np.arange(n), staying=False)

    def _choose(self, who: NDArray[np.int64], *, staying: bool = True) -> None:
        """The next stop, speed and (when just arrived) stay of these handsets."""
        if staying:
            at_work = self._stop[who] < self._work[who]
            stays = self._rng.random(len(who)) < np.where(at_work, 0.8, 0.45)
            length = self._rng.exponential(np.where(at_work, 600.0, 150.0)) + 30.0
            longest = np.where(at_work, LONGEST_STAY_AT_WORK_S, LONGEST_STAY_S)
            self._stay_s[who] = np.where(stays, np.minimum(length, longest), 0.0)
        self._stop[who] = (self._stop[who] + 1) % PLACES
        target = self._places[who, self._stop[who]]
        target = target + self._rng.normal(0.0, 3.0, target.shape)
        self._tx[who], self._ty[who] = target.T
        far = np.hypot(self._tx[who] - self.x[who], self._ty[who] - self.y[who])
        rides = (far > RIDE_FROM_M) | (self._rng.random(len(who)) < 0.1)
        pace = self._rng.random(len(who))
        walk, ride = (low + pace * (high - low) for low, high in (WALK_MPS, RIDE_MPS))
        self._leg_mps[who] = np.where(rides, ride, walk)

    def advance(self, a: int, b: int, dt_s: float) -> None:
        """Move the handsets [a:b) by dt_s seconds."""
        x, y, stay = self.x[a:b], self.y[a:b], self._stay_s[a:b]
        dx, dy = self._tx[a:b] - x, self._ty[a:b] - y
        left = np.hypot(dx, dy)
        walks = stay <= 0.0
        reach = np.where(walks, self._leg_mps[a:b] * dt_s, 0.0)
        share = np.minimum(1.0, reach / np.maximum(left, 1e-6))
        x += dx * share
        y += dy * share
        self.speed_mps[a:b] = left * share / dt_s
        turning = self.heading_deg[a:b]
        np.copyto(turning, np.degrees(np.arctan2(dx, dy)) % 360.0, where=walks & (left > 1.0))
        np.maximum(stay - dt_s, 0.0, out=stay)
        arrived = walks & (left <= reach)
        stay[arrived & self.held[a:b]] = np.inf
        free = np.flatnonzero(arrived & ~self.held[a:b])
        if len(free):
            self._choose(free + a)

    def send_to(self, i: int, x: float, y: float, speed_mps: float) -> None:
        """Handset i heads for (x, y) and stays there until `release`."""
        self._tx[i], self._ty[i], self._leg_mps[i] = x, y, speed_mps
        self._stay_s[i], self.held[i] = 0.0, True

    def put(self, i: int, x: float, y: float) -> None:
        """Handset i is at (x, y) at once and stays there until `release`."""
        self.x[i], self.y[i] = x, y
        self.send_to(i, x, y, 1.2)

    def release(self, i: int, speed_mps: float = 4.0) -> None:
        """Handset i goes back to its round."""
        self.held[i], self._stay_s[i] = False, 0.0
        self._tx[i], self._ty[i] = self._places[i, self._stop[i]]
        self._leg_mps[i] = speed_mps

    def arrived(self, i: int) -> bool:
        """Whether a handset that was sent somewhere is there."""
        return bool(self.held[i]) and bool(np.hypot(self._tx[i] - self.x[i], self._ty[i] - self.y[i]) < 1.0)

    def quietest_place(self, i: int, far_from: Array) -> tuple[float, float]:
        """The place of i's round farthest from the given (m, 2) points."""
        places = self._places[i]
        if not len(far_from):
            return float(places[-1, 0]), float(places[-1, 1])
        gaps = np.linalg.norm(places[:, None, :] - far_from[None, :, :], axis=2).min(axis=1)
        best = places[int(np.argmax(gaps))]
        return float(best[0]), float(best[1])
