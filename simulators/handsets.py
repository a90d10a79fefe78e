"""The handsets of a city as one deterministic model: `step()` gives the next messages, nothing is sent here.

The fleet is cut into up to as many slices as the interval has seconds; a step advances one. Sending is spread evenly,
and 10,590 handsets at 10 s cost a few milliseconds of CPU a second. Same arguments, same messages and truth.
"""

from collections.abc import Sequence

import numpy as np

from simulators.anomalies import AnomalyMix, plan
from simulators.handset_kinds import HANDSET_KINDS
from simulators.handset_scene import Scene
from simulators.manifest import Handset
from simulators.outgoing import FIX_FORMAT, MAX_FACTS, FixDraft, Outgoing, fix_body, merge
from simulators.stage import Stage, shift_bounds
from simulators.truth import Injected, is_detectable

LEAST_SLICE = 32
"""Handsets that are worth a step of their own: below, numpy's fixed cost of a step is most of it."""
DEAD_ZONES_PER_HOUR = 0.5
DEAD_ZONE_S = (60.0, 360.0)


class HandsetFleet:
    """n handsets from start_ms (epoch milliseconds) on. Not thread-safe.

    seconds: length of the run, for which anomalies are planned. interval_s: seconds between fixes of a handset, ≥ 0.1.
    dead_zones: whether handsets lose the network for minutes and send what they kept as arrays afterwards.
    off_duty: whether they send outside their shifts too, as most apps do; then only alarms are injected there.
    """

    def __init__(
        self,
        handsets: Sequence[Handset],
        *,
        seconds: float,
        seed: int,
        start_ms: int,
        interval_s: float = 10.0,
        mix: AnomalyMix | None = None,
        dead_zones: bool = True,
        off_duty: bool = True,
    ) -> None:
        n = len(handsets)
        self._rng = np.random.default_rng([seed, start_ms, 1])
        self._handsets = handsets
        self._ids = [handset.id for handset in handsets]
        self.stage = Stage(handsets, self._rng)
        self._slices = max(1, min(round(interval_s), n // LEAST_SLICE))
        self._interval_ms = round(interval_s * 1000)
        self._bounds = [-(-n * g // self._slices) for g in range(self._slices + 1)]
        self._offset_ms = np.arange(n) * self._interval_ms // max(1, n)
        self._shift = shift_bounds(handsets)
        self._off_duty = off_duty
        self._seq = np.zeros(n, dtype=np.int64)
        self._start_ms, self._end_ms, self.now_ms, self._tick = start_ms, start_ms + round(seconds * 1000), start_ms, 0
        self._scenes: list[list[Scene]] = [[] for _ in range(self._slices)]
        self._plan(seconds, seed, mix or AnomalyMix(0.0))
        self._dead_until = np.zeros(n, dtype=np.int64)
        self._dead_share = DEAD_ZONES_PER_HOUR * interval_s / 3600.0 if dead_zones else 0.0
        self._kept: dict[int, list[Outgoing]] = {}

    def _plan(self, seconds: float, seed: int, mix: AnomalyMix) -> None:
        everyone = list(range(len(self._handsets)))
        planned_duty = [i for i in everyone if self._handsets[i].shift]
        eligible = {name: planned_duty if kind.needs_shift else everyone for name, kind in HANDSET_KINDS.items()}
        away = self.stage.away_from_work
        eligible["at_home"] = [i for i in planned_duty if away(i, *self.stage.home(i))]
        quiet = self.stage.motion.quietest_place
        eligible["still"] = [i for i in planned_duty if away(i, *quiet(i, self.stage.work_xy[i]))]

        duty = shift_bounds(self._handsets, joined=True)

        def suits(name: str, i: int, begin_s: float, end_s: float) -> bool:
            first, last = self._start_ms + begin_s * 1000, self._start_ms + end_s * 1000
            spans = self._shift if HANDSET_KINDS[name].needs_shift else duty
            on_duty = bool(np.any((spans[i, 0] <= first) & (last <= spans[i, 1])))
            return on_duty or (self._off_duty and HANDSET_KINDS[name].off_duty)

        rng = np.random.default_rng([seed, 2])
        self._spared = np.ones(len(everyone), dtype=bool)
        for planned in plan(HANDSET_KINDS, eligible, mix, seconds, rng, suits):
            kind = HANDSET_KINDS[planned.kind]
            own = np.random.default_rng([seed, 3, planned.index])
            scene = Scene(planned, kind, self.stage, own, self._interval_ms, self._start_ms)
            group = int(np.searchsorted(self._bounds, planned.index, side="right")) - 1
            self._scenes[group].append(scene)
            self._spared[planned.index] = False
            kind.prepare(scene)

    def step(self) -> list[Outgoing]:
        """Messages of the next slice, from now_ms to the new now_ms, in order of due_ms (a few may be due later)."""
        cycle, group = divmod(self._tick, self._slices)
        a, b = self._bounds[group], self._bounds[group + 1]
        self._tick += 1
        self.now_ms = self._start_ms + self._tick * self._interval_ms // self._slices
        if a == b:
            return []
        times = self._offset_ms[a:b] + (self._start_ms + cycle * self._interval_ms)
        lat, lon, accuracy = self.stage.advance(a, b, self._interval_ms / 1000)
        motion = self.stage.motion
        speed = np.maximum(0.0, motion.speed_mps[a:b] * (1 + 0.1 * self._rng.standard_normal(b - a)))
        satellites = np.clip(24 - accuracy, 5, 24).astype(np.int64)
        self._seq[a:b] += 1
        columns = (times, lat, lon, accuracy, speed, motion.heading_deg[a:b], self.stage.battery[a:b], satellites)
        rows = list(zip(*(column.tolist() for column in columns), self._seq[a:b].tolist(), strict=True))
        bodies = list(map(FIX_FORMAT.__mod__, rows))
        sent: list[Outgoing | list[Outgoing]] = [
            Outgoing(device, "fix", body, (row[0],), row[0])
            for device, body, row in zip(self._ids[a:b], bodies, rows, strict=True)
        ]
        played: set[int] = set()
        for scene in self._scenes[group]:
            if not scene.finished and scene.i not in played:
                played.add(scene.i)
                sent[scene.i - a] = self._play(scene, FixDraft(*rows[scene.i - a]))
        self._hide(a, b, times, sent)
        messages = [m for item in sent for m in (item if isinstance(item, list) else (item,))]
        messages.sort(key=lambda message: message.due_ms)
        return messages

    def _play(self, scene: Scene, draft: FixDraft) -> list[Outgoing]:
        at = draft.fixed_at
        draft.heading_deg = int(draft.heading_deg)
        drafts = [draft]
        if at - self._start_ms >= scene.planned.begin_s * 1000:
            if not scene.begun:
                scene.begun = True
                scene.kind.begin(scene, draft)
            if scene.kind.over(scene, at):
                scene.finished, scene.ended_ms = True, at
                scene.kind.end(scene)
            else:
                drafts = scene.kind.alter(scene, draft)
                self._seq[scene.i] -= not drafts
        device = self._ids[scene.i]
        return [Outgoing(device, "fix", fix_body(d), (d.fixed_at,), d.fixed_at) for d in drafts]

    def _hide(self, a: int, b: int, times: np.ndarray, sent: list[Outgoing | list[Outgoing]]) -> None:
        """In a dead zone fixes are kept, and sent in arrays when it ends; without off_duty the shift's end silences."""
        enters = (self._rng.random(b - a) < self._dead_share) & (self._dead_until[a:b] <= times) & self._spared[a:b]
        lasts = self._rng.uniform(*DEAD_ZONE_S, size=b - a) * 1000
        self._dead_until[a:b] = np.where(enters, times + lasts.astype(np.int64), self._dead_until[a:b])
        dead = self._dead_until[a:b] > times
        moment = times[:, None]
        on_duty = self._off_duty | np.any((self._shift[a:b, 0] <= moment) & (moment < self._shift[a:b, 1]), axis=1)
        for j in np.flatnonzero(dead | ~on_duty).tolist():
            item = sent[j]
            if on_duty[j] and isinstance(item, Outgoing):
                self._kept.setdefault(a + j, []).append(item)
            sent[j] = []
        for i in [i for i in self._kept if a <= i < b and not dead[i - a]]:
            item = sent[i - a]
            waiting = self._kept.pop(i) + ([item] if isinstance(item, Outgoing) else item)
            due = int(times[i - a])
            arrays = [merge(waiting[k : k + MAX_FACTS]) for k in range(0, len(waiting), MAX_FACTS)]
            sent[i - a] = [array._replace(due_ms=due) for array in arrays]

    def truth(self) -> list[Injected]:
        """Ground truth of what has happened up to now."""
        end = min(self.now_ms, self._end_ms)
        rows = []
        for scene in (scene for group in self._scenes for scene in group):
            if scene.began_ms is None or scene.began_ms >= end:
                continue
            ended = scene.ended_ms if scene.ended_ms is not None and scene.ended_ms < end else None
            handset, near = self._handsets[scene.i], scene.planned.near_miss
            for code in (scene.kind.code, *scene.also):
                threshold = scene.kind.timing.threshold_s if code == scene.kind.code else 600.0
                found = not near and is_detectable(scene.began_ms, ended, end, threshold)
                if scene.kind.timing.threshold_s == 0 and not near:
                    found = is_detectable(scene.began_ms, None, end, 0)
                rows.append(
                    Injected(
                        code,
                        scene.planned.kind,
                        handset.id,
                        scene.began_ms,
                        ended,
                        found,
                        near,
                        handset.worker,
                        dict(scene.figures),
                    )
                )
        return rows
